"""Rows of a recording that are of another kind than the others: an odd beat among those that are to be normal.

Five minutes of a heart's beats are seldom all normal. If odd ones calibrate too, an odd beat later is as unlikely as it
is rare, one in a hundred, and no alarm. How far windows are from the nearest prototype shows them: of normal beats
the logarithm of this distance makes one hill, of others a second hill above it, with a valley between. A tail that is
only heavy falls and falls, and has none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["odd_level"]

_MOST = 0.15
"""Share of rows at most that are odd: what is more frequent is one of two normal kinds."""
_LEAST = 0.002
"""And at least: a hill of fewer is a window or two that happened to be there."""
_FROM = 0.7
"""Quantile above which the valley is sought: most rows lie on the first hill."""
_STEP, _WIDTH = 0.05, 0.3
"""Of the logarithm: a valley is narrower than a third."""
_DEPTH = 1 / 3
"""Rows in the valley at most, of those on the hill behind it."""
_TINY = 1e-12


def odd_level(distances: NDArray[np.float64]) -> float:
    """Return the distance from which on rows are of another kind; infinity where there is one kind only.

    Shapes: distances [N], 0 or more.
    """
    logs = np.sort(np.log(np.maximum(distances, _TINY)))
    if not len(logs):
        return np.inf
    grid = np.arange(logs[int(_FROM * len(logs))], logs[-1], _STEP)
    if not len(grid):
        return np.inf
    near = (np.searchsorted(logs, grid + _WIDTH / 2) - np.searchsorted(logs, grid - _WIDTH / 2)) / len(logs)
    above = 1 - np.searchsorted(logs, grid) / len(logs)
    behind = np.maximum.accumulate(near[::-1])[::-1]
    is_valley = (above <= _MOST) & (above >= _LEAST) & (near <= _DEPTH * behind)
    if not is_valley.any():
        return np.inf
    candidates = np.flatnonzero(is_valley)
    return float(np.exp(grid[candidates[np.argmin(near[candidates] / behind[candidates])]]))
