"""The budget that holds: the bound for any scores at any times, and how close simulated streams come to it."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scoring.budget_simulation import KINDS, exponential, simulate

from streamlstm.scoring.alert_tracker import AlertTracker
from streamlstm.scoring.alerts import AlertPolicy, Severity
from streamlstm.scoring.budget import BURST, CAP, FREE, GAIN, OpeningBudget
from streamlstm.scoring.delays import Delay
from streamlstm.types import Position, Scores, Status

NEVER_QUIET = AlertPolicy(Delay(), Delay(), refractory=Delay())
"""Every sample above the threshold after one below would open an alert."""


def openings(
    samples: list[tuple[int, float]], budget: OpeningBudget, *, cut: int = 0, outside: Severity | None = None
) -> list[tuple[int, bool]]:
    """Return when alerts open, and whether outside the budget, of samples (ms since the one before, score)."""
    policy = AlertPolicy(NEVER_QUIET.open_after, NEVER_QUIET.resolve_after, refractory=Delay(), outside_budget=outside)
    times = np.cumsum([step for step, _ in samples]).astype(np.int64)
    score = np.array([score for _, score in samples])
    found: list[tuple[int, bool]] = []
    state = b"{}"
    for begin, end in pairwise(sorted({0, min(cut, len(samples)), len(samples)})):
        part, count = slice(begin, end), end - begin
        columns = Scores(
            score=score[part],
            p_value=np.full(count, 1e-6),
            status=np.full(count, Status.READY, np.uint8),
            expected=np.zeros((count, 1), np.float32),
            contribution=np.ones((count, 1), np.float32),
        )
        tracker = AlertTracker(policy, model="m@1", channels=("x",), budget=budget)
        tracker.import_state(state)
        values, positions = np.zeros((count, 1), np.float32), [Position("t", 0, row) for row in range(count)]
        changes = list(tracker.update(["s"] * count, times[part], values, columns, positions))
        found += [(alert.detected_at, alert.outside_budget) for _, alert in changes if alert.revision == 1]
        state = tracker.export_state()
    return found


def check_bound(times: list[int], interval_ms: int) -> None:
    """In every span that begins and ends with an opening: openings <= budget * span + 6."""
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            span = Fraction(times[last] - begin, interval_ms)
            assert last - first + 1 <= span + Fraction(BURST)


steps = st.one_of(st.integers(1, 50), st.integers(1, 10**4), st.just(10**9))
any_scores = st.one_of(st.sampled_from([0.0, 0.99, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]), st.floats(0, 1e300))
intervals = st.sampled_from([1, 7, 100, 5000, 10**6, 10**15])


@example([(1, 9.0), (1, 0.0)] * 60, 100, 11)
@example([(1, 3.0), (1, 0.0)] * 60, 7, 60)
@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(steps, any_scores), max_size=120), intervals, st.integers(0, 120))
def test_the_bound_holds_for_any_scores_at_any_times(
    samples: list[tuple[int, float]], interval_ms: int, cut: int
) -> None:
    found = openings(samples, OpeningBudget(interval_ms), cut=cut)
    assert not any(is_outside for _, is_outside in found)
    check_bound([time for time, _ in found], interval_ms)


@example([(1, 9.0), (1, 0.0)] * 40, 10**15, "high")
@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(steps, any_scores), max_size=120), intervals, st.sampled_from(["low", "medium", "high"]))
def test_what_passes_outside_the_budget_is_marked_and_the_rest_is_bounded(
    samples: list[tuple[int, float]], interval_ms: int, outside: Severity
) -> None:
    found = openings(samples, OpeningBudget(interval_ms), outside=outside)
    check_bound([time for time, is_outside in found if not is_outside], interval_ms)


def test_the_bound_is_reached() -> None:
    assert BURST == (CAP - 1) / GAIN + FREE + 1 == 6
    flicker = [(1, 1e9), (1, 0.0)] * 5000
    at_once = [time for time, _ in openings(flicker[:40], OpeningBudget(10**15))]
    assert at_once == [1, 3, 5, 7, 9, 11]
    budget = OpeningBudget(100)
    times = [time for time, _ in openings(flicker, budget)]
    assert len(times) == 6 + (times[-1] - times[0]) // 100


@pytest.mark.parametrize(("score", "at_once"), [(1.0, 2), (1.49, 2), (1.5, 3), (2.0, 4), (2.5, 5), (3.0, 6), (50.0, 6)])
def test_what_a_stream_may_open_at_once(score: float, at_once: int) -> None:
    """However young it is: nothing is owed at the start."""
    assert len(openings([(1, score), (1, 0.0)] * 20, OpeningBudget(10**15))) == at_once


@pytest.mark.parametrize(
    ("paid_until", "time", "owed", "level", "charged"),
    [
        (900, 1000, 0.0, 1.0, 1100),
        (1000, 1000, 0.0, 1.0, 1100),
        (1050, 1000, 0.5, 1.0, 1150),
        (1200, 1000, 2.0, 1.5, 1300),
        (1250, 1000, 2.5, 1.75, 1350),
        (1500, 1000, 5.0, 3.0, 1600),
        (1501, 1000, 5.01, 3.005, 1601),
    ],
)
def test_what_is_owed_and_what_it_asks_for(paid_until: int, time: int, owed: float, level: float, charged: int) -> None:
    budget = OpeningBudget(100)
    assert budget.owed(paid_until, time) == pytest.approx(owed, abs=1e-12)
    assert budget.level(paid_until, time) == pytest.approx(level, abs=1e-12)
    assert budget.charge(paid_until, time) == charged
    assert budget.allows(1e9, paid_until, time) == (level <= 3.0)


def test_a_silence_pays_what_is_owed_and_no_more() -> None:
    six = [(1, 9.0), (1, 0.0)] * 10
    found = openings([*six, (10**9, 0.0), *six], OpeningBudget(1000))
    assert len(found) == 12


@pytest.mark.parametrize("kind", ["3 times too many", "10 times too many", "clusters of five", "shift to 1,000 times"])
def test_simulated_streams_keep_to_their_budget(kind: str) -> None:
    outcome = simulate(KINDS[kind], days=90, streams=12 if "1,000" in kind else 40)
    assert outcome.within_twice == 1.0
    assert 0.75 <= outcome.total <= 1.25
    assert outcome.held_back[2.0] <= 0.1 and outcome.held_back[3.0] == 0.0


def test_a_tail_that_is_right_loses_little_and_one_that_is_too_careful_nothing() -> None:
    right, careful = (simulate(exponential(factor), days=90, streams=40) for factor in (1, 0.1))
    assert right.within_twice == 1.0 and 0.65 <= right.total <= 1.0
    assert careful.total <= 0.2  # the threshold is not lowered for what is not spent
    assert right.held_back[2.0] == careful.held_back[1.5] == 0.0
