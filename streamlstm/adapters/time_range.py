"""Whether a record lies in a range of time."""

from __future__ import annotations

from streamlstm.types import Record

__all__ = ["is_within"]


def is_within(record: Record, begin_ms: int | None, end_ms: int | None) -> bool:
    """Say whether a record's time stamp is `begin_ms` or later, and before `end_ms`; None is no bound."""
    return (begin_ms is None or record.timestamp_ms >= begin_ms) and (end_ms is None or record.timestamp_ms < end_ms)
