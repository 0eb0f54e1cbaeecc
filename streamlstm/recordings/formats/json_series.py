"""JSON lines: telemetry records (one sample, an array of samples, or a packed frame), one a line.

Samples are laid into arrays part by part: memory holds the values, not the records.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.recordings.opening import text_lines
from streamlstm.recordings.series import Series, make_series
from streamlstm.recordings.time_unit import TimeUnit
from streamlstm.recordings.times import TimeReader

__all__ = ["read_json_lines"]

_Number = float | None


class _Sample(msgspec.Struct, gc=False):
    stream_id: str
    ts: str | float
    values: dict[str, _Number] | list[_Number]
    quality: Literal["good", "uncertain", "bad"] | None = None


class _Frame(msgspec.Struct, gc=False):
    stream_id: str
    ts: list[str | float]
    values: dict[str, list[_Number] | None] | list[list[_Number]]
    quality: Literal["good", "uncertain", "bad"] | None = None


_PART_SAMPLES = 16_384
"""Samples, over all streams, that wait as Python objects."""


class _Stream:
    """Samples of one stream. `channels` numbers them as they appear; a part has those known when it was laid."""

    __slots__ = ("_parts", "_times", "_waiting", "channels", "name")

    def __init__(self, name: str, times: TimeReader) -> None:
        self.name = name
        self.channels: dict[str, int] = {}
        self._times = times
        self._waiting: list[tuple[str | float, int, Mapping[str, _Number]]] = []
        self._parts: list[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]] = []

    def add(self, time: str | float, row: int, values: Mapping[str, _Number], *, is_bad: bool) -> None:
        for channel in values:
            self.channels.setdefault(channel, len(self.channels))
        self._waiting.append((time, row, {} if is_bad else values))

    def lay(self) -> None:
        """Lay what waits into arrays."""
        if not self._waiting:
            return
        times, rows, values = zip(*self._waiting, strict=True)
        self._waiting.clear()
        cells = np.array([[row.get(channel) for channel in self.channels] for row in values], np.float64)
        with np.errstate(over="ignore"):
            part = cells.reshape(len(rows), len(self.channels)).astype(np.float32)
        self._parts.append((part, self._times.read(times, rows), np.array(rows, np.int64)))

    def series(self, source: str) -> Series:
        """Return the series; channels that a part did not know yet are missing there."""
        self.lay()
        values = np.full((sum(len(part[0]) for part in self._parts), len(self.channels)), np.nan, np.float32)
        begin = 0
        for part, _, _ in self._parts:
            values[begin : begin + len(part), : part.shape[1]] = part
            begin += len(part)
        return make_series(
            source,
            self.name,
            values=values,
            event_time_ms=np.concatenate([times for _, times, _ in self._parts]),
            channels=tuple(self.channels),
            rows=np.concatenate([rows for _, _, rows in self._parts]),
        )


def read_json_lines(source: str, file: io.BufferedReader, stream_id: str, ts_unit: TimeUnit) -> list[Series]:
    """Read the streams of telemetry records, in order of appearance. Array values are called ch0, ch1, ...

    `stream_id` is that of the file, which has no say here: every record names its stream.
    Raises: DataError with the line; nothing is skipped.
    """
    streams: dict[str, _Stream] = {}
    row = laid = 0
    for number, line in enumerate(text_lines(source, file), start=1):
        if line.isspace():
            continue
        try:
            samples = _samples(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            cause = str(error).partition("\n")[0]
            raise DataError(f"{source}:{number}: expected a telemetry record: {cause}") from None
        for sample in samples:
            stream = streams.get(sample.stream_id)
            if stream is None:
                stream = streams[sample.stream_id] = _Stream(sample.stream_id, TimeReader(source, ts_unit))
            values = sample.values
            if isinstance(values, list):
                values = {f"ch{index}": value for index, value in enumerate(values)}
            stream.add(sample.ts, row, values, is_bad=sample.quality == "bad")
            row += 1
        if row - laid >= _PART_SAMPLES:
            laid = row
            for stream in streams.values():
                stream.lay()
    if not streams:
        raise DataError(f"{source}: expected samples, got an empty file")
    return [stream.series(source) for stream in streams.values()]


_decode_sample = msgspec.json.Decoder(_Sample).decode


def _samples(line: str) -> list[_Sample]:
    try:
        return [_decode_sample(line)]
    except msgspec.MsgspecError:
        pass  # another shape, or NaN, which Python's own producers write
    document: Any = json.loads(line)
    if isinstance(document, list):
        return msgspec.convert(document, list[_Sample])
    if isinstance(document, dict) and isinstance(document.get("ts"), list):
        return _unpacked(msgspec.convert(document, _Frame))
    return [msgspec.convert(document, _Sample)]


def _unpacked(frame: _Frame) -> list[_Sample]:
    rows: list[Any]
    if isinstance(frame.values, list):
        rows = frame.values
    else:
        columns = {name: column for name, column in frame.values.items() if column is not None}
        for name, column in columns.items():
            if len(column) != len(frame.ts):
                raise _wrong_length(len(frame.ts), len(column), f"$.values.{name}")
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        rows = rows or [{} for _ in frame.ts]
    if len(rows) != len(frame.ts):
        raise _wrong_length(len(frame.ts), len(rows), "$.values")
    return [_Sample(frame.stream_id, time, values, frame.quality) for time, values in zip(frame.ts, rows, strict=True)]


def _wrong_length(expected: int, got: int, path: str) -> ValueError:
    return ValueError(f"Expected `array` of length {expected}, got length {got} - at `{path}`")
