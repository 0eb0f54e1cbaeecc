"""How far the newest window lies from every normal one: k-means centres of the warm-up's windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from streamlstm.evaluation.baselines.baseline import prepare, trailing_sums
from streamlstm.evaluation.measures.rules import estimated_window

__all__ = ["NearestPrototype"]

_MOST_TAPS = 64
_FITTED_WINDOWS = 2048
_ROUNDS = 10
_ROWS_AT_A_TIME = 8192
_SEED = 1


@dataclass(frozen=True, slots=True)
class NearestPrototype:
    """The squared distance of the newest window to the nearest centre, each channel's mean in the window taken away.

    A window holds one period of the warm-up's first channel, 8 to 64 rows and a quarter of the warm-up at most, of all
    channels together.
    """

    centres: int = 128

    name: ClassVar[str] = "nearest prototype"
    fewest_channels: ClassVar[int] = 1

    def scores(self, values: ArrayLike, warm_up: int) -> NDArray[np.float64]:
        """Score a series [T, C]."""
        prepared = prepare(values, warm_up)
        taps = min(max(estimated_window(prepared.values[:warm_up, 0]), 8), _MOST_TAPS, warm_up // 4)
        series = np.ascontiguousarray(prepared.values.T)
        fitted = np.linspace(taps - 1, warm_up - 1, min(_FITTED_WINDOWS, warm_up - taps + 1)).astype(np.int64)
        centres = _centres(_without_means(_windows(series, fitted, taps), taps), self.centres)
        # Centres have no mean in any channel, so that windows need none taken away to be multiplied with them.
        sums = trailing_sums(prepared.values, taps)
        squares = (trailing_sums(prepared.values**2, taps) - sums**2 / taps).sum(axis=1)
        own, scores = (centres**2).sum(axis=1), np.zeros(len(squares))
        for begin in range(warm_up, len(scores), _ROWS_AT_A_TIME):
            rows = np.arange(begin, min(begin + _ROWS_AT_A_TIME, len(scores)))
            nearest = (own - 2.0 * (_windows(series, rows, taps) @ centres.T)).min(axis=1)
            scores[rows] = np.maximum(squares[rows] + nearest, 0.0)
        return prepared.finished(scores)


def _windows(series: NDArray[np.float64], last: NDArray[np.int64], taps: int) -> NDArray[np.float64]:
    """Return the windows of a series [C, T] that end in these rows [N], as rows [N, C * taps]."""
    windows = sliding_window_view(series, taps, axis=1)[:, last - taps + 1]
    rows: NDArray[np.float64] = np.concatenate(list(windows), axis=1)
    return rows


def _without_means(windows: NDArray[np.float64], taps: int) -> NDArray[np.float64]:
    """Take each channel's mean from its part of each window."""
    by_channel = windows.reshape(len(windows), -1, taps)
    means: NDArray[np.float64] = np.repeat(by_channel.mean(axis=2), taps, axis=1)
    return windows - means


def _centres(windows: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return at most `count` centres: k-means++ for the first ones, then Lloyd's rounds; as many as windows differ."""
    rng = np.random.default_rng(_SEED)
    squares = (windows**2).sum(axis=1)

    def distances_to(centres: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = squares[:, None] - 2.0 * (windows @ centres.T) + (centres**2).sum(axis=1)
        return np.maximum(found, 0.0)

    chosen = [0]
    distances = distances_to(windows[:1])[:, 0]
    # What is left of the distance between equal windows is rounding.
    least = 1e-9 * max(float(squares.max()), 1e-9)
    while len(chosen) < count and distances.max() > least:
        chosen.append(int(rng.choice(len(windows), p=distances / distances.sum())))
        distances = np.minimum(distances, distances_to(windows[chosen[-1:]])[:, 0])
    centres = windows[chosen]
    for _ in range(_ROUNDS):
        is_nearest = np.zeros((len(centres), len(windows)))
        is_nearest[np.argmin(distances_to(centres), axis=1), np.arange(len(windows))] = 1.0
        members = is_nearest.sum(axis=1)[:, None]
        centres = np.where(members > 0, is_nearest @ windows / np.maximum(members, 1.0), centres)
    return centres
