"""The strict path of JSON: keeps every good sample of a record and says what is wrong with the first bad one.

It is the authority on what a record means; the fast path in `json_fast` gives up on a record rather than judge it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import numpy as np

from streamlstm.streaming.decoding.columns import Values, blocks_of
from streamlstm.streaming.decoding.rejections import MAX_STREAM_ID_BYTES, Reason, Rejection
from streamlstm.streaming.decoding.samples import SampleColumns
from streamlstm.types import MISSING_TIME_MS, Record

__all__ = ["END_MS", "UNITS_PER_MS", "Layout", "Rfc3339", "TimeUnit", "explain_all"]

TimeUnit: TypeAlias = Literal["rfc3339", "s", "ms", "us", "ns"]
Rfc3339 = Annotated[datetime, msgspec.Meta(tz=True)]

UNITS_PER_MS = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}
END_MS = 7_258_118_400_000
"""2200-01-01. Event times lie in [1970, 2200): outside, a unit was mistaken or a clock never set."""

_QUALITIES = ("good", "uncertain", "bad")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a source's records hold what. `stream_id_field` None: the record's key; `ts_field` None: its time stamp."""

    stream_id_field: str | None
    ts_field: str | None
    ts_unit: TimeUnit
    max_record_bytes: int
    max_ahead_ms: int


@dataclass(frozen=True, slots=True)
class _Sample:
    """One sample as it stood in a record; `index` counts the record's samples from 0. Values None: of bad quality."""

    stream_id: str
    event_time_ms: int
    values: Values | None
    index: int


class _Fault(Exception):
    """One sample (or the whole record) that cannot be used."""

    def __init__(self, reason: Reason, message: str, path: str = "") -> None:
        super().__init__(f"{message} - at `{path}`" if path else message)
        self.reason = reason


def explain_all(
    records: Sequence[Record], chosen: Iterable[int], layout: Layout
) -> tuple[SampleColumns, list[Rejection]]:
    """Return the good samples of the chosen records of a batch, and the rejections of those that hold a bad one."""
    samples: list[_Sample] = []
    numbers: list[int] = []
    rejected: list[Rejection] = []
    for number in chosen:
        good, rejection = _explain(records[number], layout)
        samples += good
        numbers += [number] * len(good)
        if rejection is not None:
            rejected.append(rejection)
    columns = SampleColumns(
        [sample.stream_id for sample in samples],
        np.array([sample.event_time_ms for sample in samples], np.int64),
        np.array(numbers, np.int64),
        np.array([sample.index for sample in samples], np.int64),
        blocks_of([sample.values for sample in samples]),
    )
    return columns, rejected


def _explain(record: Record, layout: Layout) -> tuple[list[_Sample], Rejection | None]:
    """Return the good samples of a record in their order, and its rejection if any sample is bad."""
    samples: list[_Sample] = []
    faults: list[_Fault] = []
    try:
        for item in _samples(record, layout):
            if isinstance(item, _Fault):
                faults.append(item)
            else:
                samples.append(item)
    except _Fault as fault:
        faults.append(fault)
    if not faults:
        return samples, None
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return samples, Rejection(record, faults[0].reason, f"{faults[0]}{more}")


