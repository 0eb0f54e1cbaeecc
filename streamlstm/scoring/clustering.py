"""k-means: so many centres that stand for many points. The same points give the same centres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import single_thread

__all__ = ["cluster"]

_SEED = 20261121
_ROUNDS = 20
"""Later rounds move centres by less than windows of a recording differ from one another."""


def cluster(points: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return centres of the points.

    Shapes: points float32 [N, D], N >= 1; centres float32 [count, D]. With fewer different points than centres, some
    centres are equal.
    Source: Arthur and Vassilvitskii 2007, "k-means++: the advantages of careful seeding"; then Lloyd's rounds.
    """
    squares = np.square(points).sum(axis=1)
    with single_thread():
        centres = _spread_out(points, squares, count)
        nearest = np.full(len(points), -1)
        for _ in range(_ROUNDS):
            before, nearest = nearest, _halved_distances(points, centres).argmin(axis=1)
            if np.array_equal(before, nearest):
                break
            members = np.zeros((len(points), count), np.float32)
            members[np.arange(len(points)), nearest] = 1.0
            held = members.sum(axis=0)
            means = (members.T @ points) / np.maximum(held, 1.0)[:, None]
            centres = np.where(held[:, None] > 0, means, centres)  # whom no point is nearest to stays where it is
    return np.ascontiguousarray(centres, np.float32)


def _spread_out(points: NDArray[np.float32], squares: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Choose points one by one, each with a probability that grows with its squared distance from those chosen."""
    rng = np.random.default_rng(_SEED)
    chosen = [int(rng.integers(len(points)))]
    distances = np.full(len(points), np.inf, np.float32)
    while len(chosen) < count:
        last = points[chosen[-1]]
        distances = np.minimum(distances, np.maximum(squares - 2.0 * (points @ last) + squares[chosen[-1]], 0.0))
        reached = np.cumsum(distances, dtype=np.float64)
        chosen.append(min(int(np.searchsorted(reached, rng.random() * reached[-1], side="right")), len(points) - 1))
    return points[chosen]


def _halved_distances(points: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return |c|^2 / 2 - p.c for each point and centre: half the squared distance, but for what all centres share."""
    halved: NDArray[np.float32] = np.square(centres).sum(axis=1) / 2.0 - points @ centres.T
    return halved
