"""EDF and EDF+ recordings (https://www.edfplus.info/specs/edf.html): a header of text, then records of int16 samples.

The package wfdb reads EDF too, but shifts every value by a digital step or so, averages faster channels down to the
slowest without scaling them, and refuses EDF+D; so the format, which is simple, is read here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.recordings.rates import distinct_names, lay_frames
from streamlstm.recordings.series import Series, make_series
from streamlstm.recordings.times import regular_times, within_range

__all__ = ["is_edf", "read_edf"]

_VERSION = b"0       "
_ANNOTATIONS = "EDF Annotations"
_BLOCK_BYTES = 1 << 22
_WIDTHS = {
    "label": 16,
    "transducer": 80,
    "dimension": 8,
    "physical minimum": 8,
    "physical maximum": 8,
    "digital minimum": 8,
    "digital maximum": 8,
    "prefiltering": 80,
    "samples in a record": 8,
    "reserved": 32,
}
"""The header's fields by signal, in their order; each stands for all signals, then the next."""
_ONSET = re.compile(rb"([+-]\d+(?:\.\d*)?)\x14")
"""The first annotation of a record says when the record began, in seconds after the start of the file."""


@dataclass(frozen=True, slots=True)
class _Signal:
    """One signal: where its samples stand in a record, and value = digital * gain + offset."""

    label: str
    unit: str
    gain: float
    offset: float
    begin: int
    samples: int


@dataclass(frozen=True, slots=True)
class _Header:
    signals: tuple[_Signal, ...]
    annotations: tuple[slice, ...]
    records: int
    record_s: float
    record_samples: int
    start_ms: float
    is_interrupted: bool


def is_edf(start: bytes) -> bool:
    """Say whether a file's first bytes are those of EDF."""
    return start.startswith(_VERSION) and len(start) >= 256 and start[236:244].strip().lstrip(b"-").isdigit()


