"""Scores, alerts and dead letters as records to publish.

The same score always gives the same bytes: numbers are rounded to a stated precision, keys have one order.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm.scoring.alerts import Alert, ChannelPart
from streamlstm.streaming.rounding import decimals, significant
from streamlstm.types import Position, Scores, Settled, Status, TopicPartition

__all__ = [
    "AlertRecord",
    "ScoreRecord",
    "SettledRecord",
    "alert_record",
    "encode",
    "rfc3339",
    "score_records",
    "settled_records",
]

encode = msgspec.json.Encoder().encode


class ScoreRecord(msgspec.Struct, frozen=True):
    """One score record (`streamlstm.score/1`). `score` and `p_value` are null where there is none."""

    schema: str
    stream_id: str
    ts: str
    score: float | None
    p_value: float | None
    status: str
    expected: dict[str, float]
    contribution: dict[str, float]
    model: str
    source: Position


class SettledRecord(msgspec.Struct, frozen=True):
    """The verdict on one sample (`streamlstm.settled/1`); `ts` and `source` are those of its score record."""

    schema: str
    stream_id: str
    ts: str
    settled: float
    model: str
    source: Position


class PeakRecord(msgspec.Struct, frozen=True):
    """The highest score of an alert and its time."""

    score: float
    ts: str


class AlertRecord(msgspec.Struct, frozen=True):
    """One revision of an alert (`streamlstm.alert/1`). `settled` and `ended_at` are there once they are known."""

    schema: str
    alert_id: str
    revision: int
    state: str
    kind: str
    severity: str
    stream_id: str
    started_at: str
    detected_at: str
    resolved_at: str | None
    peak: PeakRecord
    samples: int
    channels: tuple[ChannelPart, ...]
    model: str
    summary: str
    outside_budget: bool = False
    settled: str | msgspec.UnsetType = msgspec.UNSET
    ended_at: str | msgspec.UnsetType = msgspec.UNSET


def rfc3339(event_time_ms: NDArray[np.int64]) -> list[str]:
    """Return times as RFC 3339 in UTC with milliseconds, e.g. 2026-11-21T01:20:30.250Z."""
    texts: list[str] = np.datetime_as_string(event_time_ms.astype("datetime64[ms]"), unit="ms").tolist()
    return [text + "Z" for text in texts]


def score_records(
    rows: NDArray[np.int64],
    stream_ids: Sequence[str],
    event_time_ms: NDArray[np.int64],
    scores: Scores,
    channels: Sequence[str],
    model: str,
    positions: Sequence[Position],
) -> list[ScoreRecord]:
    """Make the score records of the given rows. `score` has 6 decimals, other numbers 6 significant digits."""
    status = scores.status[rows]
    labels = [_LABELS[code] for code in status.tolist()]
    is_late = (status == Status.LATE).tolist()
    has_score = (~np.isnan(scores.score[rows])).tolist()
    columns = zip(
        rows.tolist(),
        rfc3339(event_time_ms[rows]),
        decimals(scores.score[rows], 6).tolist(),
        significant(scores.p_value[rows], 6).tolist(),
        significant(scores.expected[rows], 6).tolist(),
        decimals(scores.contribution[rows], 4).tolist(),
        labels,
        is_late,
        has_score,
        strict=True,
    )
    return [
        ScoreRecord(
            schema="streamlstm.score/1",
            stream_id=stream_ids[row],
            ts=ts,
            score=score if is_scored else None,
            p_value=p_value if is_scored else None,
            status=label,
            expected={} if late else dict(zip(channels, expected, strict=True)),
            contribution={} if late else dict(zip(channels, contribution, strict=True)),
            model=model,
            source=positions[row],
        )
        for row, ts, score, p_value, expected, contribution, label, late, is_scored in columns
    ]


def settled_records(
    rows: NDArray[np.int64], stream_ids: Sequence[str], settled: Settled, model: str, partition: TopicPartition
) -> list[SettledRecord]:
    """Make the records of the verdicts that the given rows bring, whose marks are offsets. `settled` has 6 decimals."""
    found = settled.take(rows)
    columns = zip(
        rows.tolist(),
        rfc3339(found.event_time_ms),
        decimals(found.settled, 6).tolist(),
        found.mark.tolist(),
        strict=True,
    )
    return [
        SettledRecord("streamlstm.settled/1", stream_ids[row], ts, verdict, model, Position(*partition, offset))
        for row, ts, verdict, offset in columns
    ]


_LABELS = tuple(Status(code).label for code in range(len(Status)))


def alert_record(alert: Alert) -> AlertRecord:
    """Make the record of an alert's revision."""

    def at(ms: int) -> str:
        return rfc3339(np.array([ms], np.int64))[0]

    fields = {name: getattr(alert, name) for name in AlertRecord.__struct_fields__ if name != "schema"}
    times = {name: at(fields[name]) for name in ("started_at", "detected_at")}
    resolved_at = None if alert.resolved_at is None else at(alert.resolved_at)
    fields["settled"] = msgspec.UNSET if alert.settled is None else alert.settled
    fields["ended_at"] = msgspec.UNSET if alert.ended_at is None else at(alert.ended_at)
    peak = PeakRecord(alert.peak.score, at(alert.peak.ts))
    return AlertRecord(schema="streamlstm.alert/1", **(fields | times | {"resolved_at": resolved_at, "peak": peak}))
