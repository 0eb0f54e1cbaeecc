"""Parquet and Arrow (IPC files, streams, Feather 2): columns mean what they mean in CSV. Needs pyarrow (extra `arrow`).

Record batches are read one by one: memory holds the values, not the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError, UsageError
from streamlstm.recordings.series import Series
from streamlstm.recordings.table import Roles, Table, no_stream, roles_of
from streamlstm.recordings.time_unit import TimeUnit
from streamlstm.recordings.times import TimeReader, within_range

__all__ = ["is_arrow", "is_parquet", "read_arrow", "read_parquet"]

_PARQUET, _ARROW_FILE, _ARROW_STREAM, _FEATHER_1 = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff", b"FEA1"
_BATCH_ROWS = 65_536
_PER_MS = {"s": (1, 1000), "ms": (1, 1), "us": (1000, 1), "ns": (1_000_000, 1)}
"""Divisor and factor from an Arrow unit to milliseconds."""


def is_parquet(start: bytes) -> bool:
    """Say whether a file's first bytes are those of Parquet."""
    return start.startswith(_PARQUET)


def is_arrow(start: bytes) -> bool:
    """Say whether a file's first bytes are those of an Arrow file, an Arrow stream or Feather."""
    return start.startswith((_ARROW_FILE, _ARROW_STREAM, _FEATHER_1))


def read_parquet(source: str, file: IO[bytes], stream_id: str, ts_unit: TimeUnit) -> list[Series]:
    """Read the streams of a Parquet file, in order of appearance; the columns mean what they mean in CSV.

    Raises: DataError with the column, and the row where one is at fault; UsageError without pyarrow.
    """
    with _refusals(source, "a Parquet file"):
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(file) as parquet:
            columns = _Columns(source, parquet.schema_arrow)
            batches = parquet.iter_batches(batch_size=_BATCH_ROWS, columns=columns.names)
            return _read(source, stream_id, ts_unit, columns, batches)


def read_arrow(source: str, file: IO[bytes], stream_id: str, ts_unit: TimeUnit) -> list[Series]:
    """Read the streams of an Arrow file or stream, in order of appearance; the columns mean what they mean in CSV.

    Raises: as `read_parquet`.
    """
    start = file.read(8)
    file.seek(0)
    if start.startswith(_FEATHER_1):
        raise DataError(f"{source}: expected Feather version 2, got version 1; write it again with a newer library")
    with _refusals(source, "an Arrow file or stream"):
        from pyarrow import ipc

        if start.startswith(_ARROW_FILE):
            with ipc.open_file(file) as reader:
                batches = (reader.get_batch(index) for index in range(reader.num_record_batches))
                return _read(source, stream_id, ts_unit, _Columns(source, reader.schema), batches)
        with ipc.open_stream(file) as reader:
            return _read(source, stream_id, ts_unit, _Columns(source, reader.schema), iter(reader))


class _Columns:
    """A schema's columns by their roles. The only column of a time stamp type is the time, whatever its name."""

    def __init__(self, source: str, schema: Any) -> None:
        from pyarrow import types

        moments = [field.name for field in schema if types.is_timestamp(field.type)]
        # pandas keeps an index without a name in such a column: a time, or the row's number.
        header = [name for name in schema.names if not name.startswith("__index_level_") or name in moments]
        roles = roles_of(source, header)
        if roles.time is None and len(moments) == 1:
            roles = Roles(moments[0], roles.stream, tuple(name for name in roles.channels if name != moments[0]))
        if not roles.channels:
            raise DataError(f"{source}: expected at least one column of numbers, got only {', '.join(header)}")
        for name in roles.channels:
            if not _is_numeric(schema.field(name).type):
                raise DataError(f"{source}: column {name!r}: expected numbers, got {schema.field(name).type}")
        self.roles = roles
        self.names = [name for name in (roles.time, roles.stream) if name is not None] + list(roles.channels)


