"""Alerts: hysteresis, refractory time, severity, and independence from batches."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scoring.alerts_oracle import Sample, revisions_of

from streamlstm.scoring.alerts import Alert, AlertPolicy, AlertTracker, severity_of
from streamlstm.types import Position, Scores, Status

POLICY = AlertPolicy(open_after=2, resolve_after=3, refractory_ms=10_000)
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
        p_value=np.exp(-np.array(scores)),
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
    assert [a.state for _, a in feed(tracker(), [*first, 2.0, 2.1])] == ["open", "resolved", "open"]
    later = [*first, *[0.1] * 10, 1.1, 1.1]
    assert [a.state for _, a in feed(tracker(), later)] == ["open", "resolved", "open"]


def test_a_huge_peak_does_not_silence_a_later_anomaly() -> None:
    changes = feed(tracker(), [1e6, 1e6, 0.1, 0.1, 0.1, 14.0, 14.0])
    assert [alert.state for _, alert in changes] == ["open", "resolved", "open"]
    assert changes[0][1].alert_id != changes[2][1].alert_id


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


def records(rows: list[Row], policy: AlertPolicy) -> tuple[list[tuple[int, dict[str, object]]], AlertTracker]:
    """Feed rows of five channels to a tracker; return its alerts as plain values."""
    samples = samples_of(rows)
    alerts = AlertTracker(policy, model="vitals@7", channels=FIVE)
    columns = Scores(
        score=np.array([s.score for s in samples]),
        p_value=np.array([0.5 for _ in samples]),
        status=np.array([Status[s.status.upper()] for s in samples], np.uint8),
        expected=np.array([s.expected for s in samples], np.float32).reshape(-1, 6),
        contribution=np.array([s.contribution for s in samples], np.float32).reshape(-1, 6),
    )
    values = np.array([s.values for s in samples], np.float32).reshape(-1, 6)
    times = np.array([s.time_ms for s in samples], np.int64)
    positions = [Position(*s.place) for s in samples]
    changes = alerts.update([row[0] for row in rows], times, values, columns, positions, model="vitals@8")
    return [(row, plain(alert)) for row, alert in changes], alerts


FIVE = ("hr", "spo2", "resp", "temp", "nibp", "icp")


def samples_of(rows: list[Row]) -> list[Sample]:
    """Give every row values, shares and an offset of its own; every seventh value is missing."""
    samples, time_ms = [], 50_000
    for n, (_, step_ms, score, status) in enumerate(rows):
        time_ms += step_ms
        rng = np.random.default_rng(n)
        values = [float(np.float32(v)) for v in rng.normal(80, 9, 6)]
        values[n % 7 % 6] = NAN if n % 7 < 6 else values[0]
        shares = np.float32(rng.dirichlet(np.ones(6)))
        expected = [float(np.float32(v)) for v in rng.normal(80, 9, 6)]
        place = ("telemetry", n % 3, 100 + n)
        samples.append(Sample(time_ms, score, status, tuple(values), tuple(expected), tuple(map(float, shares)), place))
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
    }


def expected_of(rows: list[Row], policy: AlertPolicy) -> list[tuple[int, dict[str, object]]]:
    """Ask the oracle, stream by stream."""
    samples, found = samples_of(rows), []
    for stream_id in {row[0] for row in rows}:
        own = [n for n, row in enumerate(rows) if row[0] == stream_id]
        revisions = revisions_of(
            [samples[n] for n in own],
            stream_id=stream_id,
            channels=FIVE,
            model="vitals@8",
            open_after=policy.open_after,
            resolve_after=policy.resolve_after,
            refractory_ms=policy.refractory_ms,
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


@example(steady(1.5, NAN, 1.5, 0.3, gap_at=1), 2, 3, 6000)  # a run does not outlast a gap
@example(steady(1.5, 1.5, 1.7, NAN, 1.5, 1.6, gap_at=3), 2, 3, 0)  # nor does what an alert has seen
@example(steady(2.0, 2.0, 0.3, 0.3, 0.3, 2.6), 1, 3, 5000)  # as much worse as is asked for
@example(steady(1.5, 1.5, 0.3, 0.3, 0.3, 1.5, 1.5, 1.5), 1, 3, 3000)  # exactly as late as is asked for
@example(steady(40.0, 0.3, 0.3, 12.9, 13.0), 1, 2, 60_000)  # of a huge peak ten are remembered
@given(rows_of, st.integers(1, 3), st.integers(1, 4), st.sampled_from([0, 1, 3000, 6000]))
def test_alerts_equal_their_definition(
    rows: list[Row], open_after: int, resolve_after: int, refractory_ms: int
) -> None:
    policy = AlertPolicy(open_after, resolve_after, refractory_ms)
    found, tracker = records(rows, policy)
    want = expected_of(rows, policy)
    assert found == want
    last = {str(record["alert_id"]): record["state"] for _, record in want}
    open_ids = sorted(alert_id for alert_id, state in last.items() if state == "open")
    assert sorted(alert.alert_id for alert in tracker.open_alerts) == open_ids
    owners = {alert.stream_id for alert in tracker.open_alerts}
    assert [tracker.is_open(stream_id) for stream_id in "abc"] == [stream_id in owners for stream_id in "abc"]


@pytest.mark.parametrize(("step_ms", "is_held"), [(2999, True), (3000, False)])
def test_a_stream_is_forgotten_when_its_refractory_time_is_over(step_ms: int, is_held: bool) -> None:
    rows: list[Row] = [("a", 1000, 1.5, "ready"), ("a", 1000, 0.3, "ready"), ("a", step_ms, 0.3, "ready")]
    _, tracker = records(rows, AlertPolicy(open_after=1, resolve_after=1, refractory_ms=3000))
    assert (tracker.export_state() != b"{}") == is_held


def test_a_run_that_ended_is_forgotten_at_once() -> None:
    for rows in (steady(1.5, 0.3), steady(1.5, NAN, gap_at=1), steady(NAN, gap_at=0)):
        assert records(rows, AlertPolicy())[1].export_state() == b"{}"
    assert records(steady(1.5), AlertPolicy())[1].export_state() != b"{}"


def test_defaults_are_two_to_open_five_to_resolve_and_half_a_minute() -> None:
    found, _ = records(steady(1.5, 1.5, 0.3, 0.3, 0.3, 0.3, 0.3), AlertPolicy())
    assert [(row, alert["state"]) for row, alert in found] == [(1, "open"), (6, "resolved")]
    soon, late = (steady(1.0, 1.0, 0.3, 0.3, 0.3, 0.3, 0.3, 1.0) for _ in range(2))
    soon.append(("a", 28_999, 1.0, "ready"))
    late.append(("a", 29_000, 1.0, "ready"))
    assert [len(records(rows, AlertPolicy())[0]) for rows in (soon, late)] == [2, 3]
