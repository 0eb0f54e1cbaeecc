"""Whether a budget of false alarms holds: openings against what was asked, by stream and in total."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.errors import DataError

__all__ = ["BudgetSpread", "spent_budget"]


@dataclass(frozen=True, slots=True)
class BudgetSpread:
    """Realised over asked.

    Shapes: ratios [S], openings over the openings that were asked for, NaN for a stream that was not watched.
    """

    ratios: NDArray[np.float64]
    total: float
    """All openings over all that were asked for: a budget that holds on average may be spent by few streams."""
    within_2x: float
    """Share of streams that opened between half and twice what was asked, to whole openings.

    Openings are whole: where 0.3 were asked for, 0 and 1 are within, as are 1 to 5 where 2.4 were.
    """
    above_2x: float
    """Share of streams that opened more than that."""


def spent_budget(openings: ArrayLike, watched: ArrayLike, asked: float) -> BudgetSpread:
    """Hold the openings of clean streams against a budget.

    Shapes: openings, watched [S]. Units: watched in the time, or rows, for which `asked` openings are allowed: days for
    a budget by stream-day. Shares are NaN without a stream that was watched.

    Raises: DataError when a budget is not above 0 or a count is negative.
    """
    counts, times = np.asarray(openings, np.float64), np.asarray(watched, np.float64)
    if counts.shape != times.shape or not asked > 0 or (counts < 0).any() or (times < 0).any():
        shapes = f"{counts.shape} and {times.shape}"
        raise DataError(f"expected openings and times >= 0, one a stream, and a budget > 0, got {shapes} and {asked}")
    allowed = asked * times
    is_watched = allowed > 0
    ratios = np.divide(counts, allowed, out=np.full(len(counts), np.nan), where=is_watched)
    counts, allowed = counts[is_watched], allowed[is_watched]
    if not len(counts):
        return BudgetSpread(ratios, float("nan"), float("nan"), float("nan"))
    is_above = counts > np.ceil(2 * allowed)
    is_within = ~is_above & (counts >= np.floor(allowed / 2))
    return BudgetSpread(ratios, float(counts.sum() / allowed.sum()), float(is_within.mean()), float(is_above.mean()))
