"""Prototypes of beats: windows that cover most of one beat of a wave, in samples that are spread over it.

A wave is sampled many times in a beat, so that the next sample says little: what is odd about a beat is its whole
shape. A window of 64 samples in a row is a fifth of a heartbeat at 360 Hz. 64 samples spread over two thirds of it see
the shape at the same cost. Among waves these prototypes tell odd beats apart better than anything else does, so there
they count for more, and what the network got wrong for less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.branches.clean_rows import CleanRows
from streamlstm.scoring.branches.prototypes import Prototypes, fit_prototypes

__all__ = ["BEATS_OF_A_HORIZON", "WAVE_WEIGHTS", "BeatPrototypes", "beats_of", "fit_beats", "is_wave"]

_TAPS, _FEWEST_TAPS = 64, 8
"""Of a window. A beat of so few samples that 64 cover two thirds of it is a window of the other prototypes already."""
_SHARE = 2 / 3
"""Of a beat: a window of all of it holds parts of two beats most of the time, and their distance varies."""
_MOST_VALUES = 1024
_MOST_HELD = 2048
"""Values of the ring: 8 KiB a stream. Many channels have shorter windows, down to a quarter of a beat."""
_LEAST_SHARE = 1 / 4
_SMOOTH = 0.3
"""Correlation of one step's slope with the next one's, above which samples follow a wave. Heartbeats have 0.3 to 0.9,
breath and gait 0.9 and more, white noise has -0.5, a walk 0, and metrics with a daily course are in between."""
_BLOCK = 256

BEATS_OF_A_HORIZON = 300
"""How slowly a stream's level follows it: four minutes of a heart. In 20,000 samples, a minute of ECG, it would rise to
ectopic beats that come every few seconds, and none would be an alarm."""

WAVE_WEIGHTS: Mapping[str, float] = {
    "network_residuals": 1.0,
    "prototypes": 1.0,
    "beats/centred": 1.5,
    "beats/normalised": 0.5,
}
"""What branches, and parts of them, count for in a model of a wave."""


@dataclass(frozen=True, slots=True)
class BeatPrototypes(Prototypes):
    """The prototypes of both kinds of windows of a beat."""

    name: ClassVar[str] = "beats"
    parts: ClassVar[Sequence[str]] = ("beats/centred", "beats/normalised")
    piece: ClassVar[str] = "beat_windows"


def is_wave(series: Sequence[NDArray[np.float32]], period_rows: int) -> bool:
    """Say whether the series follow a wave: a period of many samples, and slopes that go on.

    Shapes: series float32 [T, C] each, in time order, NaN = missing.
    """
    if _SHARE * period_rows <= _TAPS:
        return False
    found = [correlation for values in series for correlation in _slope_correlations(values)]
    return bool(found) and float(np.median(found)) >= _SMOOTH


def _slope_correlations(values: NDArray[np.float32]) -> list[float]:
    """Return the correlation of slopes with the next ones, in each block and channel that moves."""
    slopes = np.diff(values.astype(np.float64), axis=0)
    blocks = len(slopes) // _BLOCK
    slopes = slopes[: blocks * _BLOCK].reshape(blocks, _BLOCK, values.shape[1])
    squares = np.square(slopes).mean(axis=1)
    products = (slopes[:, 1:] * slopes[:, :-1]).mean(axis=1)
    counted = np.isfinite(squares) & (squares > 0)
    return [float(one) for one in products[counted] / squares[counted]]


def beats_of(clean: CleanRows) -> Prototypes | None:
    """Return the branch, of the rows before those that calibrate; None where there is none, or none is asked for."""
    if not clean.prototypes:
        return None
    period, count = clean.period_rows, clean.prototypes
    return fit_beats(clean.before, clean.forward.standardizer, period_rows=period, count=count)


def fit_beats(
    series: Sequence[NDArray[np.float32]], standardizer: Standardizer, *, period_rows: int, count: int
) -> Prototypes | None:
    """Return the branch of `count` prototypes of each kind; None where the series follow no wave, or are too short.

    Shapes: series float32 [T, C] each, clean rows in time order, in the channels' units, NaN = missing.
    """
    if not is_wave(series, period_rows):
        return None
    channels = len(standardizer.mean)
    span = min(round(_SHARE * period_rows), _MOST_HELD // channels)
    most = min(_TAPS, _MOST_VALUES // channels)
    if most < _FEWEST_TAPS or span < _LEAST_SHARE * period_rows:
        return None
    stride = -(-span // most)
    return fit_prototypes(series, standardizer, taps=span // stride, count=count, stride=stride, branch=BeatPrototypes)
