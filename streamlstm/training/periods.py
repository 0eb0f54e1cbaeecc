"""The period of a series, by autocorrelation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

__all__ = ["detect_period"]

_LEAST_HEIGHT = 0.25
"""Autocorrelation below which a peak is no period. A server's day, in its noise, reaches 0.3 to 0.6; a beat 0.5 to 0.9."""
_LEAST_RISE = 0.15
"""How far a peak must stand above the lowest value before it: on a slow drift the autocorrelation only falls."""
_NEAR_HIGHEST = 0.85
"""Multiples of a period correlate about as well as the period itself; half of it clearly worse."""
_HUMP = 1.25
"""The first lag near the highest may be on the slope of a broad hump; its top lies within a quarter of the lag."""


def detect_period(values: NDArray[Any]) -> int:
    """Return the rows of one period, 0 where none is seen. At most a third of the rows: it must be seen three times.

    Shapes: values float [T] or [T, C], NaN = missing; of several channels the mean of their autocorrelations counts.
    """
    columns = values.reshape(len(values), -1)
    longest = len(columns) // 3
    if longest < 4:
        return 0
    correlations = [_autocorrelation(columns[:, channel], longest) for channel in range(columns.shape[1])]
    seen = [one for one in correlations if one is not None]
    return _first_peak(np.mean(seen, axis=0), len(columns)) if seen else 0


def _autocorrelation(column: NDArray[Any], longest: int) -> NDArray[np.float64] | None:
    """Return the correlation of a channel with itself at lags 0 .. longest, trend removed; None if it is constant."""
    x = column.astype(np.float64)
    observed = np.isfinite(x)
    if observed.sum() < 2 * longest:
        return None
    time = np.arange(len(x)) / len(x)
    slope, level = np.polyfit(time[observed], x[observed], 1)
    x = np.where(observed, x - (slope * time + level), 0.0)
    deviation = np.sqrt(np.square(x).sum() / observed.sum())
    if not deviation > 1e-6 * (abs(level) + abs(slope)):
        return None
    x = np.clip(x / deviation, -5, 5)  # a single spike must not be all that correlates
    size = next_fast_len(len(x) + longest + 1, real=True)
    products = irfft(np.square(np.abs(rfft(x, size))), size)[: longest + 1]
    pairs = irfft(np.square(np.abs(rfft(observed.astype(np.float64), size))), size)[: longest + 1]
    correlation: NDArray[np.float64] = products / np.maximum(pairs, 1) / (products[0] / pairs[0])
    return correlation


def _first_peak(correlation: NDArray[np.float64], rows: int) -> int:
    valley = np.minimum.accumulate(correlation)
    lags = np.arange(1, len(correlation) - 1)
    is_peak = (correlation[lags] >= correlation[lags - 1]) & (correlation[lags] > correlation[lags + 1])
    # Five standard errors of white noise, which has only chance peaks.
    least = max(_LEAST_HEIGHT, 5 / np.sqrt(rows))
    is_peak &= (correlation[lags] >= least) & (correlation[lags] - valley[lags] >= _LEAST_RISE)
    peaks = lags[is_peak & (lags >= 2)]
    if not len(peaks):
        return 0
    near = peaks[correlation[peaks] >= _NEAR_HIGHEST * correlation[peaks].max()]
    hump = peaks[(peaks >= near[0]) & (peaks <= _HUMP * near[0])]
    return int(hump[np.argmax(correlation[hump])])
