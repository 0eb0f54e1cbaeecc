"""What each channel holds, in its own unit: range, missing values, how far it moved after the training part."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.reporting.report import TrainingReport
from streamlstm.scoring.forward import INPUT_LIMIT

__all__ = ["ChannelFigures", "describe_channels", "outline"]


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """Shapes: arrays [C]; low, high, and drift NaN where nothing was observed.

    Units: low and high the channel's own, missing a share of the rows; drift is by how many of the standardizer's
    scales the mean of the later parts lies above the training part's. guess_losses are the mean squared errors of
    guessing every channel's training mean, in the training and in the validation part; NaN where nothing was observed.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    missing: NDArray[np.float64]
    drift: NDArray[np.float64]
    guess_losses: tuple[float, float]

    @property
    def is_constant(self) -> NDArray[np.bool_]:
        """True where a channel never moves, or was never observed."""
        return ~(self.high > self.low)


def describe_channels(report: TrainingReport) -> ChannelFigures:
    """Look at every value once, stream by stream."""
    channels = len(report.bundle.channels)
    low, high = np.full(channels, np.inf), np.full(channels, -np.inf)
    sums, counts = np.zeros((2, channels)), np.zeros((2, channels))
    squares, seen_in, rows = [0.0, 0.0], [0, 0], 0
    for stream_id, values in report.series.items():
        seen = np.isfinite(values)
        low = np.minimum(low, np.where(seen, values, np.inf).min(axis=0, initial=np.inf))
        high = np.maximum(high, np.where(seen, values, -np.inf).max(axis=0, initial=-np.inf))
        first, second = report.cuts[stream_id]
        for part, (begin, end) in enumerate(((0, first), (first, len(values)))):
            sums[part] += np.where(seen[begin:end], values[begin:end], 0).sum(axis=0, dtype=np.float64)
            counts[part] += seen[begin:end].sum(axis=0)
        for part, (begin, end) in enumerate(((0, first), (first, second))):
            x = np.clip(report.bundle.standardizer.apply(values[begin:end]), -INPUT_LIMIT, INPUT_LIMIT)
            squares[part] += float(np.nansum(np.square(x), dtype=np.float64))
            seen_in[part] += int(seen[begin:end].sum())
        rows += len(values)
    with np.errstate(invalid="ignore"):
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return ChannelFigures(
        low=np.where(np.isfinite(low), low, np.nan),
        high=np.where(np.isfinite(high), high, np.nan),
        missing=1 - counts.sum(axis=0) / max(rows, 1),
        drift=(means[1] - means[0]) / report.bundle.standardizer.scale,
        guess_losses=(
            squares[0] / seen_in[0] if seen_in[0] else math.nan,
            squares[1] / seen_in[1] if seen_in[1] else math.nan,
        ),
    )


def outline(column: NDArray[np.float32], points: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a line that shows every extreme of a long column: the lowest and the highest value of each stretch.

    Shapes: column [T]; rows and values float64, at most 2 * points. A stretch without a value gives one NaN.
    """
    rows, values = list[float](), list[float]()
    for stretch in np.array_split(np.arange(len(column)), max(min(points, len(column)), 1)):
        part = column[stretch].astype(np.float64)
        if not np.isfinite(part).any():
            rows.append(float(stretch[0]) if len(stretch) else 0.0)
            values.append(np.nan)
            continue
        for at in sorted({int(np.nanargmin(part)), int(np.nanargmax(part))}):
            rows.append(float(stretch[at]))
            values.append(float(part[at]))
    return np.array(rows), np.array(values)
