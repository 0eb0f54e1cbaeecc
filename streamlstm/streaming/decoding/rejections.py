"""Why a record, or a sample in it, cannot be scored, and the dead letter that says so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from streamlstm.types import Output, Record

__all__ = ["MAX_DEAD_LETTER_BYTES", "MAX_STREAM_ID_BYTES", "Reason", "Rejection", "dead_letter"]

MAX_DEAD_LETTER_BYTES = 900_000
"""Brokers take records of 1,048,588 bytes unless told otherwise; the rest is room for key and headers."""

MAX_STREAM_ID_BYTES = 1000
"""Of UTF-8. A stream's id stands in each of its outputs and in the state; nobody's sensor has a name as long."""

_MAX_KEY_BYTES = 1000
_MAX_ERROR_CHARACTERS = 500


class Reason(StrEnum):
    """The closed list of reasons, as it stands in dead letters and metrics."""

    MALFORMED_JSON = "malformed_json"
    WRONG_TYPE = "wrong_type"
    MISSING_STREAM_ID = "missing_stream_id"
    BAD_TIMESTAMP = "bad_timestamp"
    TIMESTAMP_AHEAD = "timestamp_ahead"
    """Far ahead of the record's own time stamp: every later sample of the stream would count as late."""
    UNKNOWN_CHANNEL = "unknown_channel"
    OVERSIZED = "oversized"
    NO_MODEL = "no_model"
    TOO_MANY_STREAMS = "too_many_streams"
    EMPTY = "empty"
    """A record without a value (a tombstone) or without a sample."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record with at least one sample that cannot be used; `error` says expected, got and JSON path of the first."""

    record: Record
    reason: Reason
    error: str


def dead_letter(rejection: Rejection, topic: str) -> Output:
    """Build the record for the dead-letter topic: the original key and bytes, the reason and the source position.

    What is too long for a record is cut, and its length stands in a header.
    """
    record = rejection.record
    key, value = record.key, record.value
    headers = [
        ("slstm.reason", rejection.reason.value.encode()),
        ("slstm.error", rejection.error[:_MAX_ERROR_CHARACTERS].encode("utf-8", "backslashreplace")),
        ("slstm.topic", record.topic.encode()),
        ("slstm.partition", str(record.partition).encode()),
        ("slstm.offset", str(record.offset).encode()),
    ]
    if value is not None and len(value) > MAX_DEAD_LETTER_BYTES:
        headers.append(("slstm.bytes", str(len(value)).encode()))
        value = value[:MAX_DEAD_LETTER_BYTES]
    if key is not None and len(key) > _MAX_KEY_BYTES:
        headers.append(("slstm.key_bytes", str(len(key)).encode()))
        key = key[:_MAX_KEY_BYTES]
    return Output(topic, key, value, tuple(headers))