def read_edf(source: str, file: IO[bytes], stream_id: str) -> Series:
    """Read the signals of a recording; annotations are left out. A start outside [1970, 2200) is taken as 1970.

    Signals at different rates are laid on the rows of the fastest. Records that do not follow on each other (EDF+D)
    keep their own times.
    Raises: DataError for what is no EDF file, or a part of one.
    """
    header = _read_header(source, file)
    fastest = max(signal.samples for signal in header.signals)
    values = np.full((header.records * fastest, len(header.signals)), np.nan, np.float32)
    onsets_s = np.arange(header.records, dtype=np.float64) * header.record_s
    a_block = max(_BLOCK_BYTES // (2 * header.record_samples), 1)
    for begin in range(0, header.records, a_block):
        end = min(begin + a_block, header.records)
        block = np.frombuffer(file.read((end - begin) * header.record_samples * 2), "<i2")
        block = block.reshape(end - begin, header.record_samples)
        for c, signal in enumerate(header.signals):
            digital = block[:, signal.begin : signal.begin + signal.samples].reshape(-1)
            column = digital * signal.gain + signal.offset
            lay_frames(values[begin * fastest : end * fastest, c], column, signal.samples)
        if header.is_interrupted:
            for record in range(begin, end):
                onsets_s[record] = _onset(source, header, block[record - begin], record)
    period_s = header.record_s / fastest
    times = _times(source, header, onsets_s, fastest)
    return make_series(
        source,
        stream_id,
        values=values,
        event_time_ms=times,
        channels=distinct_names([signal.label for signal in header.signals]),
        rows=np.arange(len(values), dtype=np.int64),
        period_s=period_s,
        units=tuple(signal.unit for signal in header.signals),
    )


def _times(source: str, header: _Header, onsets_s: NDArray[np.float64], fastest: int) -> NDArray[np.int64]:
    period_s = header.record_s / fastest
    rows = header.records * fastest
    if not header.is_interrupted:
        times = regular_times(rows, period_s, start_ms=header.start_ms)
        return times if within_range(times[[0, -1]]).all() else regular_times(rows, period_s)
    if period_s < 1e-3:
        raise DataError(f"{source}: expected at most 1000 Hz where records are interrupted, got {1 / period_s:g}")
    within_ms = np.arange(fastest) * (period_s * 1000)
    after_ms = (onsets_s[:, None] * 1000 + within_ms).ravel()
    times = np.rint(header.start_ms + after_ms).astype(np.int64)
    return times if within_range(times[[0, -1]]).all() else np.rint(after_ms).astype(np.int64)


def _onset(source: str, header: _Header, record: NDArray[np.int16], number: int) -> float:
    for place in header.annotations:
        if found := _ONSET.match(record[place].tobytes()):
            return float(found[1])
    raise DataError(f"{source}: record {number}: expected the time at which it began (EDF+D), got none")


def _read_header(source: str, file: IO[bytes]) -> _Header:
    fixed = file.read(256)
    if len(fixed) < 256 or not fixed.startswith(_VERSION):
        raise DataError(f"{source}: expected an EDF file, got other bytes, or less than a header of them")
    date, time, kind = _text(fixed[168:176]), _text(fixed[176:184]), _text(fixed[192:236])
    records = int(_number(source, "number of data records", fixed[236:244]))
    record_s = _number(source, "duration of a data record", fixed[244:252])
    count = int(_number(source, "number of signals", fixed[252:256]))
    if count < 1:
        raise DataError(f"{source}: expected signals, got a header of {count}")
    fields: dict[str, list[bytes]] = {}
    for name, width in _WIDTHS.items():
        column = file.read(width * count)
        if len(column) < width * count:
            raise DataError(f"{source}: expected the header of {count} signals, got a truncated file")
        fields[name] = [column[at : at + width] for at in range(0, len(column), width)]
    signals, annotations, begin = [], [], 0
    for index, label in enumerate(map(_text, fields["label"])):
        samples = int(_number(source, f"samples in a record of signal {label!r}", fields["samples in a record"][index]))
        if samples < 1:
            raise DataError(f"{source}: signal {label!r}: expected samples in a record, got {samples}")
        if label == _ANNOTATIONS:
            annotations.append(slice(begin, begin + samples))
        else:
            signals.append(
                _signal(source, label, {name: cells[index] for name, cells in fields.items()}, begin, samples)
            )
        begin += samples
    if not signals:
        raise DataError(f"{source}: expected signals, got annotations only")
    if not record_s > 0:
        raise DataError(f"{source}: expected data records of some seconds, got {record_s:g}")
    here = file.tell()
    whole, rest = divmod(file.seek(0, 2) - here, begin * 2)
    file.seek(here)
    if records < 0:  # the recorder did not come to write it
        records = whole
    if whole < records:
        broken = ", and a part of one" if rest else ""
        raise DataError(f"{source}: expected {records} data records, got {whole}{broken}; the file is truncated")
    if not records:
        raise DataError(f"{source}: expected data records, got none")
    return _Header(
        tuple(signals),
        tuple(annotations),
        records,
        record_s,
        begin,
        _start_ms(source, date, time),
        kind.startswith("EDF+D"),
    )


def _signal(source: str, label: str, cells: dict[str, bytes], begin: int, samples: int) -> _Signal:
    low, high, digital_low, digital_high = (
        _number(source, f"{name} of signal {label!r}", cells[name])
        for name in ("physical minimum", "physical maximum", "digital minimum", "digital maximum")
    )
    if not digital_high > digital_low:
        place = f"{source}: signal {label!r}"
        raise DataError(f"{place}: expected a digital range, got {digital_low:g} to {digital_high:g}")
    gain = (high - low) / (digital_high - digital_low)
    return _Signal(label, _text(cells["dimension"]), gain, low - digital_low * gain, begin, samples)


def _start_ms(source: str, date: str, time: str) -> float:
    """Return the start; years 85 to 99 are those of the 20th century."""
    try:
        (day, month, year), (hour, minute, second) = (tuple(map(int, text.split("."))) for text in (date, time))
        moment = datetime(1900 + year if year >= 85 else 2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise DataError(f"{source}: expected a start as dd.mm.yy and hh.mm.ss, got {date!r} and {time!r}") from None
    return moment.timestamp() * 1000


def _text(cell: bytes) -> str:
    return cell.decode("latin-1").strip(" \0")


def _number(source: str, field: str, cell: bytes) -> float:
    try:
        number = float(_text(cell))
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise DataError(f"{source}: {field}: expected a number, got {_text(cell)!r}")
    return number
