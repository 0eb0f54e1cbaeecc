"""What a person has labelled: a CSV of spans of event time, `stream_id,start,end`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from streamlstm.errors import DataError
from streamlstm.recordings.time_unit import TimeUnit
from streamlstm.recordings.times import UNITS_PER_MS

__all__ = ["Span", "event_time", "labelled_spans"]

_COLUMNS = ("stream_id", "start", "end")


class Span(NamedTuple):
    """A stretch of event time of one stream, both ends in it."""

    stream_id: str
    begin_ms: int
    end_ms: int


def labelled_spans(path: Path, *, ts_unit: TimeUnit | None = None) -> list[Span]:
    """Read a CSV with the columns stream_id, start and end: RFC 3339 (without a zone, UTC), or numbers of `ts_unit`.

    Without a unit numbers are refused. Raises: DataError with the row.
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
        begin_ms, end_ms = (_time(path, number, row, column, ts_unit) for column in ("start", "end"))
        if not row["stream_id"]:
            raise DataError(f"{path}: row {number}: expected a stream id, got nothing")
        if end_ms < begin_ms:
            raise DataError(f"{path}: row {number}: expected an end not before {row['start']}, got {row['end']}")
        spans.append(Span(row["stream_id"], begin_ms, end_ms))
    return spans


def event_time(text: str, *, ts_unit: TimeUnit | None) -> int:
    """Return the ms of a time that a person wrote: RFC 3339 (without a zone, UTC), or a number of `ts_unit`.

    Raises: ValueError, OverflowError.
    """
    if ts_unit is not None and _is_number(text):
        return round(float(text) / UNITS_PER_MS[ts_unit])
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _time(path: Path, number: int, row: Mapping[str, str | None], column: str, unit: TimeUnit | None) -> int:
    try:
        return event_time(row[column] or "", ts_unit=unit)
    except (ValueError, OverflowError):
        expected = "a time such as 2026-11-21T01:20:30Z" + (f", or a number of {unit}" if unit else "")
        raise DataError(f"{path}: row {number}, column {column!r}: expected {expected}, got {row[column]!r}") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