def _samples(record: Record, layout: Layout) -> Iterator[_Sample | _Fault]:
    if not record.value:
        raise _Fault(Reason.EMPTY, "Expected a telemetry record, got no value")
    if len(record.value) > layout.max_record_bytes:
        got = len(record.value)
        raise _Fault(Reason.OVERSIZED, f"Expected at most {layout.max_record_bytes} bytes, got {got}")
    try:
        # Unlike msgspec it reads NaN and Infinity, which Python's own producers write.
        document = json.loads(record.value.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _Fault(Reason.MALFORMED_JSON, f"JSON is malformed: {_first_line(error)}") from None
    if isinstance(document, list):
        if not document:
            raise _Fault(Reason.EMPTY, "Expected at least one sample, got `[]`")
        for index, item in enumerate(document):
            try:
                yield _sample(item, f"$[{index}]", record, layout, index)
            except _Fault as fault:
                yield fault
    elif isinstance(document, dict) and isinstance(document.get(layout.ts_field), list):
        yield from _frame(document, record, layout)
    else:
        yield _sample(document, "$", record, layout, 0)


def _sample(item: object, path: str, record: Record, layout: Layout, index: int) -> _Sample:
    fields = _object(item, path)
    stream_id = _stream_id(fields, path, record, layout)
    event_time_ms = _event_time(fields.get(layout.ts_field), f"{path}.{layout.ts_field}", record, layout)
    return _Sample(stream_id, event_time_ms, _values(fields, path), index)


def _frame(fields: Mapping[Any, Any], record: Record, layout: Layout) -> Iterator[_Sample | _Fault]:
    """Yield the samples of a packed frame: `ts` [N], values {channel: [N]} or N rows."""
    stream_id = _stream_id(fields, "$", record, layout)
    times: list[object] = fields[layout.ts_field]
    if not times:
        raise _Fault(Reason.EMPTY, "Expected at least one sample, got `[]`", f"$.{layout.ts_field}")
    is_bad = _is_bad(fields, "$")
    packed = fields.get("values")
    columns: dict[str, list[Any]] = {}
    if isinstance(packed, dict):
        for channel, column in packed.items():
            if column is not None:
                columns[channel] = _array(column, f"$.values.{channel}", len(times))
    elif isinstance(packed, list):
        _array(packed, "$.values", len(times))
    else:
        raise _Fault(Reason.WRONG_TYPE, f"Expected `object | array`, got `{_kind(packed)}`", "$.values")
    for index, time in enumerate(times):
        try:
            event_time_ms = _event_time(time, f"$.{layout.ts_field}[{index}]", record, layout)
            values: Values
            if isinstance(packed, list):
                row = _array(packed[index], f"$.values[{index}]", None)
                values = [_number(value, f"$.values[{index}][{c}]") for c, value in enumerate(row)]
            else:
                values = {c: _number(column[index], f"$.values.{c}[{index}]") for c, column in columns.items()}
            yield _Sample(stream_id, event_time_ms, None if is_bad else values, index)
        except _Fault as fault:
            yield fault


def _stream_id(fields: Mapping[Any, Any], path: str, record: Record, layout: Layout) -> str:
    if layout.stream_id_field is None:
        try:
            stream_id: object = (record.key or b"").decode("utf-8")
        except UnicodeDecodeError:
            raise _Fault(Reason.MISSING_STREAM_ID, "Expected UTF-8 text in the record's key") from None
        path = "key"
    else:
        stream_id = fields.get(layout.stream_id_field)
        path = f"{path}.{layout.stream_id_field}"
    if stream_id is None or stream_id == "":
        raise _Fault(Reason.MISSING_STREAM_ID, "Expected a stream id, got none", path)
    if not isinstance(stream_id, str):
        raise _Fault(Reason.WRONG_TYPE, f"Expected `str`, got `{_kind(stream_id)}`", path)
    if any("\ud800" <= letter <= "\udfff" for letter in stream_id):
        raise _Fault(Reason.WRONG_TYPE, "Expected text, got half of a surrogate pair", path)
    if (size := len(stream_id.encode())) > MAX_STREAM_ID_BYTES:
        raise _Fault(Reason.OVERSIZED, f"Expected a stream id of at most {MAX_STREAM_ID_BYTES} bytes, got {size}", path)
    return stream_id


def _event_time(value: object, path: str, record: Record, layout: Layout) -> int:
    if layout.ts_field is None:
        milliseconds, path = float(record.timestamp_ms), "the record's time stamp"
    elif layout.ts_unit == "rfc3339":
        try:
            milliseconds = msgspec.convert(value, Rfc3339).timestamp() * 1000
        except (msgspec.ValidationError, OverflowError):
            got = json.dumps(value)[:60] if isinstance(value, (str, int, float)) else f"`{_kind(value)}`"
            raise _Fault(
                Reason.BAD_TIMESTAMP, f"Expected an RFC 3339 time such as 2026-11-21T01:20:30.250Z, got {got}", path
            ) from None
    else:
        number = None if value is None else _number(value, path, Reason.BAD_TIMESTAMP)
        if number is None:
            raise _Fault(Reason.BAD_TIMESTAMP, f"Expected a time in {layout.ts_unit}, got `{_kind(value)}`", path)
        milliseconds = number / UNITS_PER_MS[layout.ts_unit]
    if not 0 <= round(milliseconds) < END_MS:
        raise _Fault(Reason.BAD_TIMESTAMP, f"Expected a time in [1970, 2200), got {milliseconds / 1000:.6g} s", path)
    event_time_ms = round(milliseconds)
    ahead_ms = event_time_ms - record.timestamp_ms
    if record.timestamp_ms != MISSING_TIME_MS and ahead_ms > layout.max_ahead_ms:
        raise _Fault(
            Reason.TIMESTAMP_AHEAD,
            f"Expected a time at most {layout.max_ahead_ms} ms after the record's own, got {ahead_ms} ms",
            path,
        )
    return event_time_ms


def _values(fields: Mapping[Any, Any], path: str) -> Values | None:
    is_bad = _is_bad(fields, path)
    values = fields.get("values")
    path = f"{path}.values"
    read: Values
    if isinstance(values, dict):
        read = {channel: _number(value, f"{path}.{channel}") for channel, value in values.items()}
    elif isinstance(values, list):
        read = [_number(value, f"{path}[{index}]") for index, value in enumerate(values)]
    else:
        raise _Fault(Reason.WRONG_TYPE, f"Expected `object | array`, got `{_kind(values)}`", path)
    return None if is_bad else read


def _is_bad(fields: Mapping[Any, Any], path: str) -> bool:
    quality = fields.get("quality")
    if quality is not None and quality not in _QUALITIES:
        raise _Fault(Reason.WRONG_TYPE, f"Expected one of {', '.join(_QUALITIES)}", f"{path}.quality")
    return bool(quality == "bad")


def _number(value: object, path: str, reason: Reason = Reason.WRONG_TYPE) -> float | None:
    """Read a number; null, and what no float holds, is missing."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _Fault(reason, f"Expected `float | null`, got `{_kind(value)}`", path)
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _object(value: object, path: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise _Fault(Reason.WRONG_TYPE, f"Expected `object`, got `{_kind(value)}`", path)
    return value


def _array(value: object, path: str, length: int | None) -> list[Any]:
    if not isinstance(value, list):
        raise _Fault(Reason.WRONG_TYPE, f"Expected `array`, got `{_kind(value)}`", path)
    if length is not None and len(value) != length:
        raise _Fault(Reason.WRONG_TYPE, f"Expected `array` of length {length}, got length {len(value)}", path)
    return value


def _kind(value: object) -> str:
    names = {dict: "object", list: "array", str: "str", bool: "bool", int: "int", float: "float", type(None): "null"}
    return names[type(value)]


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
