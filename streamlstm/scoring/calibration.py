"""Fits the calibration of a network on clean data that its training did not see.

The network runs with carried state, as it will when it scores, from well before the first row that is used; it runs
twice, a chunk at a time, so that memory does not grow with what it makes of every row.

1. residuals of those rows -> their scale by channel;
2. running means of the squared, scaled residuals over a fraction of the period -> a tail each;
3. the sum of the tails' surprises -> its own tail, whose surprise is calibrated again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.kernels import BASE_SURPRISE, combine_tails
from streamlstm.model.calibration import Calibration
from streamlstm.model.network import Network
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.forward import Forward, SeriesChunk, run_series
from streamlstm.scoring.residuals import run_residuals
from streamlstm.scoring.state import StreamStates
from streamlstm.scoring.tails import Tail, fit_tail

__all__ = ["CalibrationSeries", "calibrate", "cluster_rows", "widths_for"]

_DEFAULT_PERIOD = 64
_SCALE_FLOOR = 0.01
"""In standard deviations of the channel. A channel that the network predicts to the last bit (a constant, a counter)
has no error to measure, and without a floor the first rounding would be an alarm."""
_LIGHTEST_PART = 0.15
"""A mean of squared errors has a heavier tail than its clean sample shows; an exponential one would make a thousand
nats of a stream that has shifted. The sum of surprises is what -ln p is of, exponential by nature, and needs no such
bound."""
_RUN_UP = 20_000
"""Rows before the first that is used: longer than any state of such a network remembers."""


@dataclass(frozen=True, slots=True)
class CalibrationSeries:
    """One stream in time order; rows from `start` on calibrate, those before bring the state to where it would be.

    Shapes: values float32 [T, C] in the channels' units, NaN = missing.
    """

    values: NDArray[np.float32]
    start: int


def widths_for(period_rows: int) -> NDArray[np.float32]:
    """Return the narrow and the wide mean's width in samples: an eighth and a half of the period.

    Half a period covers a beat; an eighth keeps the shape of what happens within one. Without a period (0) 64 samples
    stand in. Bounds keep a mean a mean (8), also where a short period is chance, and, where the period is a day, its
    memory shorter than most faults (128).
    """
    period = period_rows or _DEFAULT_PERIOD
    return np.array([np.clip(period / 8, 8, 32), np.clip(period / 2, 32, 128)], np.float32)


def calibrate(
    network: Network, standardizer: Standardizer, series: Sequence[CalibrationSeries], *, period_rows: int
) -> Calibration:
    """Fit residual scales and tails.

    Raises: DataError when fewer than 20 rows are left to calibrate on.
    """
    widths = widths_for(period_rows)
    burn_in = max(network.architecture.forecast, int(widths[1]) // 2)
    warm_up = burn_in + int(widths[1])
    forward = Forward(network, standardizer)
    starts = [_usable_start(one, warm_up) for one in series]
    scales = _residual_scales(forward, series, starts)
    means = np.concatenate(
        [_means(forward, one, start, scales, widths, burn_in) for one, start in zip(series, starts, strict=True)]
    )
    if len(means) < 20:
        raise DataError(
            f"calibration: expected at least 20 rows after the first {warm_up}, got {len(means)}; give more data"
        )
    parts = [fit_tail(means[:, k].astype(np.float64), lightest=_LIGHTEST_PART) for k in range(means.shape[1])]
    statistics, surprises, fits = _stack(parts)
    total = np.empty(len(means))
    combine_tails(means, statistics=statistics, surprises=surprises, fits=fits, combined=total)
    tail = fit_tail(total)
    return Calibration(
        scales=scales,
        widths=widths,
        part_statistics=statistics,
        part_surprises=surprises,
        part_fits=fits,
        total_statistics=tail.statistic,
        total_surprises=tail.surprise,
        total_fit=np.array([tail.shape, tail.scale]),
        rows=len(means),
        cluster_rows=cluster_rows(tail.surprise_of(total), gap=int(widths[1])),
        burn_in=burn_in,
        warm_up=warm_up,
        horizon=int(np.clip(sum(len(one.values) for one in series) / 10, 200, 20_000)),
    )


def _usable_start(series: CalibrationSeries, warm_up: int) -> int:
    """First row whose means are full; short data gives up half of its calibration rows to the warm-up, not more."""
    return max(series.start, min(warm_up, (series.start + len(series.values)) // 2))


def _run(forward: Forward, series: CalibrationSeries) -> Iterator[SeriesChunk]:
    """Run the network over a series, from so far before its calibration rows that its state is what it would be."""
    return run_series(forward, series.values, begin=max(series.start - _RUN_UP, 0))


def _residual_scales(
    forward: Forward, series: Sequence[CalibrationSeries], starts: Sequence[int]
) -> NDArray[np.float32]:
    """Root mean square of each residual by channel [3, C], over observed values."""
    p, channels = forward.network.architecture.forecast, forward.network.architecture.channels
    squares, counts = np.zeros((3, channels)), np.zeros((3, channels))
    for one, start in zip(series, starts, strict=True):
        for chunk in _run(forward, one):
            x = chunk.result.x
            ensemble = np.zeros_like(x)
            for h in range(1, p + 1):
                ensemble += chunk.forecast(h) / p
            counted = chunk.result.observed.astype(bool)
            counted[: max(max(start, p) - chunk.begin, 0)] = False
            for kind, estimate in enumerate((chunk.reconstruction(), chunk.forecast(1), ensemble)):
                residual = np.where(counted, x - estimate, 0.0)
                squares[kind] += (residual.astype(np.float64) ** 2).sum(axis=0)
                counts[kind] += counted.sum(axis=0)
    return np.maximum(np.sqrt(squares / np.maximum(counts, 1)), _SCALE_FLOOR).astype(np.float32)


def _means(
    forward: Forward,
    series: CalibrationSeries,
    start: int,
    scales: NDArray[np.float32],
    widths: NDArray[np.float32],
    burn_in: int,
) -> NDArray[np.float32]:
    """Return the running means of the rows from `start` on [N, 6]."""
    states = StreamStates(forward.network.architecture, forward.weights, max_streams=16)
    states.slots_of(["series"])
    found = []
    for chunk in _run(forward, series):
        means = run_residuals(states, chunk.result, scales=scales, widths=widths, burn_in=burn_in).means
        found.append(means[max(start - chunk.begin, 0) :])
    return np.concatenate(found) if found else np.empty((0, scales.shape[0] * len(widths)), np.float32)


def cluster_rows(surprise: NDArray[np.float64], *, gap: int) -> float:
    """Return how many samples pass the 98 % level in a cluster, on average; `gap` samples below it part clusters."""
    above = np.flatnonzero(surprise > BASE_SURPRISE)
    if len(above) == 0:
        return float(gap)
    return len(above) / (1 + int((np.diff(above) > gap).sum()))


def _stack(tails: Sequence[Tail]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    return (
        np.stack([tail.statistic for tail in tails]),
        np.stack([tail.surprise for tail in tails]),
        np.array([[tail.shape, tail.scale] for tail in tails]),
    )
