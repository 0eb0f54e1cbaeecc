"""VUS-PR and AUC-PR: by hand, against a plain second computation, and what holds for any scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from evaluation.measures import volume_oracle
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.evaluation.measures.labels import label_spans, spans_as_labels
from streamlstm.evaluation.measures.volume import auc_pr, vus_pr

NAN = float("nan")


@st.composite
def labelled_scores(draw: st.DrawFn, most: int = 40) -> tuple[list[float], list[int]]:
    """Scores with ties, and labels of which some are set and some are not."""
    rows = draw(st.integers(2, most))
    scores = draw(st.lists(st.integers(-6, 6).map(float), min_size=rows, max_size=rows))
    labels = draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows).filter(lambda all_: 0 < sum(all_) < rows))
    return scores, labels


def random_case(seed: int, rows: int, events: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = np.zeros(rows, np.int64)
    for begin in rng.integers(0, rows, events):
        labels[begin : begin + rng.integers(1, 30)] = 1
    return np.convolve(rng.normal(size=rows) + labels, np.ones(5) / 5, "same"), labels


def test_average_precision_by_hand() -> None:
    assert auc_pr([4, 3, 2, 1], [1, 0, 1, 0]) == pytest.approx((1 + 2 / 3) / 2)
    assert auc_pr([1, 1, 1, 1], [1, 0, 0, 0]) == 1 / 4


def test_volume_by_hand() -> None:
    # Without borders: recall steps at the two labelled rows, where half and two thirds of the flagged are labelled.
    assert vus_pr([4, 3, 2, 1], [0, 1, 1, 0], 0) == pytest.approx(1 / 2 * 1 / 2 + 1 / 2 * 2 / 3)
    # While one of two events is missing, recall counts half.
    assert vus_pr([4, 3, 2, 1], [1, 0, 1, 0], 0) == pytest.approx(1 / 4 * 1 + 3 / 4 * 2 / 3)
    # Width 2 gives each neighbour sqrt(1/2); widths 0 and 1 give nothing.
    s = math.sqrt(0.5)
    recalls = [0, s / (1 + s / 2), 1.0, 1.0]
    steps = np.diff(recalls) @ [s, (1 + s) / 2, (1 + 2 * s) / 3]
    assert vus_pr([5, 4, 3, 2, 1], [0, 1, 0, 0, 0], 2) == pytest.approx((2 * (1 / 2) + steps) / 3)


@given(labelled_scores(), st.integers(0, 12))
def test_agrees_with_the_definition(case: tuple[list[float], list[int]], window: int) -> None:
    scores, labels = case
    assert vus_pr(scores, labels, window) == pytest.approx(volume_oracle.vus_pr(scores, labels, window), abs=1e-12)
    assert auc_pr(scores, labels) == pytest.approx(volume_oracle.average_precision(scores, labels), abs=1e-12)


@pytest.mark.parametrize(("rows", "events", "window"), [(260, 1, 24), (400, 3, 9), (700, 25, 14)])
def test_agrees_with_the_definition_on_longer_series(rows: int, events: int, window: int) -> None:
    """More rows than thresholds, so that the ranks of the thresholds matter."""
    scores, labels = random_case(rows, rows, events)
    labels[:2] = labels[-3:] = 1
    want = volume_oracle.vus_pr(scores.tolist(), labels.tolist(), window)
    assert vus_pr(scores, labels, window) == pytest.approx(want, abs=1e-12)


@given(labelled_scores(most=60), st.integers(0, 40))
def test_a_measure_of_rank_is_bounded_and_sees_ranks_alone(case: tuple[list[float], list[int]], window: int) -> None:
    scores, labels = np.array(case[0]), np.array(case[1])
    for measure in (auc_pr, lambda scores, labels: vus_pr(scores, labels, window)):
        value = measure(scores, labels)
        assert 0 <= value <= 1 + 1e-12
        assert measure(np.arctan(scores), labels) == value
        assert measure(scores[::-1], labels[::-1]) == pytest.approx(value, abs=1e-12)


@given(labelled_scores(most=60))
def test_a_perfect_score_has_all_and_a_constant_one_the_rate(case: tuple[list[float], list[int]]) -> None:
    labels = np.array(case[1])
    assert auc_pr(labels, labels) == vus_pr(labels, labels, 0) == 1.0
    assert auc_pr(0 * labels, labels) == vus_pr(0 * labels, labels, 0) == pytest.approx(labels.mean())


def test_a_score_beside_the_event_counts_only_with_borders() -> None:
    labels = spans_as_labels([(400, 409)], 1000)
    late = np.roll(labels.astype(float), 10)
    assert vus_pr(late, labels, 100) > 5 * vus_pr(late, labels, 0)
    assert vus_pr(labels, labels, 100) > vus_pr(late, labels, 100)


@pytest.mark.parametrize("measure", [auc_pr, lambda scores, labels: vus_pr(scores, labels, 5)])
def test_a_row_without_a_score_ranks_with_the_lowest(measure) -> None:
    labels = [0, 0, 1, 1, 0, 0]
    assert measure([NAN, NAN, 5, 6, 1, 2], labels) == measure([1, 1, 5, 6, 1, 2], labels)
    assert measure([NAN] * 6, labels) == measure([0] * 6, labels)
    assert measure([0, 0, math.inf, 6, 1, -math.inf], labels) == measure([0, 0, 7, 6, 1, -1], labels)


def test_nothing_is_measured_without_both_kinds_of_rows() -> None:
    for labels in ([0, 0, 0], [1, 1, 1]):
        assert math.isnan(auc_pr([1, 2, 3], labels)) and math.isnan(vus_pr([1, 2, 3], labels, 2))


def test_lengths_must_match() -> None:
    with pytest.raises(DataError, match=r"shapes \(3,\) and \(2,\)"):
        auc_pr([1, 2, 3], [0, 1])


@given(st.lists(st.integers(0, 1), max_size=30))
def test_labels_there_and_back(labels: list[int]) -> None:
    spans = label_spans(labels)
    assert spans.tolist() == [list(span) for span in volume_oracle.events(labels)]
    assert spans_as_labels(spans, len(labels)).tolist() == [bool(label) for label in labels]
