"""What turns statistics of samples into scores: numbers that `streamlstm.scoring.calibration` fits, and no code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels.faces import check_array

__all__ = ["Calibration", "StackedTails", "Tail"]


@dataclass(frozen=True, slots=True)
class Tail:
    """-ln P(statistic > x): linear between knots, generalised Pareto beyond the last.

    Shapes: statistic, surprise float64 [K], both rising; surprise = -ln p. `weight` is what a surprise counts for in a
    sum with others.
    """

    statistic: NDArray[np.float64]
    surprise: NDArray[np.float64]
    shape: float
    scale: float
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_array("statistic", self.statistic, np.float64, (None,))
        check_array("surprise", self.surprise, np.float64, (len(self.statistic),))
        for name, knots in (("statistic", self.statistic), ("surprise", self.surprise)):
            if not len(knots) or not (np.diff(knots) >= 0).all():
                raise ShapeError(f"{name}: expected at least one knot, and knots that do not fall")
        if not (0.0 <= self.shape < math.inf and 0.0 < self.scale < math.inf):
            raise ShapeError(f"expected a tail of shape 0 or more and scale above 0, got {self.shape} and {self.scale}")

    @property
    def fit(self) -> NDArray[np.float64]:
        """Shape and scale as the kernels take them."""
        return np.array([self.shape, self.scale])

    def surprise_of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return -ln p of values. The kernel computes the same per sample; this is its readable twin."""
        body = np.interp(values, self.statistic, self.surprise)
        excess = np.maximum(values - self.statistic[-1], 0.0) / self.scale
        beyond = np.log1p(self.shape * excess) / self.shape if self.shape > 0 else excess
        return np.asarray(np.where(values <= self.statistic[0], self.surprise[0], body + beyond))


class StackedTails(NamedTuple):
    """Tails of P parts as the kernels take them.

    Shapes: statistics, surprises float64 [P, K]; fits float64 [P, 2]; weights float64 [P].
    """

    statistics: NDArray[np.float64]
    surprises: NDArray[np.float64]
    fits: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, tails: Mapping[str, Tail]) -> StackedTails:
        """Stack tails in their order. Raises: ShapeError unless all have as many knots."""
        held = tails.values()
        if len({len(tail.statistic) for tail in held}) != 1:
            raise ShapeError("tails: expected as many knots in each")
        return cls(
            np.stack([tail.statistic for tail in held]),
            np.stack([tail.surprise for tail in held]),
            np.stack([tail.fit for tail in held]),
            np.array([tail.weight for tail in held]),
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """The fitted numbers of each branch of the score, the tails of the branches' parts, and the tail of their sum.

    `branches` holds each branch's own arrays by its name; `tails` has one by the name of each part, such as
    "reconstruction/16", branch by branch; `total` is that of the weighted sum of their surprises. `runs` holds how long
    a channel may keep one value, and have none, and `usual` where windows of the streams lie, by which a new one is
    told from them; both are empty in bundles of earlier releases.
    Units: rows were calibrated on; cluster_rows is how many samples in a row pass a high level together; burn_in,
    warm_up and horizon are in samples: a stream younger than burn_in is not measured, one younger than warm_up has no
    score, and horizon is how slowly its level follows it.
    """

    branches: Mapping[str, Mapping[str, NDArray[Any]]]
    tails: Mapping[str, Tail]
    total: Tail
    rows: int
    cluster_rows: float
    burn_in: int
    warm_up: int
    horizon: int
    runs: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    usual: Mapping[str, NDArray[Any]] = field(default_factory=dict)
