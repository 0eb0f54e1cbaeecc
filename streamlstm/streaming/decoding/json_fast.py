"""JSON records to samples: a typed fast path, and the explaining path for the records it gives up on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from streamlstm.streaming.decoding.json_strict import (
    END_MS,
    UNITS_PER_MS,
    DecodedSample,
    Layout,
    Rfc3339,
    TimeUnit,
    Values,
    explain,
)
from streamlstm.streaming.decoding.rejections import Reason, Rejection, dead_letter
from streamlstm.types import MISSING_TIME_MS, Record

__all__ = ["Decoded", "DecodedSample", "JsonDecoder", "Reason", "Rejection", "Values", "dead_letter"]

_OPEN_BRACKET = ord("[")


class _GiveUp(Exception):
    """A record that the fast path leaves to the explaining one."""


_GIVES_UP = (_GiveUp, msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Good samples in arrival order, and the records that held a bad one."""

    samples: list[DecodedSample]
    rejected: list[Rejection]


class JsonDecoder:
    """Decode telemetry records: one sample, an array of samples, or a packed frame.

    `stream_id` is a field (`$.stream_id`) or `key`; `ts_path` is a field (`$.ts`) or `record`, the record's time stamp.
    """

    def __init__(
        self,
        *,
        stream_id: str = "$.stream_id",
        ts_path: str = "$.ts",
        ts_unit: TimeUnit = "rfc3339",
        max_record_bytes: int = 1_000_000,
        max_ahead_ms: int = 86_400_000,
    ) -> None:
        self.layout = Layout(
            stream_id_field=None if stream_id == "key" else stream_id.removeprefix("$."),
            ts_field=None if ts_path == "record" else ts_path.removeprefix("$."),
            ts_unit="ms" if ts_path == "record" else ts_unit,
            max_record_bytes=max_record_bytes,
            max_ahead_ms=max_ahead_ms,
        )
        self._has_id = self.layout.stream_id_field is not None
        self._has_time = self.layout.ts_field is not None
        self._max_record_bytes = max_record_bytes
        self._max_ahead_ms = max_ahead_ms
        self._is_text = self.layout.ts_unit == "rfc3339"
        self._units_per_ms = UNITS_PER_MS.get(self.layout.ts_unit, 1.0)
        time: Any = Rfc3339 if self._is_text else float
        numbers = list[float | None]
        one: Any = self._shape("Sample", time, dict[str, float | None] | numbers)
        frame = self._shape("Frame", list[time], dict[str, numbers | None] | list[numbers])
        self._decode_one: Callable[[bytes], Any] = msgspec.json.Decoder(one).decode
        self._decode_array: Callable[[bytes], list[Any]] = msgspec.json.Decoder(list[one]).decode
        self._decode_frame: Callable[[bytes], Any] = msgspec.json.Decoder(frame).decode

    def _shape(self, name: str, time: Any, values: Any) -> type[msgspec.Struct]:
        """Describe a record: only the fields that are read, so that msgspec skips the others unparsed."""
        fields: list[Any] = [("values", values), ("quality", Literal["good", "uncertain", "bad"] | None, None)]
        if self.layout.ts_field is not None:
            fields.insert(0, ("ts", time, msgspec.field(name=self.layout.ts_field)))
        if self.layout.stream_id_field is not None:
            text = Annotated[str, msgspec.Meta(min_length=1)]
            fields.insert(0, ("stream_id", text, msgspec.field(name=self.layout.stream_id_field)))
        return msgspec.defstruct(name, fields, gc=False)

    def decode(self, records: Sequence[Record]) -> Decoded:
        """Decode a batch. Never raises on what a record holds: what cannot be used is in `rejected`."""
        samples: list[DecodedSample] = []
        rejected: list[Rejection] = []
        for record in records:
            before = len(samples)
            try:
                self._append(record, samples)
            except _GIVES_UP:
                del samples[before:]
                good, rejection = explain(record, self.layout)
                samples += good
                if rejection is not None:
                    rejected.append(rejection)
        return Decoded(samples, rejected)

    def _append(self, record: Record, samples: list[DecodedSample]) -> None:
        value = record.value
        if not value or len(value) > self._max_record_bytes:
            raise _GiveUp
        if value[0] == _OPEN_BRACKET:
            shapes = self._decode_array(value)
            if not shapes:
                raise _GiveUp
            samples += [self._sample(shape, record, index) for index, shape in enumerate(shapes)]
            return
        try:
            shape = self._decode_one(value)
        except msgspec.ValidationError:
            self._append_frame(self._decode_frame(value), record, samples)
        else:
            samples.append(self._sample(shape, record, 0))

    def _sample(self, shape: Any, record: Record, index: int) -> DecodedSample:
        record_ms = record.timestamp_ms
        return DecodedSample(
            shape.stream_id if self._has_id else self._key(record),
            self._event_time(shape.ts if self._has_time else record_ms, record_ms),
            {} if shape.quality == "bad" else shape.values,
            record,
            index,
        )

    def _append_frame(self, shape: Any, record: Record, samples: list[DecodedSample]) -> None:
        if not self._has_time or not shape.ts:
            raise _GiveUp
        count = len(shape.ts)
        stream_id = shape.stream_id if self._has_id else self._key(record)
        rows: list[Any]
        if isinstance(shape.values, list):
            rows = shape.values
        else:
            columns = {channel: column for channel, column in shape.values.items() if column is not None}
            if any(len(column) != count for column in columns.values()):
                raise _GiveUp
            names = list(columns)
            rows = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)] or [{}] * count
        if len(rows) != count:
            raise _GiveUp
        is_bad = shape.quality == "bad"
        for index, (time, values) in enumerate(zip(shape.ts, rows, strict=True)):
            event_time_ms = self._event_time(time, record.timestamp_ms)
            samples.append(DecodedSample(stream_id, event_time_ms, {} if is_bad else values, record, index))

    def _key(self, record: Record) -> str:
        if not record.key:
            raise _GiveUp
        return record.key.decode("utf-8")

    def _event_time(self, time: Any, record_ms: int) -> int:
        """Read an event time. `time` is a datetime or a number in the source's unit."""
        event_time_ms: int = round(time.timestamp() * 1000 if self._is_text else time / self._units_per_ms)
        if not 0 <= event_time_ms < END_MS:
            raise _GiveUp
        if event_time_ms - record_ms > self._max_ahead_ms and record_ms != MISSING_TIME_MS:
            raise _GiveUp
        return event_time_ms
