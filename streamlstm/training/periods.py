"""The period of a series, by autocorrelation over all of it, and over short windows where beats come unevenly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import uniform_filter1d

from streamlstm.training.beats import find_beat

__all__ = ["detect_period"]

_LEAST_PERIOD = 6
"""Rows. Fewer show no shape: what comes again after three rows is how a channel is sampled."""

_LEAST_HEIGHT = 0.25
"""Autocorrelation below which a peak is no period. A server's day, in its noise, reaches 0.3 to 0.6, a beat 0.9."""
_LEAST_RISE = 0.15
"""How far a peak must stand above the lowest value before it: on a slow drift the autocorrelation only falls."""
_NEAR_HIGHEST = 0.75
"""Multiples of a period correlate about as well as the period itself; half of it clearly worse."""
_SAME = 0.15
"""Two periods that differ by less are one, which the whole series shows more sharply."""
_WIDTHS = (1, 4, 16)
_MOST_ROWS = 1 << 18
"""The latest rows that are looked at: a period that is not seen three times in them is no window of training's."""
_HUMP = 1.25
"""The first lag near the highest may be on the slope of a broad hump; its top lies within a quarter of the lag."""


def detect_period(values: NDArray[Any]) -> int:
    """Return the rows of one period, 0 where none is seen. At most a third of the rows: it must be seen three times.

    Shapes: values float [T] or [T, C], NaN = missing; of several channels the mean of their autocorrelations counts.
    What the whole series shows counts, unless most short windows agree on another beat; where it shows nothing, a beat
    on which some of them agree does.
    """
    latest = values[-_MOST_ROWS:].reshape(min(len(values), _MOST_ROWS), -1).astype(np.float64)
    whole = _period_of_all(latest)
    beat = find_beat(latest, period=whole)
    if beat is None or (whole and (not beat.is_sure or abs(beat.rows / whole - 1) <= _SAME)):
        return whole
    return beat.rows


def _period_of_all(columns: NDArray[np.float64]) -> int:
    """Seek a period in the series as it is, then in its means of 4 and of 16 rows, where noise hides less of it."""
    longest = len(columns) // 3
    for width in _WIDTHS:
        if longest < 4 * width:
            break
        correlations = [_autocorrelation(columns[:, c], longest, width) for c in range(columns.shape[1])]
        seen = [one for one in correlations if one is not None]
        period = _first_peak(np.mean(seen, axis=0), len(columns), width) if seen else 0
        if period:
            return period
    return 0


def _autocorrelation(column: NDArray[np.float64], longest: int, width: int) -> NDArray[np.float64] | None:
    """Return the autocorrelation of a channel's means of `width` rows at lags 0 .. longest; None if it is constant."""
    x, observed = column, np.isfinite(column)
    if observed.sum() < 2 * longest:
        return None
    low, high = np.quantile(x[observed], (0.01, 0.99))
    if high > low:  # a single spike must be neither the trend nor all that correlates
        x = np.clip(x, low - (high - low), high + (high - low))
    time = np.arange(len(x)) / len(x)
    slope, level = np.polyfit(time[observed], x[observed], 1)
    x = np.where(observed, x - (slope * time + level), 0.0)
    deviation = np.sqrt(np.square(x).sum() / observed.sum())
    if not deviation > 1e-6 * (abs(level) + abs(slope)):
        return None
    if width > 1:
        x = uniform_filter1d(x, width)
    size = next_fast_len(len(x) + longest + 1, real=True)
    products = irfft(np.square(np.abs(rfft(x, size))), size)[: longest + 1]
    pairs = irfft(np.square(np.abs(rfft(observed.astype(np.float64), size))), size)[: longest + 1]
    correlation: NDArray[np.float64] = products / np.maximum(pairs, 1) / (products[0] / pairs[0])
    return correlation


def _first_peak(correlation: NDArray[np.float64], rows: int, width: int) -> int:
    valley = np.minimum.accumulate(correlation)
    lags = np.arange(1, len(correlation) - 1)
    is_peak = (correlation[lags] >= correlation[lags - 1]) & (correlation[lags] > correlation[lags + 1])
    # Five standard errors of white noise, which has only chance peaks; neighbouring means share their rows.
    least = max(_LEAST_HEIGHT, 5 / np.sqrt(rows / width))
    is_peak &= (correlation[lags] >= least) & (correlation[lags] - valley[lags] >= _LEAST_RISE)
    peaks = lags[is_peak & (lags >= max(_LEAST_PERIOD, 3 * width))]
    if not len(peaks):
        return 0
    near = peaks[correlation[peaks] >= _NEAR_HIGHEST * correlation[peaks].max()]
    # Noise leaves small peaks on a broad hump: its top is that of the means over an eighth of the lag, an odd number of
    # rows, so that they lie in the middle.
    smooth = uniform_filter1d(correlation, (near[0] // 8) | 1)
    hump = lags[(lags >= near[0]) & (lags <= _HUMP * near[0])]
    return int(hump[np.argmax(smooth[hump])])
