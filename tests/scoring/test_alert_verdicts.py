"""Alerts one period later: confirmed, withdrawn, dated anew; the budget bounds those that are not confirmed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlstm.scoring.alert_tracker import AlertTracker
from streamlstm.scoring.alert_verdicts import STANDS
from streamlstm.scoring.alerts import Alert, AlertPolicy
from streamlstm.scoring.budget import BURST, OpeningBudget
from streamlstm.scoring.delays import Delay
from streamlstm.scoring.opening_ledger import OpeningLedger
from streamlstm.scoring.settled import SettledVerdicts
from streamlstm.types import Position, Scores, Status

LENGTH = 8
POLICY = AlertPolicy(
    open_after=Delay(samples=2), resolve_after=Delay(samples=3), refractory=Delay(samples=4), settled=True
)
EVENT_MS = 1000


class Stream:
    """One stream's scores through verdicts and alerts, in batches of any size; it may stop and go on from its state."""

    def __init__(self, budget: OpeningBudget | None = None, policy: AlertPolicy = POLICY) -> None:
        self._make = lambda: AlertTracker(policy, model="m@1", channels=("hr",), units=("1/min",), budget=budget)
        self.tracker = self._make()
        self._verdicts = SettledVerdicts(LENGTH)
        pieces = self._verdicts.state.items()
        self._state = {name: np.zeros((1, *piece.shape), piece.dtype) for name, piece in pieces}
        self.row = 0
        self.changes: list[tuple[int, Alert]] = []

    def feed(self, scores: Sequence[float], *, gap_at: int | None = None) -> list[tuple[int, Alert]]:
        count, zeros = len(scores), np.zeros(len(scores), np.int64)
        rows = np.arange(self.row, self.row + count)
        status = np.full(count, Status.READY, np.uint8)
        score, reset = np.array(scores, np.float64), np.zeros(count, np.uint8)
        if gap_at is not None:
            status[gap_at], score[gap_at], reset[gap_at] = Status.GAP, np.nan, 1
        times = rows * EVENT_MS
        settled = self._verdicts.advance(
            zeros, score=score, reset=reset, event_time_ms=times, marks=rows, state=self._state
        )
        ones = np.ones((count, 1), np.float32)
        columns = Scores(score, np.exp(-12 * score), status, ones, ones, settled)
        positions = [Position("t", 0, int(row)) for row in rows]
        found = [(self.row + at, a) for at, a in self.tracker.update(["s"] * count, times, ones, columns, positions)]
        self.row += count
        self.changes += found
        return found

    def restart(self) -> None:
        state, self.tracker = self.tracker.export_state(), self._make()
        self.tracker.import_state(state)


def told(changes: list[tuple[int, Alert]]) -> list[tuple[int, int, str, str | None]]:
    return [(row, alert.revision, alert.state, alert.settled) for row, alert in changes]


QUIET = [0.1] * 20


def test_a_fault_that_goes_on_is_confirmed_and_has_an_end_of_its_own() -> None:
    changes = Stream().feed([*QUIET, *[2.0] * 20, *[0.0] * 30])
    # opened at 21 by the second row; the verdict on row 21 comes with row 28. From row 40 on scores are 0: of the means
    # that of rows 37 to 44 (three of 2.0) is the last of 0.75 or more, and that of row 38, which is not, comes at 45.
    assert told(changes) == [
        (21, 1, "open", None),
        (28, 2, "open", "confirmed"),
        (42, 3, "resolved", "confirmed"),
        (45, 4, "resolved", "confirmed"),
    ]
    confirmed, last = changes[1][1], changes[-1][1]
    assert confirmed.started_at == 20_000 and confirmed.ended_at is None
    assert (last.ended_at, last.resolved_at) == (37_000, 42_000)
    assert len({alert.alert_id for _, alert in changes}) == 1


