"""Half-space trees, which go on learning: how sparse the cells are in which a sample falls.

A tree cuts the space of all channels into halves, a random channel at a random place, `height` times. Each node counts
the samples of the window before, its mass. A sample is scored by the masses on its path: the sum of mass * 2^depth down
to the first node with fewer than a tenth of a window, or to the leaf; large sums are normal.

Scores, trees and random numbers are those of `HalfSpaceTrees` in river 0.26, as long as no value is missing; there a
tree is walked once a sample, here once a level for thousands of samples.

Source: Tan, Ting and Liu, Fast anomaly detection for streaming data, IJCAI 2011.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.evaluation.baselines.baseline import prepare

__all__ = ["HalfSpaceTrees"]

_PADDING = 0.15
"""No cut lies nearer to a border of its cell."""
_SPARSE = 0.1
"""Share of a window below which a node's samples are too few to look further."""
_MARGIN = 0.5
"""The cut space reaches this far beyond the warm-up's range, in ranges, on both sides."""
_WINDOWS_AT_A_TIME = 16


@dataclass(frozen=True, slots=True)
class HalfSpaceTrees:
    """An ensemble of half-space trees; units: window in rows."""

    trees: int = 25
    height: int = 8
    window: int = 250
    seed: int = 1

    name: ClassVar[str] = "half-space trees"
    fewest_channels: ClassVar[int] = 1

    def scores(self, values: ArrayLike, warm_up: int) -> NDArray[np.float64]:
        """Score a series [T, C]; the first window has no masses before it, and no scores."""
        prepared = prepare(values, warm_up)
        low, high = prepared.values[:warm_up].min(axis=0), prepared.values[:warm_up].max(axis=0)
        reach = np.where(high > low, high - low, 1.0)
        within = (prepared.values - low + _MARGIN * reach) / ((1.0 + 2.0 * _MARGIN) * reach)
        return prepared.finished(self.unit_scores(within))

    def unit_scores(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Score samples [T, C] whose usual values lie between 0 and 1; NaN in the first window."""
        rng = random.Random(self.seed)  # noqa: S311 - the library's own numbers, no secret
        drawn = [_cuts(self.height, values.shape[1], rng) for _ in range(self.trees)]
        channels, places = (np.array(every) for every in zip(*drawn, strict=True))
        scores = np.full(len(values), np.nan)
        before = np.zeros((self.trees, 2**self.height))
        largest = self.trees * self.window * (2 ** (self.height + 1) - 1)
        for begin in range(0, len(values), self.window * _WINDOWS_AT_A_TIME):
            some = values[begin : begin + self.window * _WINDOWS_AT_A_TIME]
            leaves = self._leaves(some, channels, places)
            number = np.arange(len(some)) // self.window
            masses = self._masses(leaves, number)
            reference = np.concatenate([before[None], masses])
            worth = self._worth_of_leaves(reference[: number[-1] + 1])
            sums = worth[number[:, None], np.arange(self.trees), leaves].sum(axis=1)
            scores[begin : begin + len(some)] = 1.0 - sums / largest
            before = reference[-1]
        scores[: self.window] = np.nan
        return scores

    def _leaves(
        self, values: NDArray[np.float64], channels: NDArray[np.int64], places: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return the number of the leaf [N, trees] in which each sample ends, from the left.

        Nodes are numbered from 1; those below node n are 2 n and 2 n + 1.
        """
        flat, first = np.ascontiguousarray(values).ravel(), np.arange(len(values)) * values.shape[1]
        leaves = np.empty((len(values), self.trees), np.int64)
        for tree in range(self.trees):
            node = np.ones(len(values), np.int64)
            for _ in range(self.height):
                is_right = flat.take(first + channels[tree].take(node)) >= places[tree].take(node)
                node += node
                node += is_right
            leaves[:, tree] = node - 2**self.height
        return leaves

    def _masses(self, leaves: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.float64]:
        """Count the samples of each window, tree and leaf: [windows, trees, leaves]."""
        windows, count = int(number[-1]) + 1, 2**self.height
        cells = (number[:, None] * self.trees + np.arange(self.trees)) * count + leaves
        counts = np.bincount(cells.ravel(), minlength=windows * self.trees * count)
        return counts.reshape(windows, self.trees, count).astype(np.float64)

    def _worth_of_leaves(self, masses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what a sample that ends in each leaf adds up on its way, given the leaves' masses [.., leaves]."""
        worth, is_walking = np.zeros_like(masses), np.ones(masses.shape, np.bool_)
        for depth in range(self.height + 1):
            below = 2 ** (self.height - depth)
            nodes = masses.reshape(*masses.shape[:-1], -1, below).sum(axis=-1)
            mass = np.repeat(nodes, below, axis=-1)
            worth += np.where(is_walking, mass * 2.0**depth, 0.0)
            is_walking &= mass >= _SPARSE * self.window
        return worth


def _cuts(height: int, count: int, rng: random.Random) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draw a tree over the unit cube: which channel each node cuts, and where; nodes are numbered from 1."""
    channels, places = np.zeros(2**height, np.int64), np.zeros(2**height)
    limits = [(0.0, 1.0)] * count

    def draw(node: int) -> None:
        if node >= len(channels):
            return
        channel = rng.choices(range(count), weights=[high - low for low, high in limits])[0]
        low, high = limits[channel]
        place = rng.uniform(low + _PADDING * (high - low), high - _PADDING * (high - low))
        channels[node], places[node] = channel, place
        for below, part in ((2 * node, (low, place)), (2 * node + 1, (place, high))):
            limits[channel] = part
            draw(below)
        limits[channel] = (low, high)

    draw(1)
    return channels, places
