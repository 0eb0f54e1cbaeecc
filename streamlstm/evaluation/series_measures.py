"""What is measured of one scored series: numbers by name, and the counts that add up over a set."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.labelled.series import LabelledSeries
from streamlstm.evaluation.labelled.sets import traits_of
from streamlstm.evaluation.measures.events import EventCounts, count_events
from streamlstm.evaluation.measures.labels import label_spans
from streamlstm.evaluation.measures.nab import NabFile
from streamlstm.evaluation.measures.rules import RULES, estimated_window, rules_of
from streamlstm.evaluation.measures.ucr import top_1
from streamlstm.evaluation.measures.uniformity import kolmogorov_distance
from streamlstm.evaluation.measures.volume import auc_pr, vus_pr
from streamlstm.evaluation.scored import ScoredSeries

__all__ = ["NabScores", "alert_counts", "clean_distance", "days_judged", "nab_scores", "ranking_measures"]

_ROWS_PER_DAY_WITHOUT_CLOCK = 10_000


@dataclass(frozen=True, slots=True)
class NabScores:
    """A file of NAB as it was scored: NAB adds up over all files before it compares.

    Shapes: scores float64 [rows of the file], NaN = none; openings [K], None for a method that raises no alerts.
    """

    file: NabFile
    scores: NDArray[np.float64]
    openings: NDArray[np.int64] | None


def ranking_measures(one: LabelledSeries, scores: NDArray[np.float64]) -> dict[str, float]:
    """Return how well scores rank the judged rows of a series; NaN where it has no label.

    Shapes: scores [T], of the rows that are judged.
    """
    labels = one.judged_labels
    found = {"vus_pr": vus_pr(scores, labels, _window(one)), "auc_pr": auc_pr(scores, labels)}
    if traits_of(one.set_name).has_one_anomaly:
        is_found = top_1(scores, labels)
        found["top_1"] = math.nan if is_found is None else float(is_found)
    return found


def alert_counts(one: LabelledSeries, scored: ScoredSeries) -> EventCounts:
    """Hold the alerts of a series against its labels."""
    tolerance = rules_of(one.set_name).tolerance
    return count_events(scored.opened, one.judged_labels, tolerance, closings=scored.closed)


def days_judged(one: LabelledSeries) -> float:
    """Return how long the judged part is; without a clock a day is 10,000 rows, as it is for the budget."""
    rows = len(one.judged_labels)
    period_s = one.series.period_s
    return rows * period_s / 86_400 if period_s else rows / _ROWS_PER_DAY_WITHOUT_CLOCK


def clean_distance(one: LabelledSeries, scored: ScoredSeries) -> float:
    """Return how far the p-values of unlabelled rows are from uniform ones."""
    return kolmogorov_distance(scored.p_value[~one.judged_labels])


def nab_scores(
    one: LabelledSeries, scores: NDArray[np.float64], openings: NDArray[np.int64] | None
) -> NabScores | None:
    """Return what NAB's scorer needs of a series; None where it does not judge the set.

    Shapes: scores [T] and openings [K], of the rows that are judged.
    """
    if not traits_of(one.set_name).is_nab:
        return None
    whole = np.concatenate([np.full(one.train_len, np.nan), scores])
    file = NabFile(len(whole), label_spans(one.labels))
    return NabScores(file, whole, None if openings is None else openings + one.train_len)


def _window(one: LabelledSeries) -> int:
    """Return the widest border of VUS-PR: that of the set, or for a set that is not known one found in the warm-up."""
    if one.set_name in RULES:
        return rules_of(one.set_name).vus_window
    return estimated_window(np.nan_to_num(one.series.values[: one.train_len, 0]))
