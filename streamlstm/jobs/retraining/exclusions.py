"""Spans that must not be learnt as normal: those that were alerted on, and those that a person has labelled.

Their values are made missing, so that the loss does not see them; the rows stay, and with them the stream's time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

import msgspec
import numpy as np

from streamlstm.recordings.labels import Span
from streamlstm.recordings.series import StreamSamples
from streamlstm.types import Record

__all__ = ["Margins", "alerted_spans", "exclude"]

_log = logging.getLogger(__name__)

_FOREVER_MS = 1 << 62

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


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


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
