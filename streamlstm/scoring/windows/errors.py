"""Errors of a whole-window network, row by row, and the calibration of their tail.

windows      of T rows, each half over the one before; the last one is shorter
squares      q = min((x - expected)^2 / its scale by channel^2, 400)    mean over the windows that hold the row
statistic    m = mean of q over the observed channels, then over `width` rows around the row
surprise     u = -ln P(m), from the tail of m on clean data
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.model.bundles.window import WindowCalibration
from streamlstm.model.calibration import Tail
from streamlstm.model.standardizer import Standardizer
from streamlstm.model.windows.batch import Window, gather_windows, without_holes
from streamlstm.model.windows.network import WindowNetwork
from streamlstm.scoring.calibration import cluster_rows
from streamlstm.scoring.forward import INPUT_LIMIT
from streamlstm.scoring.tails import fit_tail

__all__ = ["Estimates", "calibrate_windows", "estimate_rows", "measured", "scorable", "statistics_of", "width_for"]

_BATCH = 64
"""Windows that run together."""
_SQUARE_LIMIT = 400.0
"""As for streams: 20 scales are as wrong as can be."""
_SCALE_FLOOR = 0.01
"""As for streams: in standard deviations of the channel."""
_LIGHTEST = 0.15
"""As for streams: least shape of the tail of a mean of squares."""
_LEAST_ROWS = 20
_CUTS = 4
"""Times that calibration rows are cut into windows, each time between other ends. Rows are harder to estimate at the
ends, where one window holds them, and one way of cutting meets a period always at the same places."""


@dataclass(frozen=True, slots=True)
class Estimates:
    """What a network makes of one series.

    Shapes: squares float64 [T, C] of (x - expected), 0 where nothing was observed; expected float32 [T, C]
    standardised; observed bool [T, C].
    """

    squares: NDArray[np.float64]
    expected: NDArray[np.float32]
    observed: NDArray[np.bool_]


def measured(standardizer: Standardizer, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the values standardised and clipped, zero where they are missing, and which are observed."""
    x = np.clip(standardizer.apply(values), -INPUT_LIMIT, INPUT_LIMIT)
    observed = np.isfinite(x)
    return np.where(observed, x, np.float32(0)), observed


def scorable(network: WindowNetwork, values: NDArray[np.float32]) -> list[slice]:
    """Return the parts of a series between holes that are at least half a window long."""
    a = network.architecture
    return [
        slice(begin, end)
        for begin, end in without_holes(np.isfinite(values), hole=a.hole)
        if end - begin >= a.rows // 2
    ]


def estimate_rows(network: WindowNetwork, standardizer: Standardizer, values: NDArray[np.float32]) -> Estimates:
    """Run a network over one part of a series, without holes. Shapes: values float32 [T, C] in the channels' units."""
    x, observed = measured(standardizer, values)
    rows, count = network.architecture.rows, len(x)
    last = max(count - rows, 0)
    windows = [Window(0, begin, min(rows, count)) for begin in (*range(0, last, rows // 2), last)]
    squares, expected = np.zeros(x.shape), np.zeros(x.shape)
    held = np.zeros((count, 1))
    for at in range(0, len(windows), _BATCH):
        chosen = windows[at : at + _BATCH]
        batch = gather_windows([x], [observed], chosen)
        estimates = network.estimate(batch)
        errors = np.square((batch.x - estimates) * batch.observed, dtype=np.float64)
        for lane, (_, begin, length) in enumerate(chosen):
            place = slice(begin, begin + length)
            squares[place] += errors[:length, lane]
            expected[place] += estimates[:length, lane]
            held[place] += 1
    return Estimates(squares / held, (expected / held).astype(np.float32), observed)


def statistics_of(
    estimates: Estimates, scales: NDArray[np.float32], width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the statistic of every row [T], and what each channel adds to it [T, C].

    The rows around a row near an end are the `width` first or last ones. NaN where nothing was observed among them.
    """
    squares = np.minimum(estimates.squares / np.square(scales, dtype=np.float64), _SQUARE_LIMIT)
    channels = estimates.observed.sum(axis=1)
    squares = squares / np.maximum(channels, 1)[:, None]
    count = len(squares)
    begin = np.clip(np.arange(count) - width // 2, 0, max(count - width, 0))
    end = np.minimum(begin + width, count)
    sums = np.concatenate([np.zeros((1, squares.shape[1])), np.cumsum(squares, axis=0)])
    seen = np.concatenate([[0], np.cumsum(channels > 0)])
    rows = (seen[end] - seen[begin]).astype(np.float64)[:, None]
    with np.errstate(invalid="ignore"):
        shares: NDArray[np.float64] = np.maximum(sums[end] - sums[begin], 0.0) / np.where(rows > 0, rows, np.nan)
    return shares.sum(axis=1), shares


def width_for(period_rows: int, rows: int) -> int:
    """Return the rows that a statistic is the mean of: half a period, or half a window where none is known.

    At most 128, as for streams, and at most half a window.
    """
    half = rows // 2
    return int(np.clip(period_rows // 2 or half, 1, max(min(128, half), 1)))


def calibrate_windows(
    network: WindowNetwork, standardizer: Standardizer, series: Sequence[NDArray[np.float32]], *, width: int
) -> WindowCalibration:
    """Fit scales and tail on clean series that training did not see.

    Shapes: series float32 [T, C] in the channels' units; parts shorter than half a window are left out.
    Raises: DataError when fewer than 20 rows are left.
    """
    least = network.architecture.rows // 2
    parts = [values[part] for values in series for part in scorable(network, values)]
    usable = sum(int(np.isfinite(part).any(axis=1).sum()) for part in parts)
    if usable < _LEAST_ROWS:
        raise DataError(
            f"calibration: expected at least {_LEAST_ROWS} rows in parts of {least} and more, got {usable}; give more "
            "data, or smaller windows"
        )
    shifted = [cut for part in parts for cut in _shifted(part, least)]
    runs = [estimate_rows(network, standardizer, part) for part in shifted]
    squares, observed = (np.concatenate([getattr(run, name) for run in runs]) for name in ("squares", "observed"))
    scales = np.sqrt(squares.sum(axis=0) / np.maximum(observed.sum(axis=0), 1))
    scales = np.maximum(scales, _SCALE_FLOOR).astype(np.float32)
    values = np.concatenate([statistics_of(run, scales, width)[0] for run in runs])
    values = values[np.isfinite(values)]
    tail: Tail = fit_tail(values, lightest=_LIGHTEST)
    return WindowCalibration(
        scales=scales,
        statistics=tail.statistic,
        surprises=tail.surprise,
        fit=np.array([tail.shape, tail.scale]),
        rows=usable,
        cluster_rows=cluster_rows(tail.surprise_of(values), gap=width),
        width=width,
    )


def _shifted(part: NDArray[np.float32], least: int) -> list[NDArray[np.float32]]:
    """Return the part without some of its first and last rows, each time with other ends; whole if it is short."""
    step = min(least // _CUTS, (len(part) - least) // _CUTS)
    return [part[cut * step : len(part) - (_CUTS - 1 - cut) * step] for cut in range(_CUTS)] if step else [part]
