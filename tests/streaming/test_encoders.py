"""The bytes of score and alert records, written out here once more by hand."""

from __future__ import annotations

import msgspec
import numpy as np

from streamlstm.scoring.alerts import Alert, ChannelPart, Peak
from streamlstm.streaming.encoders import alert_record, encode, rfc3339, score_records
from streamlstm.types import Position, Scores, Status

NAN = float("nan")
TIME_MS = 1_795_262_400_250
TIME = "2026-11-21T12:00:00.250Z"

ALERT = Alert(
    alert_id="a1",
    revision=2,
    state="resolved",
    kind="collective",
    severity="medium",
    stream_id="s",
    started_at=TIME_MS,
    detected_at=TIME_MS + 1_000,
    resolved_at=TIME_MS + 61_000,
    peak=Peak(2.5, TIME_MS + 2_000),
    samples=7,
    channels=(ChannelPart("flow", 0.75, None, 3.5),),
    model="tiny@1",
    summary="flow",
)


def _scores() -> Scores:
    """One that is ready, with more digits than are told; one that warms up; one that came late."""
    return Scores(
        np.array([1.23456749, NAN, NAN]),
        np.array([1.2345674e-9, NAN, NAN]),
        np.array([Status.READY, Status.WARMING, Status.LATE], np.uint8),
        np.array([[1234.5674, 0.5], [1.0, 2.0], [NAN, NAN]], np.float32),
        np.array([[0.123449, 0.876551], [0.0, 0.0], [NAN, NAN]], np.float32),
    )


def _encoded(rows: list[int]) -> list[bytes]:
    positions = [Position("in", 3, 40 + row) for row in range(3)]
    times = np.array([TIME_MS, TIME_MS + 1, TIME_MS + 2])
    channels = ("flow", "pressure")
    return [
        encode(one)
        for one in score_records(np.array(rows), ["s", "t", "u"], times, _scores(), channels, "tiny@1", positions)
    ]


def test_score_records_to_the_byte() -> None:
    ready, warming, late = _encoded([0, 1, 2])
    assert ready == (
        b'{"schema":"streamlstm.score/1","stream_id":"s","ts":"2026-11-21T12:00:00.250Z","score":1.234567,'
        b'"p_value":1.23457e-9,"status":"ready","expected":{"flow":1234.57,"pressure":0.5},'
        b'"contribution":{"flow":0.1234,"pressure":0.8766},"model":"tiny@1","source":["in",3,40]}'
    )
    assert warming == (
        b'{"schema":"streamlstm.score/1","stream_id":"t","ts":"2026-11-21T12:00:00.251Z","score":null,'
        b'"p_value":null,"status":"warming","expected":{"flow":1.0,"pressure":2.0},'
        b'"contribution":{"flow":0.0,"pressure":0.0},"model":"tiny@1","source":["in",3,41]}'
    )
    assert late == (
        b'{"schema":"streamlstm.score/1","stream_id":"u","ts":"2026-11-21T12:00:00.252Z","score":null,'
        b'"p_value":null,"status":"late","expected":{},"contribution":{},"model":"tiny@1","source":["in",3,42]}'
    )
    assert _encoded([2, 0]) == [late, ready]


def test_an_alert_record_to_the_byte() -> None:
    assert encode(alert_record(ALERT)) == (
        b'{"schema":"streamlstm.alert/1","alert_id":"a1","revision":2,"state":"resolved","kind":"collective",'
        b'"severity":"medium","stream_id":"s","started_at":"2026-11-21T12:00:00.250Z",'
        b'"detected_at":"2026-11-21T12:00:01.250Z","resolved_at":"2026-11-21T12:01:01.250Z",'
        b'"peak":{"score":2.5,"ts":"2026-11-21T12:00:02.250Z"},"samples":7,'
        b'"channels":[{"name":"flow","contribution":0.75,"value":null,"expected":3.5}],'
        b'"model":"tiny@1","summary":"flow","outside_budget":false}'
    )
    is_open = alert_record(msgspec.structs.replace(ALERT, state="open", resolved_at=None))
    assert is_open.resolved_at is None and is_open.detected_at == "2026-11-21T12:00:01.250Z"


def test_times_have_milliseconds_and_a_zone() -> None:
    assert rfc3339(np.array([0, TIME_MS, 7_258_118_399_999])) == [
        "1970-01-01T00:00:00.000Z",
        TIME,
        "2199-12-31T23:59:59.999Z",
    ]