def _is_numeric(type_: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(type_):
        type_ = type_.value_type
    return any(
        accepts(type_)
        for accepts in (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null)
    )


def _read(source: str, stream_id: str, ts_unit: TimeUnit, columns: _Columns, batches: Iterator[Any]) -> list[Series]:
    roles = columns.roles
    table = Table(source, stream_id, roles.channels)
    times = TimeReader(source, ts_unit)
    for batch in batches:
        batch.validate(full=True)  # damaged offsets would lead out of the buffers
        if not batch.num_rows:
            continue
        values = np.empty((batch.num_rows, len(roles.channels)), np.float32)
        with np.errstate(over="ignore"):
            for c, name in enumerate(roles.channels):
                values[:, c] = _numbers(batch.column(name))
        table.add(
            values,
            None if roles.time is None else _times(source, roles.time, batch.column(roles.time), times, table.rows),
            None if roles.stream is None else _codes(source, roles.stream, batch.column(roles.stream), table),
        )
    if not table.rows:
        raise DataError(f"{source}: expected rows, got none")
    return table.series()


def _plain(column: Any) -> Any:
    return column.dictionary_decode() if hasattr(column, "dictionary_decode") else column


def _numbers(column: Any) -> NDArray[np.float64]:
    """Return numbers, NaN for null."""
    import pyarrow

    plain = _plain(column)
    if pyarrow.types.is_boolean(plain.type):
        plain = plain.cast(pyarrow.uint8())
    numbers: NDArray[np.float64] = plain.cast(pyarrow.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def _times(source: str, name: str, column: Any, reader: TimeReader, first_row: int) -> NDArray[np.int64]:
    from pyarrow import compute, int64, types

    column = _plain(column)
    if column.null_count:
        row = first_row + compute.index(column.is_null(), True).as_py()
        raise DataError(f"{source}: row {row}, column {name!r}: expected a time, got null")
    if types.is_date(column.type):
        column = column.cast("timestamp[ms]")
    if not types.is_timestamp(column.type):
        if not (_is_numeric(column.type) or types.is_string(column.type) or types.is_large_string(column.type)):
            raise DataError(f"{source}: column {name!r}: expected time stamps, got {column.type}")
        return reader.read(column.to_pylist(), range(first_row, first_row + len(column)))
    divisor, factor = _PER_MS[column.type.unit]
    ticks: NDArray[np.int64] = column.cast(int64()).to_numpy(zero_copy_only=False)
    times = (ticks // divisor + (ticks % divisor * 2 >= divisor)) if divisor > 1 else ticks * factor
    is_outside = ~within_range(times)
    if is_outside.any():
        row = int(np.argmax(is_outside))
        place = f"{source}: row {first_row + row}, column {name!r}"
        raise DataError(f"{place}: expected a time in [1970, 2200), got {ticks[row]} {column.type.unit} after 1970")
    return times


def _codes(source: str, name: str, column: Any, table: Table) -> NDArray[np.int32]:
    import pyarrow
    from pyarrow import compute, types

    plain = _plain(column)
    if not (types.is_integer(plain.type) or types.is_string(plain.type) or types.is_large_string(plain.type)):
        raise DataError(f"{source}: column {name!r}: expected streams' names, got {plain.type}")
    if plain.null_count:
        raise no_stream(source, table.rows + compute.index(plain.is_null(), True).as_py())
    encoded = plain.cast(pyarrow.string()).dictionary_encode()
    names = encoded.dictionary.to_pylist()
    places: NDArray[np.int64] = encoded.indices.to_numpy(zero_copy_only=False)
    if "" in names:
        raise no_stream(source, table.rows + int(np.argmax(places == names.index(""))))
    codes: NDArray[np.int32] = table.codes(names)[places]
    return codes


@contextmanager
def _refusals(source: str, expected: str) -> Iterator[None]:
    """Turn what pyarrow raises on damaged files into a sentence."""
    try:
        import pyarrow
    except ImportError:
        raise UsageError(f'{source}: {expected} needs the package pyarrow: pip install "streamlstm[arrow]"') from None
    try:
        yield
    except DataError:
        raise
    except (pyarrow.ArrowException, OSError, EOFError, UnicodeDecodeError, MemoryError) as error:
        cause = str(error).partition("\n")[0] or "impossible sizes"
        raise DataError(f"{source}: expected {expected}, got other or damaged bytes: {cause}") from error
