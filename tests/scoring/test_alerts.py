"""Alerts: hysteresis, refractory time, severity, and independence from batches."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scoring.alerts_oracle import Rules, Sample, Wait, revisions_of

from streamlstm.scoring.alert_summary import summary_of
from streamlstm.scoring.alert_tracker import AlertTracker
from streamlstm.scoring.alerts import Alert, AlertPolicy, ChannelPart, Peak, Severity, severity_of
from streamlstm.scoring.budget import OpeningBudget
from streamlstm.scoring.delays import Delay
from streamlstm.types import Position, Scores, Status

POLICY = AlertPolicy(open_after=Delay(samples=2), resolve_after=Delay(samples=3), refractory=Delay(ms=10_000))
AT_ONCE = AlertPolicy(open_after=Delay(), resolve_after=Delay(), refractory=Delay())
CHANNELS = ("hr", "spo2")


def tracker() -> AlertTracker:
    return AlertTracker(POLICY, model="vitals@7", channels=CHANNELS)


def feed(
    alerts: AlertTracker, scores: list[float], *, ids: list[str] | None = None, start: int = 0, gap_at: int = -1
) -> list[tuple[int, Alert]]:
    count = len(scores)
    rows = np.arange(start, start + count)
    status = np.where(np.isnan(scores), Status.WARMING, Status.READY).astype(np.uint8)
    if gap_at >= 0:
        status[gap_at] = Status.GAP
    columns = Scores(
        score=np.array(scores),
        p_value=np.exp(-10 * np.array(scores)),
        status=status,
        expected=np.tile(np.array([72, 97], np.float32), (count, 1)),
        contribution=np.tile(np.array([0.25, 0.75], np.float32), (count, 1)),
    )
    values = np.stack([70 + rows, 90 - rows], axis=1).astype(np.float32)
    positions = [Position("telemetry", 3, int(row)) for row in rows]
    return [
        (start + row, alert)
        for row, alert in alerts.update(ids or ["bed7"] * count, rows * 1000, values, columns, positions)
    ]


def test_opens_after_two_in_a_row_and_resolves_after_three() -> None:
    changes = feed(tracker(), [0.2, 1.5, 0.1, 1.2, 1.1, 0.9, 1.3, 0.5, 0.5, 0.5, 0.5])
    assert [(row, alert.state, alert.revision) for row, alert in changes] == [(4, "open", 1), (9, "resolved", 2)]
    opened, resolved = changes[0][1], changes[1][1]
    assert (opened.started_at, opened.detected_at, opened.resolved_at) == (3000, 4000, None)
    assert resolved.resolved_at == 9000
    assert resolved.alert_id == opened.alert_id
    assert (resolved.peak.score, resolved.peak.ts) == (1.3, 6000)
    assert resolved.samples == 7


def test_names_the_channel_that_contributed_most_at_the_peak() -> None:
    (_, alert), *_ = feed(tracker(), [1.5, 1.6])
    assert [part.name for part in alert.channels] == ["spo2", "hr"]
    assert alert.channels[0].value == 89
    assert alert.channels[0].expected == 97
    assert "spo2 89 where 97 was expected" in alert.summary


def test_an_alert_is_a_record_that_nobody_changes() -> None:
    (_, alert), *_ = feed(tracker(), [1.5, 1.6])
    for part, name in ((alert, "revision"), (alert.peak, "score"), (alert.channels[0], "name")):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(part, name, None)


def test_a_stream_that_may_open_an_alert_has_none_yet() -> None:
    alerts = tracker()
    feed(alerts, [1.5])
    assert not alerts.is_open("bed7") and not alerts.is_open("bed8")
    feed(alerts, [1.6], start=1)
    assert alerts.is_open("bed7")


def test_grows_more_severe_by_revision() -> None:
    changes = feed(tracker(), [1.5, 1.5, 2.5, 2.6, 9.0])
    assert [(alert.revision, alert.severity) for _, alert in changes] == [(1, "low"), (2, "medium"), (3, "high")]
    assert severity_of(1.99) == "low"


def test_refractory_time_lets_only_a_worse_alert_through() -> None:
    first = [1.5, 1.5, 0.1, 0.1, 0.1]
    assert [a.state for _, a in feed(tracker(), [*first, 1.6, 1.7])] == ["open", "resolved"]
    assert [a.state for _, a in feed(tracker(), [*first, 1.8, 1.8])] == ["open", "resolved", "open"]
    later = [*first, *[0.1] * 10, 1.1, 1.1]
    assert [a.state for _, a in feed(tracker(), later)] == ["open", "resolved", "open"]


def test_a_huge_peak_does_not_silence_a_later_anomaly() -> None:
    changes = feed(tracker(), [1e6, 1e6, 0.1, 0.1, 0.1, 14.0, 14.0])
    assert [alert.state for _, alert in changes] == ["open", "resolved", "open"]
    assert changes[0][1].alert_id != changes[2][1].alert_id


@pytest.mark.parametrize(("later", "least"), [(1, 12.0), (16, 6.7), (29, 2.1), (32, 1.0)])
def test_a_peak_does_not_silence_a_later_fault_for_long(later: int, least: float) -> None:
    """At one sample a minute the refractory time is 32 samples: 12.35 is asked for right after a peak of 9.5."""
    policy = AlertPolicy(open_after=Delay(), resolve_after=Delay())
    for score, opens in ((least, True), (least - 0.1, False)):
        found, _ = records(steady(9.5, *[0.1] * later, score, step_ms=60_000), policy)
        assert [alert["revision"] for _, alert in found] == [1, 2] + [1] * opens


def test_a_gap_resolves_what_cannot_be_followed() -> None:
    changes = feed(tracker(), [1.5, 1.5, float("nan"), 1.5], gap_at=2)
    assert [(row, alert.state) for row, alert in changes] == [(1, "open"), (2, "resolved")]


def test_samples_without_a_score_change_nothing() -> None:
    nan = float("nan")
    assert [row for row, _ in feed(tracker(), [nan, 1.5, nan, 1.5, nan])] == [3]


def test_memory_is_held_for_streams_in_trouble_only() -> None:
    alerts = tracker()
    feed(alerts, [0.1] * 50, ids=[f"bed{i}" for i in range(50)])
    feed(alerts, [1.5] + [0.1] * 20)
    assert alerts.export_state() == b"{}"


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([0.3, 0.9, 1.1, 1.6, 3.0, 5.0])), max_size=60),
    st.sets(st.integers(0, 60), max_size=8),
)
def test_batches_and_restarts_change_nothing(samples: list[tuple[str, float]], cuts: set[int]) -> None:
    ids, scores = [i for i, _ in samples], [s for _, s in samples]
    whole = feed(tracker(), scores, ids=ids)
    bounds = sorted({0, len(samples), *(c for c in cuts if c < len(samples))})
    alerts, parts = tracker(), []
    for begin, end in pairwise(bounds):
        parts += feed(alerts, scores[begin:end], ids=ids[begin:end], start=begin)
        state, alerts = alerts.export_state(), tracker()
        alerts.import_state(state)
    assert parts == whole


NAN = float("nan")
LEVELS = [0.4, 0.999999, 1.0, 1.25, 1.999, 2.0, 2.6, 3.999, 4.0, 5.2, 9.5, 12.35, 12.9, 13.0, 40.0]
Row = tuple[str, int, float, str]
"""Stream, ms since the sample before, score, status."""


def records(
    rows: list[Row], policy: AlertPolicy, budget: OpeningBudget | None = None, *, cuts: tuple[int, ...] = ()
) -> tuple[list[tuple[int, dict[str, object]]], AlertTracker]:
    """Feed rows of five channels to a tracker, restarted at the cuts; return its alerts as plain values."""
    samples = samples_of(rows)
    made = {"model": "vitals@7", "channels": FIVE, "units": UNITS, "budget": budget}
    alerts = AlertTracker(policy, **made)
    columns = Scores(
        score=np.array([s.score for s in samples]),
        p_value=np.array([s.p_value for s in samples]),
        status=np.array([Status[s.status.upper()] for s in samples], np.uint8),
        expected=np.array([s.expected for s in samples], np.float32).reshape(-1, 6),
        contribution=np.array([s.contribution for s in samples], np.float32).reshape(-1, 6),
    )
    values = np.array([s.values for s in samples], np.float32).reshape(-1, 6)
    times = np.array([s.time_ms for s in samples], np.int64)
    positions = [Position(*s.place) for s in samples]
    found = []
    for begin, end in pairwise(sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})):
        part = slice(begin, end)
        some = Scores(*(getattr(columns, name)[part] for name in COLUMNS))
        ids = [row[0] for row in rows[part]]
        changes = alerts.update(ids, times[part], values[part], some, positions[part], model="vitals@8")
        found += [(begin + row, plain(alert)) for row, alert in changes]
        state, alerts = alerts.export_state(), AlertTracker(policy, **made)
        alerts.import_state(state)
        assert alerts.export_state() == state
    return found, alerts


COLUMNS = ("score", "p_value", "status", "expected", "contribution")
FIVE = ("hr", "spo2", "resp", "temp", "nibp", "icp")
UNITS = ("1/min", "%", "", "C", "mmHg", "mmHg")


def samples_of(rows: list[Row]) -> list[Sample]:
    """Give every row values, shares and an offset of its own; every seventh value is missing."""
    samples, time_ms = [], 50_000
    common = np.random.default_rng(len(rows)).random(len(rows)) < 0.1
    for n, (_, step_ms, score, status) in enumerate(rows):
        time_ms += step_ms
        rng = np.random.default_rng(n)
        values = [float(np.float32(v)) for v in rng.normal(80, 9, 6)]
        values[n % 7 % 6] = NAN if n % 7 < 6 else values[0]
        shares = np.float32(rng.dirichlet(np.ones(6)))
        expected = [float(np.float32(v)) for v in rng.normal(80, 9, 6)]
        place = ("telemetry", n % 3, 100 + n)
        p_value = 0.01 if common[n] and len(rows) % 3 else 0.005
        samples.append(
            Sample(time_ms, score, status, tuple(values), tuple(expected), tuple(map(float, shares)), place, p_value)
        )
    return samples


def plain(alert: Alert) -> dict[str, object]:
    """Return an alert as the oracle writes one."""
    assert (alert.kind, alert.stream_id) == ("residual", alert.summary.partition(":")[0])
    return {
        "alert_id": alert.alert_id,
        "revision": alert.revision,
        "state": alert.state,
        "started_at": alert.started_at,
        "detected_at": alert.detected_at,
        "resolved_at": alert.resolved_at,
        "model": alert.model,
        "severity": alert.severity,
        "peak": (alert.peak.score, alert.peak.ts),
        "samples": alert.samples,
        "channels": [(part.name, part.contribution, part.value, part.expected) for part in alert.channels],
        "summary": alert.summary,
        "outside_budget": alert.outside_budget,
    }


def expected_of(
    rows: list[Row], policy: AlertPolicy, budget: OpeningBudget | None = None
) -> list[tuple[int, dict[str, object]]]:
    """Ask the oracle, stream by stream."""
    samples, found = samples_of(rows), []
    names = ("open_after", "resolve_after", "min_duration", "refractory", "escalate_after")
    waits = {name: (getattr(policy, name).samples, getattr(policy, name).ms) for name in names}
    interval_ms = budget and budget.interval_ms
    for stream_id in {row[0] for row in rows}:
        own = [n for n, row in enumerate(rows) if row[0] == stream_id]
        revisions = revisions_of(
            [samples[n] for n in own],
            Rules(**waits, outside_budget=policy.outside_budget, interval_ms=interval_ms),
            stream_id=stream_id,
            channels=FIVE,
            units=UNITS,
            model="vitals@8",
        )
        found += [(own[n], record) for n, record in revisions]
    return sorted(found, key=lambda one: one[0])


def steady(*scores: float, step_ms: int = 1000, gap_at: int = -1) -> list[Row]:
    """Rows of one stream."""
    return [("a", step_ms, score, "gap" if n == gap_at else "ready") for n, score in enumerate(scores)]


rows_of = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from([1, 1000, 2000]),
        st.one_of(st.sampled_from(LEVELS), st.sampled_from([0.3, 1.5, NAN])),
        st.sampled_from(["ready"] * 12 + ["gap", "late", "imputed", "warming"]),
    ),
    max_size=70,
)


def policy_of(
    open_after: Wait,
    resolve_after: Wait = (1, 0),
    refractory: Wait = (0, 0),
    min_duration: Wait = (0, 0),
    escalate_after: Wait = (9, 0),
    outside_budget: Severity | None = None,
) -> AlertPolicy:
    waits = [Delay(*wait) for wait in (open_after, resolve_after, min_duration, refractory, escalate_after)]
    return AlertPolicy(*waits, outside_budget)


waits = st.tuples(st.integers(0, 4), st.sampled_from([0, 1, 2000, 3000, 6000]))
policies = st.builds(policy_of, waits, waits, waits, waits, waits, st.sampled_from([None, "low", "medium", "high"]))
budgets = st.sampled_from([None, OpeningBudget(1), OpeningBudget(4_000), OpeningBudget(20_000), OpeningBudget(10**15)])


@example(steady(1.5, NAN, 1.5, 0.3, gap_at=1), policy_of((2, 0), (3, 0)), None, set())  # a run ends at a gap
@example(steady(1.5, 1.5, 1.7, NAN, 1.5, 1.6, gap_at=3), policy_of((2, 0)), None, set())  # so does an alert
@example(steady(2.0, 2.0, 0.3, 2.3, 1.0), policy_of((1, 0), refractory=(0, 4000)), None, set())  # worse
@example(steady(1.5, 0.3, 1.5, 1.5, 1.5), policy_of((1, 0), refractory=(0, 3000)), None, set())  # just late enough
@example(steady(1.5, 0.3, 1.5, 1.5, 1.5), policy_of((1, 0), refractory=(3, 0)), None, set())  # the same in samples
@example(steady(40.0, 0.3, 12.3, 12.3, 13.0), policy_of((1, 0), refractory=(0, 60_000)), None, set())  # ten remembered
@example(steady(*[0.6] * 63, 1.2), policy_of((1, 0)), None, set())  # dated back to the first, ...
@example(steady(*[0.6] * 127, 1.2), policy_of((1, 0)), None, {64})
@example(steady(*[0.6] * 128, 1.2), policy_of((1, 0)), None, {65, 120})  # ... and no further than this
@example(steady(*[0.6] * 300, 1.2, 0.8, 1.3, 1.3), policy_of((2, 0)), None, {301})  # another rise after a broken run
@example(steady(*[3.0, 0.1] * 8), policy_of((1, 0)), OpeningBudget(10**15), {5})  # six, and no more
@example(steady(1.2, 0.1, 1.2, 0.1, *[1.4] * 9), policy_of((1, 0)), OpeningBudget(9_000), set())  # held back, then paid
@example(steady(*[2.5, 0.1] * 8), policy_of((1, 0), outside_budget="medium"), OpeningBudget(10**15), set())
@settings(max_examples=200, deadline=None)
@given(rows_of, policies, budgets, st.sets(st.integers(0, 70), max_size=4))
def test_alerts_equal_their_definition(
    rows: list[Row], policy: AlertPolicy, budget: OpeningBudget | None, cuts: set[int]
) -> None:
    found, tracker = records(rows, policy, budget, cuts=tuple(cuts))
    want = expected_of(rows, policy, budget)
    assert found == want
    last = {str(record["alert_id"]): record["state"] for _, record in want}
    open_ids = sorted(alert_id for alert_id, state in last.items() if state == "open")
    assert sorted(alert.alert_id for alert in tracker.open_alerts) == open_ids
    owners = {alert.stream_id for alert in tracker.open_alerts}
    assert [tracker.is_open(stream_id) for stream_id in "abc"] == [stream_id in owners for stream_id in "abc"]


@pytest.mark.parametrize(("step_ms", "is_held"), [(2999, True), (3000, False)])
def test_a_stream_is_forgotten_when_its_refractory_time_is_over(step_ms: int, is_held: bool) -> None:
    rows: list[Row] = [("a", 1000, 1.5, "ready"), ("a", 1000, 0.3, "ready"), ("a", step_ms, 0.3, "ready")]
    _, tracker = records(rows, policy_of((1, 0), refractory=(0, 3000)))
    assert (tracker.export_state() != b"{}") == is_held


def test_a_run_that_ended_is_forgotten_at_once() -> None:
    for rows in (steady(1.5, 0.3), steady(0.7, 0.3), steady(1.5, NAN, gap_at=1), steady(NAN, gap_at=0)):
        assert records(rows, AlertPolicy())[1].export_state() == b"{}"
    assert records(steady(1.5), AlertPolicy())[1].export_state() != b"{}"


@pytest.mark.parametrize(("step_ms", "owing"), [(7999, 1), (8000, 0)])
def test_a_stream_that_has_paid_is_forgotten(step_ms: int, owing: int) -> None:
    rows: list[Row] = [*steady(1.5, 0.3), ("b", 1, 0.1, "ready"), ("a", step_ms, 0.2, "ready")]
    _, tracker = records(rows, policy_of((1, 0)), OpeningBudget(9_001))
    assert tracker.owing == owing
    assert (tracker.export_state() == b"{}") == (owing == 0)


def test_a_run_that_is_held_back_is_counted_once_and_opens_when_it_is_paid_for() -> None:
    budget = OpeningBudget(60_000)
    alerts = AlertTracker(AT_ONCE, model="vitals@7", channels=CHANNELS, budget=budget)
    changes = feed(alerts, [1.2, 0.1, 1.2, 0.1, 0.6, *[1.1] * 100])
    (row, last) = changes[-1]
    assert [(alert.state) for _, alert in changes] == ["open", "resolved"] * 2 + ["open"]
    assert alerts.held_back == 1
    # 120 s are owed at the start; a level of 1.1 is reached when 1.2 openings are left, which is after 48 s.
    assert (row, last.started_at, last.detected_at) == (48, 4000, 48_000)
    assert last.samples == 45


def test_streams_that_are_released_owe_nothing_when_they_had_paid() -> None:
    alerts = AlertTracker(AT_ONCE, model="vitals@7", channels=CHANNELS, budget=OpeningBudget(60_000))
    feed(alerts, [1.2, 0.1], ids=["a", "a"])
    alerts.release_older_than(59_999)
    assert alerts.owing == 1
    alerts.release_older_than(60_000)
    assert alerts.owing == 0


def test_a_state_of_earlier_versions_goes_on() -> None:
    pending = (
        b'{"bed7":{"above":1,"below":0,"samples":1,"started_at":3000,"opened_by":["telemetry",3,3],'
        b'"peak":{"score":1.4,"ts":3000},"channels":[{"name":"hr","contribution":1.0,"value":70.0,"expected":72.0}],'
        b'"alert":null,"resolved_at":null,"last_peak":0.0}}'
    )
    alerts = tracker()
    alerts.import_state(pending)
    ((row, alert),) = feed(alerts, [1.2], start=4)
    assert (row, alert.started_at, alert.samples, alert.peak.score) == (4, 3000, 2, 1.4)
    whole = feed(tracker(), [1.4, 1.2], start=3)
    assert alert.alert_id == whole[0][1].alert_id
    assert alert.summary.endswith("(score 1.40)")  # an earlier version kept no p-value


def test_the_defaults_of_a_policy() -> None:
    found, _ = records(steady(1.5, 1.5, 0.3, 0.3, 0.3, 0.3, 0.3), AlertPolicy())
    assert [(row, alert["state"]) for row, alert in found] == [(1, "open"), (6, "resolved")]
    for step_ms, until in ((1000, 32), (100, 300), (60_000, 32)):  # 32 samples, or 30 s where they are shorter
        rows = steady(1.5, 1.5, *[0.3] * (5 + until - 1), 1.0, 1.0, step_ms=step_ms)
        found, _ = records(rows, AlertPolicy())
        assert [row for row, alert in found if alert["revision"] == 1] == [1, 6 + until + 1]
        assert not [row for row, _ in records(rows[:-1], AlertPolicy())[0] if row > 6]


def test_a_wait_in_periods_is_one_in_samples_of_the_model() -> None:
    policy = AlertPolicy(open_after=Delay(periods=0.125))
    for period_rows, rows in ((50, 7), (0, 8)):  # without a period 64 samples stand for one
        alerts = AlertTracker(policy, model="vitals@7", channels=CHANNELS, period_rows=period_rows)
        assert [row for row, _ in feed(alerts, [1.1] * 9)] == [rows - 1]


def test_what_lasts_is_more_severe() -> None:
    changes = feed(tracker(), [1.5] * 700)
    assert [(alert.severity, alert.detected_at) for _, alert in changes] == [("low", 1000)] * 1 + [("medium", 1000)]
    assert changes[1][0] == 601  # ten minutes after it opened


def test_the_summary_says_what_where_since_when_and_how_rare() -> None:
    alerts = AlertTracker(AT_ONCE, model="vitals@7", channels=CHANNELS, units=("1/min", "%"))
    ((_, alert),) = feed(alerts, [1.5])
    assert alert.summary == (
        "bed7: spo2 90 % where 97 % was expected, since 1970-01-01T00:00:00Z (score 1.50, one sample in 3,300,000)"
    )


@pytest.mark.parametrize(
    ("p_value", "words"), [(1e-6, "one sample in 1,000,000"), (1 / 430_123, "one sample in 430,000"), (0.0, "10^15")]
)
def test_rarity_in_words(p_value: float, words: str) -> None:
    channel = ChannelPart("hr", 1.0, None, 72.0)
    text = summary_of("bed7", channel=channel, unit="", started_at=1250, peak=Peak(1.5, 1250, p_value))
    assert text.startswith("bed7: hr missing where 72 was expected, since 1970-01-01T00:00:01.250Z (score 1.50, ")
    assert words in text
