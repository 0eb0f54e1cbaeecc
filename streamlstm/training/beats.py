"""The period of what comes again and again, but unevenly: heartbeats, breaths, steps.

Over a whole recording uneven distances blur the autocorrelation until nothing is left of it. Over a few of them it is
sharp. So it is taken in short windows spread over the recording, and the period is what windows agree on. Windows twice
as long must agree too, since what chance or a wandering level shows grows with the window. It is sought in the series,
and in its envelope, the size of its slope: there beats stand out that differ in shape, or lie on a wandering line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import uniform_filter1d

__all__ = ["Beat", "find_beat"]

_SHORTEST, _LONGEST = 64, 1 << 14
"""Rows of a window. Longer ones are no few beats any more, and few of them fit into a recording."""
_LEAST_WINDOWS, _MOST_WINDOWS = 6, 48
_MOST_CHANNELS = 8
_LEAST_LAG = 8
"""Rows. What comes again sooner is noise of the sensor, or how it is sampled."""
_LEAST_HEIGHT, _LEAST_RISE = 0.4, 0.3
"""Of a peak: in one window of noise the autocorrelation reaches 0.3 by chance."""
_NEAR_HIGHEST = 0.75
_WINDOW_NEAR = 0.25
"""A window agrees with the median of all if it differs by no more, as a share of it."""
_NEAR = 0.15
"""Windows of two lengths agree if their medians differ by no more."""
_SURE, _SURE_IN_BOTH, _LIKELY = 0.6, 0.45, 0.25
"""Share of windows that agree. A quarter is enough where nothing else is known: noise and walks give none."""
_UPSIDE_DOWN = -0.3


@dataclass(frozen=True, slots=True)
class Beat:
    """Rows of one beat, and whether most windows agree on it."""

    rows: int
    is_sure: bool


@dataclass(frozen=True, slots=True)
class _Sight:
    """What windows of one length show: the median of their periods, and the share of windows that agree on it."""

    rows: int
    share: float


def find_beat(values: NDArray[Any], *, period: int = 0) -> Beat | None:
    """Return the beat of a series, or None.

    Shapes: values float [T] or [T, C], NaN = missing. `period` is what the whole series shows, 0 = nothing: where beats
    of two kinds take turns it is two beats.
    """
    columns = _moving(values.reshape(len(values), -1).astype(np.float64))
    if not columns:
        return None
    lengths = _lengths(len(values))
    plain = {length: _correlations(columns, length) for length in lengths}
    sights = {length: _sight(found) for length, found in plain.items()}
    envelopes = [_envelope(column) for column in columns]
    inside = {length: _sight(_correlations(envelopes, length)) for length in lengths}
    beat, within = _agreed(sights), _agreed(inside)
    # Of a sine the slope comes again after half a period, in which the sine itself is upside down.
    if within is not None and not _is_same_way_up(plain, within.rows):
        within = None
    whole = beat.rows if beat is not None else period
    if within is not None and whole and abs(2 * within.rows / whole - 1) <= _NEAR:
        return Beat(within.rows, is_sure=True)
    return beat or _shared(sights, inside) or within


def _lengths(rows: int) -> list[int]:
    lengths, length = [], _SHORTEST
    while length * _LEAST_WINDOWS <= rows and length <= _LONGEST:
        lengths.append(length)
        length *= 2
    return lengths


def _moving(columns: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the channels that vary, at most eight, evenly chosen; what is missing lies at the median."""
    found = []
    for column in columns.T:
        observed = np.isfinite(column)
        if 2 * observed.sum() < len(column):
            continue
        x = np.where(observed, column, np.median(column[observed]))
        if x.std() > 1e-6 * (np.abs(x).max() + 1e-300):
            found.append(x)
    picks = np.arange(min(len(found), _MOST_CHANNELS)) * len(found) // max(min(len(found), _MOST_CHANNELS), 1)
    return [found[pick] for pick in picks]


def _envelope(column: NDArray[np.float64]) -> NDArray[np.float64]:
    slope = np.abs(np.diff(column, prepend=column[0]))
    envelope: NDArray[np.float64] = np.minimum(slope, 2 * np.quantile(slope, 0.99))
    return envelope


def _correlations(columns: list[NDArray[np.float64]], length: int) -> NDArray[np.float64]:
    """Return autocorrelations [windows, lags to a third of the length], means over the channels."""
    rows = len(columns[0])
    starts = np.linspace(0, rows - length, min(rows // length, _MOST_WINDOWS)).astype(int)
    longest = length // 3
    time = np.arange(length) - (length - 1) / 2
    size = next_fast_len(length + longest + 1, real=True)
    pairs = 1 - np.arange(longest + 1) / length
    total: NDArray[np.float64] = np.zeros((len(starts), longest + 1))
    for column in columns:
        x = uniform_filter1d(column, (length // 128) | 1)[starts[:, None] + np.arange(length)]
        x -= x.mean(axis=1, keepdims=True)
        x -= (x @ time / (time @ time))[:, None] * time
        products = irfft(np.square(np.abs(rfft(x, size, axis=1))), size, axis=1)[:, : longest + 1]
        total += products / np.maximum(products[:, :1], 1e-300) / pairs
    total /= len(columns)
    return total


def _sight(correlations: NDArray[np.float64]) -> _Sight:
    found = np.array([_first_peak(one) for one in correlations])
    seen = found[found > 0]
    if not len(seen):
        return _Sight(1, 0.0)
    median = float(np.median(seen))
    return _Sight(round(median), float((np.abs(seen - median) <= _WINDOW_NEAR * median).sum() / len(found)))


def _first_peak(correlation: NDArray[np.float64]) -> int:
    lags = np.arange(2, len(correlation) - 1)
    valley = np.minimum.accumulate(correlation)
    is_peak = (correlation[lags] >= correlation[lags - 1]) & (correlation[lags] > correlation[lags + 1])
    is_peak &= (correlation[lags] >= _LEAST_HEIGHT) & (correlation[lags] - valley[lags] >= _LEAST_RISE)
    peaks = lags[is_peak]
    if not len(peaks):
        return 0
    first = int(peaks[correlation[peaks] >= _NEAR_HIGHEST * correlation[peaks].max()][0])
    return first if first >= _LEAST_LAG else 0


def _agreed(sights: dict[int, _Sight]) -> Beat | None:
    """Return what windows of one length and of twice that length agree on, the shortest such."""
    for length, one in sights.items():
        other = sights.get(2 * length)
        if other is None or min(one.share, other.share) < _LIKELY or abs(other.rows / one.rows - 1) > _NEAR:
            continue
        better = one if one.share >= other.share else other
        return Beat(better.rows, is_sure=min(one.share, other.share) >= _SURE)
    return None


def _shared(sights: dict[int, _Sight], inside: dict[int, _Sight]) -> Beat | None:
    """Return what windows of one length show both in the series and in its envelope, the shortest such."""
    for length, one in inside.items():
        other = sights[length]
        if min(one.share, other.share) >= _LIKELY and abs(other.rows / one.rows - 1) <= _NEAR / 2:
            return Beat(one.rows, is_sure=min(one.share, other.share) >= _SURE_IN_BOTH)
    return None


def _is_same_way_up(correlations: dict[int, NDArray[np.float64]], lag: int) -> bool:
    """Say whether the series is more like itself than upside down at about this lag."""
    for found in correlations.values():
        if found.shape[1] > 1.2 * lag:
            around = found.mean(axis=0)[int(0.9 * lag) : int(1.1 * lag) + 1]
            return bool(around.max() > _UPSIDE_DOWN)
    return False
