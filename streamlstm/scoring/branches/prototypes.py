"""How far the newest window of a stream is from the nearest of the normal windows that training saw.

A window is the last L samples of all channels, or, of beats, L samples that are spread over most of one. It is measured
twice: *centred*, each channel's window minus its mean, and *normalised*, also divided by its deviation, which sees a
shape whatever its size. The statistic is the mean square by which it differs from the nearest prototype
(`streamlstm.kernels.prototypes` has the formulas); prototypes are the centres of the windows before those that
calibrate, so that distances in calibration are of windows never seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels import PackedPrototypes, advance_prototypes
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.branches.clean_rows import CleanRows, as_admitted
from streamlstm.scoring.branches.protocol import Measured, StateArrays
from streamlstm.scoring.clustering import cluster
from streamlstm.scoring.forward import ForwardResult
from streamlstm.scoring.period_rows import UNKNOWN_PERIOD_ROWS
from streamlstm.scoring.state import StatePiece

__all__ = ["NORMALISED", "Prototypes", "do_shapes_repeat", "fit_prototypes", "prototypes_of", "taps_for"]

NORMALISED = "prototypes/normalised"
"""The part that says whether shapes repeat."""

_FEWEST_TAPS, _MOST_TAPS = 8, 64
_MOST_VALUES = 1024
"""Of a window: 4 KiB a stream. Where there are many channels the window is shorter, 8 samples at least."""

_MOST_HELD = 1 << 20
"""Of a ring, whatever a bundle says: 4 MiB a stream."""

_LEAST_WINDOWS = 100
_MOST_WINDOWS = 20_000
_MOST_CLUSTERED = 4_000_000
"""Values of all windows that are clustered together: a second or two, and 16 MB."""

_WINDOWS_A_CENTRE = 4
"""With fewer, a centre is a window that happened to be there, noise included."""

_FLOOR_SHARE = 0.1
_LEAST_FLOOR = 0.01
"""A window's deviation counts as a tenth of what is usual for its channel, and a hundredth of the channel's own, at
least: a flat window is then nearly zero, and its noise is not blown up to a shape."""


_REPEATING = 0.4
"""Of the mean square of a normalised window, which is 1, what the nearest prototype leaves where shapes repeat: half of
the windows less than this. Waveforms leave 0.03 to 0.3, metrics of servers and services 0.5 to 1."""


@dataclass(frozen=True, slots=True)
class Prototypes:
    """The prototypes of both kinds of windows.

    Shapes: centres float32 [2, K, L, C], of centred and of normalised windows, oldest sample first; floors float32 [C],
    in standard deviations of the channel.
    Units: stride in samples, from one of a window to the next.
    """

    name: ClassVar[str] = "prototypes"
    parts: ClassVar[Sequence[str]] = ("prototypes/centred", NORMALISED)
    piece: ClassVar[str] = "prototype_windows"
    weight: ClassVar[float] = 2.0
    lightest_tail: ClassVar[float] = 0.15
    """Means of squares, as the network's residuals are."""

    centres: NDArray[np.float32]
    floors: NDArray[np.float32]
    stride: int = 1
    _packed: PackedPrototypes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_packed", PackedPrototypes(self.centres, self.floors, stride=self.stride))
        if self._packed.span * self._packed.channels > _MOST_HELD:
            raise ShapeError(f"stride: expected windows that span {_MOST_HELD} values at most, got {self._packed.span}")

    @property
    def taps(self) -> int:
        """Samples of a window."""
        return int(self.centres.shape[2])

    @property
    def span(self) -> int:
        """Samples that a window reaches back, the newest included."""
        return (self.taps - 1) * self.stride + 1

    @property
    def fill_rows(self) -> int:
        """Samples that a window reaches back."""
        return self.span

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Centres and floors, and the stride where it is not 1."""
        stride = {} if self.stride == 1 else {"stride": np.array([self.stride], np.int32)}
        return {"centres": self.centres, "floors": self.floors, **stride}

    @property
    def state(self) -> Mapping[str, StatePiece]:
        """A ring of the last samples, as many as a window reaches back."""
        return {self.piece: StatePiece(np.float32, (self.span, self.centres.shape[3]))}

    def advance(self, result: ForwardResult, state: StateArrays) -> Measured:
        """Put samples into their streams' windows and measure these; a window that is not yet full says nothing: 0."""
        count, channels = result.x.shape
        measured = Measured.empty(count, parts=len(self.parts), channels=channels)
        advance_prototypes(
            self._packed,
            result.slots,
            x=result.shapes,
            reset=result.reset,
            ages=result.ages,
            windows=state[self.piece],
            statistics=measured.statistics,
            contribution=measured.contribution,
            expected=measured.expected,
        )
        return measured


