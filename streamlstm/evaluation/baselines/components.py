"""What the usual directions across channels do not explain: the squared prediction error of PCA on plain samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.evaluation.baselines.baseline import prepare

__all__ = ["PrincipalComponents"]


@dataclass(frozen=True, slots=True)
class PrincipalComponents:
    """The squared distance of a standardised sample from the plane of the warm-up's main components.

    These are as few as hold `share` of the variance, and at least one direction is always left out. With one channel
    nothing is: it needs two.
    """

    share: float = 0.5

    name: ClassVar[str] = "PCA"
    fewest_channels: ClassVar[int] = 2

    def scores(self, values: ArrayLike, warm_up: int) -> NDArray[np.float64]:
        """Score a series [T, C]."""
        prepared = prepare(values, warm_up, fewest_channels=self.fewest_channels)
        samples = prepared.values[:warm_up]
        variances, directions = np.linalg.eigh(samples.T @ samples)
        held = np.cumsum(variances[::-1]) / max(variances.sum(), np.finfo(np.float64).tiny)
        kept = min(int(np.searchsorted(held, self.share)) + 1, len(held) - 1)
        return prepared.finished(((prepared.values @ directions[:, :-kept]) ** 2).sum(axis=1))
