"""Baselines of one moment or two: how far a value lies from where it is expected, over the usual distance.

Each scores the mean over channels of the squared distance, in which a moving deviation has a floor of 1 % of the
warm-up's: a channel that stands still would make the least move infinite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import lfilter

from streamlstm.evaluation.baselines.baseline import prepare, trailing_sums

__all__ = ["EwmaZ", "MovingGaussian", "SecondDifference", "TrainingZ"]

_LEAST_VARIANCE = 1e-4


@dataclass(frozen=True, slots=True)
class SecondDifference:
    """x(t) - 2 x(t-1) + x(t-2), squared, over its mean square in the warm-up."""

    name: ClassVar[str] = "second difference"
    fewest_channels: ClassVar[int] = 1

    def scores(self, values: ArrayLike, warm_up: int) -> NDArray[np.float64]:
        """Score a series [T, C]."""
        prepared = prepare(values, warm_up)
        squares = np.zeros_like(prepared.values)
        squares[2:] = np.diff(prepared.values, n=2, axis=0) ** 2
        usual = squares[2:warm_up].mean(axis=0)
        return prepared.finished((squares / np.maximum(usual, _LEAST_VARIANCE)).mean(axis=1))


@dataclass(frozen=True, slots=True)
class TrainingZ:
    """The distance from the warm-up's mean, over the warm-up's deviation."""

    name: ClassVar[str] = "training z"
    fewest_channels: ClassVar[int] = 1

    def scores(self, values: ArrayLike, warm_up: int) -> NDArray[np.float64]:
        """Score a series [T, C]."""
        prepared = prepare(values, warm_up)
        return prepared.finished((prepared.values**2).mean(axis=1))


@dataclass(frozen=True, slots=True)
class EwmaZ:
    """The distance from an exponentially weighted mean, over the deviation that is weighted alike; then both learn.

    m(t) = m + weight d,  v(t) = (1 - weight) (v + weight d^2),  d = x(t) - m; from m = 0 and v = 1 on. A weight of
    0.001 remembers about 1,000 rows.
    """

    weight: float = 0.001

    name: ClassVar[str] = "EWMA z"
    fewest_channels: ClassVar[int] = 1

    def scores(self, values: ArrayLike, warm_up: int) -> NDArray[np.float64]:
        """Score a series [T, C]."""
        prepared = prepare(values, warm_up)
        kept = 1.0 - self.weight
        start = np.zeros((1, prepared.values.shape[1]))
        means = np.concatenate([start, lfilter([self.weight], [1.0, -kept], prepared.values, axis=0)])[:-1]
        squares = (prepared.values - means) ** 2
        learned, _ = lfilter([self.weight * kept], [1.0, -kept], squares, axis=0, zi=start + kept)
        variances = np.concatenate([start + 1.0, learned])[:-1]
        return prepared.finished((squares / np.maximum(variances, _LEAST_VARIANCE)).mean(axis=1))


@dataclass(frozen=True, slots=True)
class MovingGaussian:
    """The distance from the mean of the rows before, over their deviation."""

    window: int = 2048

    name: ClassVar[str] = "moving Gaussian"
    fewest_channels: ClassVar[int] = 1

    def scores(self, values: ArrayLike, warm_up: int) -> NDArray[np.float64]:
        """Score a series [T, C]."""
        prepared = prepare(values, warm_up)
        counts = np.minimum(np.arange(1, len(prepared.values)), self.window)[:, None]
        means = trailing_sums(prepared.values, self.window)[:-1] / counts
        variances = trailing_sums(prepared.values**2, self.window)[:-1] / counts - means**2
        scores = np.zeros(len(prepared.values))
        distances = (prepared.values[1:] - means) ** 2 / np.maximum(variances, _LEAST_VARIANCE)
        scores[1:] = distances.mean(axis=1)
        return prepared.finished(scores)
