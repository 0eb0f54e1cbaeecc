"""What is measured of one scored series, by name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.labelled.rules import rules_of
from streamlstm.evaluation.labelled.series import LabelledSeries
from streamlstm.evaluation.measures.volume import auc_pr, vus_pr

__all__ = ["ranking_measures"]


def ranking_measures(one: LabelledSeries, scores: NDArray[np.float64]) -> dict[str, float]:
    """Return how well scores rank the judged rows of a series; NaN where it has no label.

    Shapes: scores [T], of the rows that are judged.
    """
    rules, labels = rules_of(one.set_name), one.judged_labels
    return {"vus_pr": vus_pr(scores, labels, rules.vus_window), "auc_pr": auc_pr(scores, labels)}
