"""Alerts: hysteresis, refractory time, severity, and independence from batches."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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
