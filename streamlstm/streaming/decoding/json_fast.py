"""JSON records to columns: a typed fast path, and the strict path for the records that it gives up on.

1. Each record is read by msgspec: one sample, an array of samples, or a packed frame. What does not fit is given up.
2. The samples of the whole batch become columns at once. A record with a time that cannot be is given up as well.
3. What was given up goes through `json_strict`, which keeps the good samples and says what is wrong with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm.streaming.decoding.columns import Values, block_of_columns, blocks_of, merged
from streamlstm.streaming.decoding.json_strict import END_MS, UNITS_PER_MS, Layout, Rfc3339, TimeUnit, explain_all
from streamlstm.streaming.decoding.rejections import MAX_STREAM_ID_BYTES
from streamlstm.streaming.decoding.samples import NO_SAMPLES, Decoded, SampleColumns, ValueBlock, joined
from streamlstm.types import MISSING_TIME_MS, Record

__all__ = ["JsonDecoder"]

_OPEN_BRACKET = ord("[")

_SHORT_ID_CHARACTERS = MAX_STREAM_ID_BYTES // 4
"""An id of so many characters is never too long, whatever they are; longer ones are left to the strict path."""


class _GiveUp(Exception):
    """A record that the fast path leaves to the strict one."""


_GIVES_UP = (_GiveUp, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(slots=True)
class _Read:
    """What msgspec read of a batch: samples and frames, each with the place of its record, and those given up."""

    samples: list[Any] = field(default_factory=list)
    sample_record: list[int] = field(default_factory=list)
    sample_index: list[int] = field(default_factory=list)
    frames: list[tuple[int, Any, Sequence[ValueBlock]]] = field(default_factory=list)
    stream_id_of: dict[int, str] = field(default_factory=dict)
    """Of a record, where the stream id is its key."""
    given_up: list[int] = field(default_factory=list)


class JsonDecoder:
    """Decode telemetry records: one sample, an array of samples, or a packed frame. Implements `Decoder`.

    `stream_id` is a field (`$.stream_id`) or `key`; `ts_path` is a field (`$.ts`) or `record`, the record's time stamp.
    """

    def __init__(
        self,
        *,
        stream_id: str = "$.stream_id",
        ts_path: str = "$.ts",
        ts_unit: TimeUnit = "rfc3339",
        max_record_bytes: int = 1_000_000,
        max_ahead_ms: int = 300_000,
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
        self._is_text = self.layout.ts_unit == "rfc3339"
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
            text = Annotated[str, msgspec.Meta(min_length=1, max_length=_SHORT_ID_CHARACTERS)]
            fields.insert(0, ("stream_id", text, msgspec.field(name=self.layout.stream_id_field)))
        return msgspec.defstruct(name, fields, gc=False)

    def decode(self, records: Sequence[Record]) -> Decoded:
        """Decode a batch. Never raises on what a record holds: what cannot be used is in `rejected`."""
        read = self._read(records)
        samples, untimely = self._samples(read, records)
        frames, untimely_frames = self._frames(read, records)
        given_up = sorted({*read.given_up, *untimely, *untimely_frames})
        if not given_up:
            return Decoded(joined([samples, frames]), [])
        strict, rejected = explain_all(records, given_up, self.layout)
        return Decoded(joined([samples, frames, strict]), rejected)

    def _read(self, records: Sequence[Record]) -> _Read:
        read, max_bytes = _Read(), self.layout.max_record_bytes
        for number, record in enumerate(records):
            value = record.value
            try:
                if not value or len(value) > max_bytes:
                    raise _GiveUp
                if not self._has_id:
                    read.stream_id_of[number] = _key(record)
                if value[0] == _OPEN_BRACKET:
                    array = self._decode_array(value)
                    if not array:
                        raise _GiveUp
                    read.samples += array
                    read.sample_record += [number] * len(array)
                    read.sample_index += range(len(array))
                    continue
                try:
                    sample = self._decode_one(value)
                except msgspec.ValidationError:
                    frame = self._decode_frame(value)
                    read.frames.append((number, frame, self._frame_blocks(frame)))
                else:
                    read.samples.append(sample)
                    read.sample_record.append(number)
                    read.sample_index.append(0)
            except _GIVES_UP:
                read.given_up.append(number)
        return read

    def _samples(self, read: _Read, records: Sequence[Record]) -> tuple[SampleColumns, list[int]]:
        """Return the samples that came one by one or in arrays, and the records whose times cannot be."""
        samples = read.samples
        if not samples:
            return NO_SAMPLES, []
        record = np.array(read.sample_record)
        if self._has_id:
            stream_ids = [sample.stream_id for sample in samples]
        else:
            stream_ids = [read.stream_id_of[number] for number in read.sample_record]
        values: list[Values | None] = [None if one.quality == "bad" else one.values for one in samples]
        times = [sample.ts for sample in samples] if self._has_time else None
        return self._timely(stream_ids, times, record, np.array(read.sample_index), blocks_of(values), records)

    def _frames(self, read: _Read, records: Sequence[Record]) -> tuple[SampleColumns, list[int]]:
        """Return the samples of packed frames, and the records whose times cannot be."""
        if not read.frames:
            return NO_SAMPLES, []
        stream_ids: list[str] = []
        times: list[Any] = []
        blocks: list[ValueBlock] = []
        for number, frame, own in read.frames:
            blocks += [ValueBlock(block.channels, len(times) + block.rows, block.values) for block in own]
            stream_ids += [frame.stream_id if self._has_id else read.stream_id_of[number]] * len(frame.ts)
            times += frame.ts
        counts = [len(frame.ts) for _, frame, _ in read.frames]
        record = np.repeat([number for number, _, _ in read.frames], counts)
        index = np.concatenate([np.arange(count) for count in counts])
        return self._timely(stream_ids, times, record, index, merged(blocks), records)

    def _frame_blocks(self, frame: Any) -> Sequence[ValueBlock]:
        """Return a frame's values, a row a sample. Raises: _GiveUp when they are not as many as its times."""
        if not self._has_time or not frame.ts:
            raise _GiveUp
        count, values = len(frame.ts), frame.values
        if isinstance(values, list):
            columns = None
            if len(values) != count:
                raise _GiveUp
        else:
            columns = {channel: column for channel, column in values.items() if column is not None}
            if any(len(column) != count for column in columns.values()):
                raise _GiveUp
        if frame.quality == "bad":
            return ()
        return blocks_of(values) if columns is None else block_of_columns(columns)

    def _timely(
        self,
        stream_ids: list[str],
        times: Sequence[Any] | None,
        record: NDArray[np.int64],
        index: NDArray[np.int64],
        blocks: tuple[ValueBlock, ...],
        records: Sequence[Record],
    ) -> tuple[SampleColumns, list[int]]:
        """Return the samples of the records all of whose times can be, and the other records.

        `times` are datetimes or numbers in the source's unit; None: the records' own time stamps.
        """
        count = len(stream_ids)
        record_ms = np.fromiter((one.timestamp_ms for one in records), np.int64, count=len(records))[record]
        if times is None:
            milliseconds = record_ms.astype(np.float64)
        elif self._is_text:
            milliseconds = np.fromiter((time.timestamp() for time in times), np.float64, count=count) * 1000
        else:
            milliseconds = np.array(times, np.float64) / UNITS_PER_MS[self.layout.ts_unit]
        milliseconds = np.rint(milliseconds)
        is_time = (milliseconds >= 0) & (milliseconds < END_MS)
        event_time_ms = np.where(is_time, milliseconds, 0).astype(np.int64)
        is_ahead = (event_time_ms - record_ms > self.layout.max_ahead_ms) & (record_ms != MISSING_TIME_MS)
        samples = SampleColumns(stream_ids, event_time_ms, record, index, blocks)
        is_good = is_time & ~is_ahead
        if is_good.all():
            return samples, []
        untimely = np.unique(record[~is_good])
        return samples.take(np.flatnonzero(~np.isin(record, untimely))), untimely.tolist()


def _key(record: Record) -> str:
    if not record.key or len(record.key) > MAX_STREAM_ID_BYTES:
        raise _GiveUp
    return record.key.decode("utf-8")