def test_a_stray_peak_is_withdrawn_after_it_was_resolved() -> None:
    stream = Stream()
    changes = stream.feed([*QUIET, 1.5, 1.5, *[0.1] * 40])
    assert told(changes) == [
        (21, 1, "open", None),
        (24, 2, "resolved", None),
        (28, 3, "resolved", "withdrawn"),
    ]
    assert (stream.tracker.confirmed, stream.tracker.withdrawn) == (0, 1)
    assert stream.tracker.export_state() == b"{}"


def test_what_grows_while_it_is_open_is_confirmed_after_it_was_withdrawn() -> None:
    stream = Stream()
    grows = [1.1, 1.1, 0.1, 0.1, *[1.0, 0.1, 0.1] * 4, *[3.0] * 12, *[0.0] * 30]
    changes = stream.feed([*QUIET, *grows])
    verdicts = [alert.settled for _, alert in changes]
    assert verdicts.index("withdrawn") < verdicts.index("confirmed") and verdicts[-1] == "confirmed"
    assert {alert.alert_id for _, alert in changes} == {changes[0][1].alert_id}
    assert (stream.tracker.confirmed, stream.tracker.withdrawn) == (1, 1)


def test_a_confirmed_alert_starts_with_the_first_alarm_of_its_fault() -> None:
    stream = Stream()
    flickers = [2.0, 0.4, 2.0, 0.4, 2.0, 0.4, *[2.0] * 6]
    changes = stream.feed([*QUIET, *flickers, *[0.0] * 30])
    opened = changes[0][1]
    assert opened.started_at == 26_000  # the score fell below half of the threshold three times
    confirmed = next(alert for _, alert in changes if alert.settled)
    assert confirmed.started_at == 20_000
    assert "since 1970-01-01T00:00:26Z" in opened.summary and "since 1970-01-01T00:00:20Z" in confirmed.summary
    assert all(alert.started_at == 20_000 for _, alert in changes if alert.settled)


def test_the_second_alert_of_one_fault_keeps_its_own_start() -> None:
    policy = AlertPolicy(open_after=Delay(samples=2), resolve_after=Delay(samples=1), refractory=Delay(), settled=True)
    stream = Stream(policy=policy)
    changes = stream.feed([*QUIET, *[2.0] * 6, 0.3, *[2.0] * 9, *[0.0] * 30])
    opened = [alert for _, alert in changes if alert.revision == 1]
    last = {alert.alert_id: alert for _, alert in changes}
    assert [last[alert.alert_id].started_at for alert in opened] == [20_000, 27_000]
    assert {alert.settled for alert in last.values()} == {"confirmed"}
    assert len({alert.ended_at for alert in last.values()}) == 1


def test_a_gap_leaves_what_was_open_unjudged_and_charged() -> None:
    budget = OpeningBudget(10**9)
    stream = Stream(budget)
    changes = stream.feed([*QUIET, *[2.0] * 5, 2.0, *[0.1] * 30], gap_at=25)
    assert told(changes) == [(21, 1, "open", None), (25, 2, "resolved", None)]
    assert stream.tracker.owing == 1


