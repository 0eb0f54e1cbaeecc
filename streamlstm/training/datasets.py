"""Recorded telemetry: files of CSV, JSON lines or NPZ to one series a stream.

Rows count from 0 in the input, over all its streams, a header not counted. A column or array called `label` is never a
channel: nothing may learn from it.
"""

from __future__ import annotations

import io
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.training.csv_series import read_csv
from streamlstm.training.json_series import read_json_lines
from streamlstm.training.series import Series, TimeUnit, make_series

__all__ = ["Format", "Series", "TimeUnit", "read_series"]

Format: TypeAlias = Literal["csv", "jsonl", "npz"]

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".npz": "npz",
}


def read_series(
    sources: str | Path | Sequence[str | Path], *, format: Format | None = None, ts_unit: TimeUnit = "s"
) -> list[Series]:
    """Read every series of one file or of several; `-` is standard input.

    `format` follows from the file's suffix, or from its first bytes. `ts_unit` is that of numeric time stamps in CSV
    and JSON lines; a time stamp without a zone is UTC. A CSV file without a stream_id column, and an NPZ file, hold
    one stream that is called as the file.
    Raises: DataError with file and row for what cannot be read, and for a stream in two files.
    """
    names = [sources] if isinstance(sources, str | Path) else list(sources)
    series: list[Series] = []
    found_in: dict[str, str] = {}
    for name in map(str, names):
        for one in _read(name, format, ts_unit):
            if one.stream_id in found_in:
                first = found_in[one.stream_id]
                raise DataError(
                    f"{name}: expected each stream in one file, got {one.stream_id!r}, which is in {first} too"
                )
            found_in[one.stream_id] = name
            series.append(one)
    return series


def _read(name: str, format: Format | None, ts_unit: TimeUnit) -> list[Series]:
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise DataError(f"{name}: cannot read the data: {error.strerror}") from error
    if not content.strip():
        raise DataError(f"{name}: expected samples, got an empty file")
    kind = format or _SUFFIXES.get(Path(name).suffix.lower()) or _kind_of(content)
    if kind == "npz":
        return [_read_npz(name, io.BytesIO(content))]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{name}:{line}: expected UTF-8 text, got the byte 0x{content[error.start]:02x}") from None
    read: Callable[[str, str, TimeUnit], list[Series]] = read_csv if kind == "csv" else read_json_lines
    return read(name, text, ts_unit)


def _kind_of(content: bytes) -> Format:
    if content.startswith(b"PK\x03\x04"):
        return "npz"
    return "jsonl" if content.lstrip()[:1] in (b"{", b"[") else "csv"


def _read_npz(name: str, file: BinaryIO) -> Series:
    """Read `values` [T, C] (or [T]) and, if they are there, `channels`, `period_s` and `train_len`.

    Such a file has no time stamps: row t is t * period_s after 1970, or t seconds where the period is unknown.
    """
    if not zipfile.is_zipfile(file):
        raise DataError(f"{name}: expected an NPZ file (a zip archive of arrays), got other bytes, or a part of one")
    file.seek(0)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            held = {key: arrays[key] for key in ("values", "channels", "period_s", "train_len") if key in arrays.files}
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, MemoryError) as error:
        cause = str(error).partition("\n")[0]
        raise DataError(f"{name}: expected an NPZ file of plain arrays, got: {cause}") from None
    if strange := [key for key, array in held.items() if not isinstance(array, np.ndarray)]:
        raise DataError(f"{name}: expected an NPZ file of plain arrays, got other bytes as {', '.join(strange)}")
    if "values" not in held:
        raise DataError(f"{name}: expected an array `values` [T, C]")
    values = held["values"]
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or values.dtype.kind not in "fiu" or values.size == 0:
        raise DataError(f"{name}: values: expected numbers [T, C], got {values.dtype} {list(values.shape)}")
    rows, width = values.shape
    channels = (
        tuple(map(str, held["channels"].ravel())) if "channels" in held else tuple(f"ch{c}" for c in range(width))
    )
    if len(channels) != width or len(set(channels)) != width:
        raise DataError(f"{name}: channels: expected {width} different names, got {list(channels)}")
    period_s = _number(name, "period_s", held, 0.0)
    if not 0 <= period_s < 1e9:
        raise DataError(f"{name}: period_s: expected seconds, or 0 for unknown, got {period_s}")
    train_len = _number(name, "train_len", held, -1.0)
    if "train_len" in held and not (0 < train_len <= rows and train_len.is_integer()):
        raise DataError(f"{name}: train_len: expected a row count from 1 to {rows}, got {train_len:g}")
    row = np.arange(rows, dtype=np.int64)
    # Event time counts whole milliseconds, and two samples of a stream must not share one.
    step_ms = max(period_s * 1000, 1.0) if period_s else 1000.0
    return make_series(
        name,
        Path(name).stem if name != "-" else "stdin",
        values=values,
        event_time_ms=np.rint(row * step_ms).astype(np.int64),
        channels=channels,
        rows=row,
        period_s=period_s or 1.0,
        train_len=int(train_len) if "train_len" in held else None,
    )


def _number(name: str, key: str, held: dict[str, NDArray[Any]], default: float) -> float:
    if key not in held:
        return default
    array = held[key]
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise DataError(f"{name}: {key}: expected one number, got {array.dtype} {list(array.shape)}")
    return float(array.ravel()[0])
