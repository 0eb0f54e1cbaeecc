"""Spans that must not be learnt as normal: those that were alerted on, and those that a person has labelled.

Their values are made missing, so that the loss does not see them; the rows stay, and with them the stream's time.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np

from streamlstm.errors import DataError
from streamlstm.recordings.series import StreamSamples
from streamlstm.types import Record

__all__ = ["Margins", "Span", "alerted_spans", "exclude", "labelled_spans"]

_log = logging.getLogger(__name__)

_FOREVER_MS = 1 << 62
_COLUMNS = ("stream_id", "start", "end")

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Span(NamedTuple):
    """A stretch of event time of one stream, both ends in it."""

    stream_id: str
    begin_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Margins:
    """How much is excluded around an alerted span: an alert opens late, and things take time to be as they were."""

    before_ms: int = 0
    after_ms: int = 0


class _Alert(msgspec.Struct):
    """What is read of an alert record."""

    alert_id: str
    revision: int
    stream_id: str
    started_at: Moment
    resolved_at: Moment | None


def alerted_spans(records: Iterable[Record], margins: Margins) -> list[Span]:
    """Return the span of every alert, from its newest revision; an alert that is open has no end.

    A record that is no alert is passed over, with a warning.
    """
    decode = msgspec.json.Decoder(_Alert).decode
    newest: dict[str, _Alert] = {}
    strange = 0
    for record in records:
        if not record.value:
            newest.pop((record.key or b"").decode("utf-8", "replace"), None)
            continue
        try:
            alert = decode(record.value)
        except msgspec.MsgspecError:
            strange += 1
            continue
        known = newest.get(alert.alert_id)
        if known is None or alert.revision >= known.revision:
            newest[alert.alert_id] = alert
    if strange:
        _log.warning("%d record(s) of the alerts topic are not alerts and were ignored", strange)
    return [
        Span(
            alert.stream_id,
            _ms(alert.started_at) - margins.before_ms,
            _FOREVER_MS if alert.resolved_at is None else _ms(alert.resolved_at) + margins.after_ms,
        )
        for alert in newest.values()
    ]


def labelled_spans(path: Path) -> list[Span]:
    """Read a CSV with the columns stream_id, start and end (RFC 3339; without a zone, UTC).

    Raises: DataError with the row.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DataError(f"{path}: the labels cannot be read ({reason})") from error
    rows = csv.DictReader(text.splitlines())
    missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise DataError(f"{path}: expected a header with stream_id, start and end, got none of {', '.join(missing)}")
    spans = []
    for number, row in enumerate(rows):
        begin_ms, end_ms = (_time(path, number, row, column) for column in ("start", "end"))
        if not row["stream_id"]:
            raise DataError(f"{path}: row {number}: expected a stream id, got nothing")
        if end_ms < begin_ms:
            raise DataError(f"{path}: row {number}: expected an end not before {row['start']}, got {row['end']}")
        spans.append(Span(row["stream_id"], begin_ms, end_ms))
    return spans


def exclude(pieces: Sequence[StreamSamples], spans: Iterable[Span]) -> tuple[list[StreamSamples], int]:
    """Return the pieces with the values in spans made missing, and how many rows that concerned."""
    by_stream: dict[str, list[Span]] = {}
    for span in spans:
        by_stream.setdefault(span.stream_id, []).append(span)
    result, rows = [], 0
    for piece in pieces:
        is_excluded = np.zeros(len(piece.event_time_ms), bool)
        for _, begin_ms, end_ms in by_stream.get(piece.stream_id, ()):
            first, last = np.searchsorted(piece.event_time_ms, [begin_ms, end_ms + 1])
            is_excluded[first:last] = True
        if not is_excluded.any():
            result.append(piece)
            continue
        values = piece.values.copy()
        values[is_excluded] = np.nan
        rows += int(is_excluded.sum())
        result.append(replace(piece, values=values))
    return result, rows


def _time(path: Path, number: int, row: Mapping[str, str | None], column: str) -> int:
    cell = row[column]
    try:
        moment = datetime.fromisoformat(cell or "")
    except ValueError:
        raise DataError(
            f"{path}: row {number}, column {column!r}: expected a time such as 2026-11-21T01:20:30Z, got {cell!r}"
        ) from None
    return _ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
