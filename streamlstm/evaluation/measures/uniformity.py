"""Whether p-values of clean data are uniform, as those of a calibrated detector are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["kolmogorov_distance"]


def kolmogorov_distance(p_values: ArrayLike) -> float:
    """Return the largest distance between the shares of p-values at or below p and p itself, over 0 <= p <= 1.

    0 is perfectly uniform. NaN are left out; NaN without any p-value. About 1.36 / sqrt(n) is what 5 % of samples of n
    independent uniform values exceed; those of neighbouring rows are not independent.
    """
    given = np.asarray(p_values, np.float64).ravel()
    ordered = np.sort(given[~np.isnan(given)])
    if not len(ordered):
        return float("nan")
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return float(max(np.max(steps[1:] - ordered), np.max(ordered - steps[:-1])))