def test_nothing_is_judged_unless_it_is_asked_for() -> None:
    stream = Stream(policy=AlertPolicy())
    changes = stream.feed([*QUIET, *[2.0] * 20, *[0.1] * 40])
    assert told(changes) == [(21, 1, "open", None), (44, 2, "resolved", None)]


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([0.1, 0.4, 0.7, 0.9, 1.0, 1.3, 2.5, float("nan")]), min_size=30, max_size=160),
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.integers(1, 200_000),
)
def test_verdicts_do_not_depend_on_batches_or_restarts(scores: list[float], sizes: list[int], interval: int) -> None:
    whole, parts = Stream(OpeningBudget(interval)), Stream(OpeningBudget(interval))
    whole.feed(scores)
    turn = 0
    while parts.row < len(scores):
        parts.feed(scores[parts.row : parts.row + sizes[turn % len(sizes)]])
        parts.restart()
        turn += 1
    assert parts.changes == whole.changes
    assert parts.tracker.export_state() == whole.tracker.export_state()


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from([0.1, 0.6, 1.0, 1.6, 2.6, 9.0]), min_size=40, max_size=400), st.integers(5_000, 200_000)
)
def test_alerts_that_are_not_confirmed_are_within_the_budget_for_any_scores(scores: list[float], interval: int) -> None:
    stream = Stream(OpeningBudget(interval))
    changes = stream.feed(scores)
    last = {alert.alert_id: alert for _, alert in changes}
    opened = sorted(alert.detected_at for alert in last.values() if alert.settled != "confirmed")
    for place, begin in enumerate(opened):
        for count, end in enumerate(opened[place:], 1):
            assert count <= (end - begin) / interval + BURST
    revisions: dict[str, list[int]] = {}
    for _, alert in changes:
        revisions.setdefault(alert.alert_id, []).append(alert.revision)
    assert all(found == list(range(1, len(found) + 1)) for found in revisions.values())
    confirmed = sum(alert.settled == "confirmed" for alert in last.values())
    assert stream.tracker.confirmed == confirmed


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(1, 300), st.booleans(), st.booleans()), min_size=1, max_size=12),
    st.data(),
)
def test_what_is_given_back_leaves_what_would_be_owed_without_it(
    openings: list[tuple[int, bool, bool]], data: st.DataObject
) -> None:
    """Openings of a stream, some of which may be given back, and which of those are, in any order."""
    budget = OpeningBudget(100)
    ledger, ts, times = OpeningLedger(budget, outside_budget=None), 0, list[tuple[int, bool, bool]]()
    for step, may_return, is_returned in openings:
        ts += step
        if ledger.pays("s", ts, 1e9, until_judged=may_return):
            times.append((ts, may_return, may_return and is_returned))
    judged = [(at, back) for at, may_return, back in times if may_return]
    for at, back in data.draw(st.permutations(judged)):
        ledger.settle("s", at, gives_back=back)
    owed = 0
    for at, _, back in times:
        owed = owed if back else budget.charge(owed, at)
    assert max(ledger.paid_until.get("s", ts), ts) == max(owed, ts)
    assert not ledger.charges


def test_a_time_may_be_paid_for_twice_by_nobody() -> None:
    """An opening that time has paid for leaves nothing to give back."""
    budget = OpeningBudget(100)
    ledger = OpeningLedger(budget, outside_budget=None)
    assert ledger.pays("s", 1000, 3.0, until_judged=True)
    assert ledger.pays("s", 1100, 3.0, until_judged=True)
    ledger.settle("s", 1000, gives_back=True)
    assert ledger.paid_until["s"] == 1200


def test_the_threshold_of_a_verdict_is_below_that_of_an_alarm() -> None:
    assert 0.5 < STANDS < 1.0
    for level, verdict in ((STANDS - 0.02, "withdrawn"), (STANDS + 0.02, "confirmed")):
        stream = Stream()
        rest = (level * LENGTH - 1.2) / (LENGTH - 1)
        changes = stream.feed([*QUIET, 1.2, 1.2, *[rest] * (LENGTH - 1), *[0.0] * 20])
        assert next(alert.settled for _, alert in changes if alert.settled) == verdict


@pytest.mark.parametrize("restart", [False, True])
def test_a_budget_goes_further_where_alerts_are_confirmed(restart: bool) -> None:
    """Of twenty lasting faults all are found, and of twenty stray peaks what the budget allows."""
    fault, peak = [*[2.0] * 12, *[0.1] * 30], [1.2, 1.2, *[0.1] * 40]
    stream = Stream(OpeningBudget(10**9))
    for _ in range(20):
        stream.feed(fault)
        if restart:
            stream.restart()
    assert sum(alert.revision == 1 for _, alert in stream.changes) == 20
    for _ in range(20):
        stream.feed(peak)
    assert sum(alert.revision == 1 for _, alert in stream.changes) <= 20 + BURST
    assert stream.tracker.held_back > 0
