"""Where windows of the training's streams lie and how much they move: what a new stream is held against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.period_rows import LONGEST_PERIOD_ROWS

__all__ = ["usual_windows"]

_LEAST_AGE = 128
_STEPS = (1, 4, 16)
_STEPS_APART = 8
"""A window begins after each eighth of its length."""
_LEAST_WINDOWS = 4
_CAPPED_AT = 5.0
"""Times the root mean square: a jump counts for no more, or one would make a quiet window a lively one."""


def usual_windows(
    series: Sequence[NDArray[np.float32]], standardizer: Standardizer, *, period_rows: int, warm_up: int
) -> dict[str, NDArray[np.generic]]:
    """Return the ages at which new streams are held against windows, and how these are; empty where data are too few.

    The first age is 128 samples, twice the warm-up, or two periods of a wave, whichever is longest; 4 and 16 times
    that follow, as far as there are windows of that length.
    Shapes: series float32 [T, C], NaN = missing; ages int64 [K]; locations float64 [K, 2, C], lowest and highest mean;
    movements float64 [K, 3, C], least, median and greatest; caps float64 [C]. Standardised.
    """
    standardized = [standardizer.apply(values).astype(np.float64) for values in series]
    moves = [np.abs(np.diff(z, axis=0)) for z in standardized]
    caps = _CAPPED_AT * np.sqrt(_mean(np.concatenate([np.square(move) for move in moves])))
    first = max(_LEAST_AGE, 2 * warm_up, 2 * period_rows if period_rows <= LONGEST_PERIOD_ROWS else 0)
    ages, locations, movements = [], [], []
    for age in (first * step for step in _STEPS):
        means = [m for z in standardized for m in _window_means(z, age)]
        squares = [m for move in moves for m in _window_means(np.square(np.minimum(move, caps)), age - 1)]
        if len(means) < _LEAST_WINDOWS:
            break
        held, moved = _known(np.stack(means)), np.sqrt(_known(np.stack(squares)))
        ages.append(age)
        locations.append([np.nanmin(held, axis=0), np.nanmax(held, axis=0)])
        movements.append([np.nanmin(moved, axis=0), np.nanmedian(moved, axis=0), np.nanmax(moved, axis=0)])
    if not ages:
        return {}
    return {
        "ages": np.array(ages, np.int64),
        "locations": np.array(locations),
        "movements": np.array(movements),
        "caps": caps,
    }


def _known(windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put 0 where a channel was observed in no window at all."""
    return np.where(np.isnan(windows).all(axis=0), 0.0, windows)


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of what was observed by channel, 0 of nothing."""
    counts = np.isfinite(values).sum(axis=0)
    return np.asarray(np.nansum(values, axis=0) / np.maximum(counts, 1))


def _window_means(values: NDArray[np.float64], rows: int) -> Iterator[NDArray[np.float64]]:
    """Yield the means of windows; NaN for a channel of which nothing was observed."""
    observed = np.isfinite(values)
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(np.where(observed, values, 0.0), axis=0)])
    counts = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(observed, axis=0)])
    for begin in range(0, len(values) - rows + 1, max((rows + 1) // _STEPS_APART, 1)):
        seen = counts[begin + rows] - counts[begin]
        yield np.where(seen > 0, (sums[begin + rows] - sums[begin]) / np.maximum(seen, 1), np.nan)
