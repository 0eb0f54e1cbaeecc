"""Budgets of false alarms: the surprise that each allows, by hand, and what is no budget."""

from __future__ import annotations

import math

import pytest

from streamlstm.errors import UsageError
from streamlstm.scoring.budget import OpeningBudget
from streamlstm.scoring.thresholds import Threshold


@pytest.mark.parametrize(
    ("budget", "period_s", "cluster_rows", "odds"),
    [
        (0.2, 1.0, 1.0, 432_000),  # once in five days of 86,400 samples
        (1.0, 60.0, 1.0, 1_440),
        (1.0, 60.0, 8.0, 180),  # eight samples are one alarm
        (2.0, 0.004, 1.0, 10_800_000),
        (0.5, 0.0, 1.0, 20_000),  # no clock: a day is 10,000 samples
        (0.5, -1.0, 4.0, 5_000),
        (1.0, 86_400.0, 1.0, 2),  # every second sample at most
        (50.0, 86_400.0, 3.0, 2),  # more than there are samples
    ],
)
def test_the_surprise_that_a_budget_allows(budget: float, period_s: float, cluster_rows: float, odds: int) -> None:
    """Each odds is worked out by hand: one sample in so many may pass."""
    surprise = Threshold(budget).budget_surprise(period_s=period_s, cluster_rows=cluster_rows)
    assert surprise == pytest.approx(math.log(odds), rel=1e-12, abs=1e-12)


def test_a_fifth_of_an_alarm_a_day_is_the_default() -> None:
    assert Threshold() == Threshold(0.2)


@pytest.mark.parametrize("budget", [0.0, -0.2, math.inf, -math.inf, math.nan])
def test_what_is_no_budget_is_refused(budget: float) -> None:
    with pytest.raises(UsageError, match=f"false_alarms_per_stream_day: expected a number above 0, got {budget!r}"):
        Threshold(budget)


@pytest.mark.parametrize("budget", [1e-300, 0.5, 1e308])
def test_any_finite_number_above_zero_is_a_budget(budget: float) -> None:
    assert Threshold(budget).budget_surprise(period_s=1.0, cluster_rows=1.0) >= 0


def test_a_budget_without_a_logarithm_is_refused_with_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"expected at least 1e-300, got 5e-324; 1e-9 is once in three million years"):
        Threshold(5e-324)


def test_a_budget_is_shown_as_it_was_given() -> None:
    assert Threshold().summary == "0.2 false alarms a stream and day"
    hourly = Threshold.of(6, per="hour")
    assert (hourly.summary, hourly.false_alarms_per_stream_day) == ("6 false alarms a stream and hour", 144)
    assert Threshold.of(6) == Threshold(6)


@pytest.mark.parametrize(
    ("budget", "period_s", "interval_ms"),
    [
        (0.2, 1.0, 5 * 86_400_000),
        (144.0, 0.004, 600_000),  # six an hour
        (7.0, 1.0, 12_342_858),  # rounded up
        (0.5, 0.0, 20_000_000),  # no clock: 20,000 rows, read as one a second
        (1e-300, 1.0, 10**15),
        (1e308, 1.0, 1),
    ],
)
def test_what_an_opening_costs(budget: float, period_s: float, interval_ms: int) -> None:
    assert Threshold(budget).openings(period_s=period_s) == OpeningBudget(interval_ms)
