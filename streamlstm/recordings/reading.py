"""Recorded telemetry: files to one series a stream.

Rows count from 0 in the input, over all its files and streams, a header not counted. A column or array called `label`
is never a channel: nothing may learn from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from streamlstm.errors import DataError
from streamlstm.recordings.formats.arrow_series import is_arrow, is_parquet, read_arrow, read_parquet
from streamlstm.recordings.formats.csv_series import read_csv
from streamlstm.recordings.formats.edf_series import is_edf, read_edf
from streamlstm.recordings.formats.json_series import read_json_lines
from streamlstm.recordings.formats.npz_series import read_npz
from streamlstm.recordings.formats.wfdb_series import read_wfdb
from streamlstm.recordings.opening import open_source, seekable, stream_name
from streamlstm.recordings.series import Series, align_channels, join_series
from streamlstm.recordings.sources import Format, expand, format_of
from streamlstm.recordings.time_unit import TimeUnit

__all__ = ["Format", "Series", "TimeUnit", "align_channels", "read_series"]

_PEEKED_BYTES = 4096


def read_series(
    sources: str | Path | Sequence[str | Path], *, format: Format | None = None, ts_unit: TimeUnit = "s"
) -> list[Series]:
    """Read every series of files, folders and patterns such as `ward/*.csv`; `-` is standard input.

    `format` follows from each file's suffix, or from its first bytes; `.gz` and `.zst` are decompressed. `ts_unit` is
    that of numeric time stamps in tables and JSON lines; a time stamp without a zone is UTC. A file without stream ids
    holds one stream that is called as the file. A stream whose id stands in several files is joined in their order.
    Raises: DataError with file and row for what cannot be read, and for two streams of one name; UsageError when the
    package that reads a format is not installed.
    """
    names = [sources] if isinstance(sources, str | Path) else list(sources)
    parts: dict[str, list[Series]] = {}
    rows = 0
    for name in (file for source in names for file in expand(str(source), format)):
        found = _read(name, format, ts_unit)
        for one in found:
            so_far = parts.setdefault(one.stream_id, [])
            if so_far and one.stream_id == stream_name(name):
                raise DataError(
                    f"{name}: expected each stream in one file, got {one.stream_id!r}, which is in "
                    f"{so_far[-1].source} too; rename one, or name the streams in a column stream_id"
                )
            so_far.append(replace(one, rows=one.rows + rows) if rows else one)
        rows += sum(len(one.rows) for one in found)
    return [join_series(parts.pop(stream_id)) for stream_id in list(parts)]


def _read(name: str, format: Format | None, ts_unit: TimeUnit) -> list[Series]:
    kind = format or format_of(name)
    stream_id = stream_name(name)
    if kind == "wfdb":
        return [read_wfdb(name, stream_id)]
    with open_source(name) as file:
        start = file.peek(_PEEKED_BYTES)[:_PEEKED_BYTES]
        if not start:
            raise DataError(f"{'standard input' if name == '-' else name}: expected samples, got an empty file")
        match kind or _kind_of(start):
            case "npz":
                return [read_npz(name, seekable(file), stream_id)]
            case "parquet":
                return read_parquet(name, seekable(file), stream_id, ts_unit)
            case "arrow":
                return read_arrow(name, seekable(file), stream_id, ts_unit)
            case "edf":
                return [read_edf(name, seekable(file), stream_id)]
            case "jsonl":
                return read_json_lines(name, file, stream_id, ts_unit)
            case _:
                return read_csv(name, file, stream_id, ts_unit)


def _kind_of(start: bytes) -> Format:
    if start.startswith(b"PK\x03\x04"):
        return "npz"
    if is_parquet(start):
        return "parquet"
    if is_arrow(start):
        return "arrow"
    if is_edf(start):
        return "edf"
    return "jsonl" if start.lstrip()[:1] in (b"{", b"[") else "csv"
