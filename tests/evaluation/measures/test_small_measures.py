"""UCR top-1, spent budget, distance from uniform, and the rules of collections."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlstm.errors import DataError
from streamlstm.evaluation.measures.budget import spent_budget
from streamlstm.evaluation.measures.labels import spans_as_labels
from streamlstm.evaluation.measures.rules import estimated_window, rules_of
from streamlstm.evaluation.measures.ucr import top_1
from streamlstm.evaluation.measures.uniformity import kolmogorov_distance

NAN = float("nan")


@pytest.mark.parametrize(
    ("peak", "found"), [(299, False), (300, True), (400, True), (420, True), (519, True), (520, False)]
)
def test_top_1_is_near_the_anomaly(peak: int, found: bool) -> None:
    scores = np.full(700, NAN)
    scores[peak], scores[0], scores[-1] = 2.0, 1.0, 2.0  # of equals the first
    assert top_1(scores, spans_as_labels([(400, 419)], 700)) is found


def test_top_1_needs_an_anomaly_and_a_score() -> None:
    assert top_1([1.0, 2.0], [0, 0]) is None
    assert top_1(np.full(500, NAN), spans_as_labels([(400, 419)], 500)) is False


def test_a_budget_that_holds() -> None:
    spread = spent_budget([2, 3, 1], [10, 10, 10], 0.2)
    assert (spread.total, spread.within_2x, spread.above_2x) == (1.0, 1.0, 0.0)
    assert spread.ratios.tolist() == pytest.approx([1.0, 1.5, 0.5])


def test_a_budget_that_holds_in_total_alone() -> None:
    spread = spent_budget([0, 0, 8], [10, 10, 20], 0.2)
    assert (spread.total, spread.within_2x, spread.above_2x) == pytest.approx((1.0, 1 / 3, 0.0))
    spread = spent_budget([0, 9, 4], [10, 20, 20], 0.2)
    assert (spread.within_2x, spread.above_2x) == pytest.approx((1 / 3, 1 / 3))


@pytest.mark.parametrize(
    ("allowed", "within"), [(0.3, [0, 1]), (1.0, [0, 1, 2]), (2.0, [1, 2, 3, 4]), (2.4, [1, 2, 3, 4, 5])]
)
def test_openings_are_whole(allowed: float, within: list[int]) -> None:
    assert [count for count in range(10) if spent_budget([count], [allowed], 1.0).within_2x] == within


def test_streams_that_were_not_watched_do_not_count() -> None:
    spread = spent_budget([3, 0], [3, 0], 1.0)
    assert (spread.total, spread.within_2x) == (1.0, 1.0) and math.isnan(spread.ratios[1])
    assert math.isnan(spent_budget([], [], 1.0).total) and math.isnan(spent_budget([0], [0], 1.0).within_2x)


@pytest.mark.parametrize(
    ("openings", "watched", "asked"), [([1], [1, 2], 1.0), ([-1], [1], 1.0), ([1], [-1], 1.0), ([1], [1], 0.0)]
)
def test_a_budget_needs_counts_and_times(openings: list[int], watched: list[int], asked: float) -> None:
    with pytest.raises(DataError, match="one a stream, and a budget > 0"):
        spent_budget(openings, watched, asked)


def test_distance_from_uniform_by_hand() -> None:
    assert kolmogorov_distance([0.25, 0.75]) == pytest.approx(0.25)
    assert kolmogorov_distance([0.5]) == pytest.approx(0.5)
    assert kolmogorov_distance([0.0, 0.0, NAN]) == pytest.approx(1.0)
    assert math.isnan(kolmogorov_distance([NAN]))


@given(st.lists(st.integers(0, 20).map(lambda step: step / 20), min_size=1, max_size=30))
def test_distance_from_uniform_is_the_largest_there_is(p_values: list[float]) -> None:
    """The two distribution functions differ most at a value, or just before one."""
    shares = [(sum(p <= at for p in p_values), sum(p < at for p in p_values), at) for at in (*p_values, 0.0, 1.0)]
    want = max(max(abs(upto / len(p_values) - at), abs(below / len(p_values) - at)) for upto, below, at in shares)
    assert kolmogorov_distance(p_values) == pytest.approx(want)
    assert kolmogorov_distance([1 - p for p in p_values]) == pytest.approx(want)


def test_rules_are_those_of_the_collection() -> None:
    assert (rules_of("kpi").tolerance, rules_of("mitbih").tolerance, rules_of("mitbih").vus_window) == (7, 360, 180)
    assert (rules_of("wards").tolerance, rules_of("wards").vus_window) == (10, 100)


@pytest.mark.parametrize(("period", "window"), [(40, 40), (299, 299), (2, 125), (5, 125), (350, 125)])
def test_the_estimated_window_is_the_period(period: int, window: int) -> None:
    rng = np.random.default_rng(period)
    wave = np.tile(rng.normal(size=period), 20_100 // period) + 0.01 * rng.normal(size=20_100 // period * period)
    assert estimated_window(wave) == window


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0, 4.0], np.ones(50)], ids=len)
def test_without_a_period_the_window_is_fixed(values: list[float]) -> None:
    assert estimated_window(values) == 125
