"""UCR top-1: whether the highest score of a series lies at its anomaly.

Source: Wu and Keogh, Current time series anomaly detection benchmarks are flawed, TKDE 2021: exactly one anomaly a
series, found when the most anomalous row lies within 100 rows of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from streamlstm.evaluation.measures.labels import label_spans, rankable

__all__ = ["NEAR_ROWS", "top_1"]

NEAR_ROWS = 100


def top_1(scores: ArrayLike, labels: ArrayLike, near: int = NEAR_ROWS) -> bool | None:
    """Return whether the peak, the first of equals, lies within `near` rows of an event; None where there is none.

    Shapes: scores, labels [T]. A row without a score (NaN) ranks last.
    """
    ranked, marked = rankable(scores, labels)
    spans = label_spans(marked)
    if not len(spans):
        return None
    peak = int(np.argmax(ranked))
    return bool(np.any((spans[:, 0] - near <= peak) & (peak <= spans[:, 1] + near)))
