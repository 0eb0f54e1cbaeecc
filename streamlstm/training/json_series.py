"""JSON lines: telemetry records (one sample, an array of samples, or a packed frame), one a line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np

from streamlstm.errors import DataError
from streamlstm.training.series import Series, TimeUnit, event_times, make_series

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


@dataclass(slots=True)
class _Stream:
    """Samples of one stream as they came. `channels` are in order of appearance."""

    times: list[str | float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    values: list[dict[str, _Number]] = field(default_factory=list)
    channels: dict[str, None] = field(default_factory=dict)


def read_json_lines(source: str, text: str, ts_unit: TimeUnit) -> list[Series]:
    """Read the streams of telemetry records, in order of appearance. Array values are called ch0, ch1, ...

    Raises: DataError with the line; nothing is skipped.
    """
    streams: dict[str, _Stream] = {}
    row = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            samples = _samples(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            cause = str(error).partition("\n")[0]
            raise DataError(f"{source}:{number}: expected a telemetry record: {cause}") from None
        for sample in samples:
            stream = streams.setdefault(sample.stream_id, _Stream())
            values = sample.values
            if isinstance(values, list):
                values = {f"ch{index}": value for index, value in enumerate(values)}
            stream.times.append(sample.ts)
            stream.rows.append(row)
            stream.values.append({} if sample.quality == "bad" else values)
            stream.channels.update(dict.fromkeys(values))
            row += 1
    return [_series(source, name, stream, ts_unit) for name, stream in streams.items()]


def _series(source: str, name: str, stream: _Stream, ts_unit: TimeUnit) -> Series:
    channels = tuple(stream.channels)
    values = np.array([[row.get(channel) for channel in channels] for row in stream.values], np.float64)
    rows = np.array(stream.rows, np.int64)
    times = event_times(source, stream.times, ts_unit, rows)
    return make_series(source, name, values=values, event_time_ms=times, channels=channels, rows=rows)


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