def taps_for(period_rows: int, channels: int) -> int:
    """Return the window's samples: the period, 64 where there is none (0), bounded to 8 to 64 and by the channels."""
    period = min(max(period_rows or UNKNOWN_PERIOD_ROWS, _FEWEST_TAPS), _MOST_TAPS)
    return max(min(period, _MOST_VALUES // channels), _FEWEST_TAPS)


def prototypes_of(clean: CleanRows) -> Prototypes | None:
    """Return the branch, of the rows before those that calibrate; None where too few or none are asked for."""
    if not clean.prototypes:
        return None
    standardizer = clean.forward.standardizer
    taps = taps_for(clean.period_rows, len(standardizer.mean))
    return fit_prototypes(clean.before, standardizer, taps=taps, count=clean.prototypes)


def do_shapes_repeat(distances: NDArray[np.float32]) -> bool:
    """Say whether windows of clean data come again: most normalised ones of rows that calibrate have one like them.

    Shapes: distances float32 [N], the statistic of normalised windows.
    """
    return bool(np.median(distances) < _REPEATING)


def fit_prototypes(
    series: Sequence[NDArray[np.float32]],
    standardizer: Standardizer,
    *,
    taps: int,
    count: int,
    stride: int = 1,
    branch: type[Prototypes] = Prototypes,
) -> Prototypes | None:
    """Return the branch of `count` prototypes of each kind, or of fewer where there are few windows; None below 100.

    Shapes: series float32 [T, C] each, clean rows in time order, in the channels' units, NaN = missing.
    """
    windows = _windows([as_admitted(values, standardizer) for values in series], taps, stride)
    if len(windows) < _LEAST_WINDOWS:
        return None
    channels = windows.shape[2]
    centred = windows - windows.mean(axis=1, keepdims=True)
    variances = np.square(centred).mean(axis=1)
    floors = np.maximum(_FLOOR_SHARE * np.sqrt(variances.mean(axis=0)), _LEAST_FLOOR).astype(np.float32)
    normalised = centred / np.sqrt(variances + np.square(floors))[:, None]
    count = min(count, len(windows) // _WINDOWS_A_CENTRE)
    centres = [cluster(kind.reshape(len(kind), -1), count) for kind in (centred, normalised)]
    return branch(np.stack(centres).reshape(2, count, taps, channels), floors, stride)


def _windows(series: Sequence[NDArray[np.float32]], taps: int, stride: int) -> NDArray[np.float32]:
    """Return windows [N, L, C] of all series, as many as may be clustered, evenly taken."""
    span = (taps - 1) * stride + 1
    views = [
        np.lib.stride_tricks.sliding_window_view(x, span, axis=0)[:, :, ::stride] for x in series if len(x) >= span
    ]
    total = sum(map(len, views))
    if total == 0:
        return np.empty((0, taps, 1), np.float32)
    wanted = min(total, _MOST_WINDOWS, _MOST_CLUSTERED // (taps * views[0].shape[1]))
    picks, first, found = np.arange(wanted) * total // wanted, 0, []
    for view in views:
        found.append(view[picks[(picks >= first) & (picks < first + len(view))] - first])
        first += len(view)
    return np.ascontiguousarray(np.concatenate(found).transpose(0, 2, 1))
