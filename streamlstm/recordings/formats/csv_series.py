"""CSV: a header, a time column, perhaps a stream_id column, and a channel in every other column.

The file is read in parts: memory holds the values, not the text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.recordings.opening import text_lines
from streamlstm.recordings.series import Series
from streamlstm.recordings.table import Roles, Table, roles_of
from streamlstm.recordings.time_unit import TimeUnit
from streamlstm.recordings.times import TimeReader

__all__ = ["read_csv"]

_MISSING = frozenset(("", "nan", "na", "n/a", "null", "none", "-nan"))
_PART_ROWS = 8192
"""Some megabytes of cells, which stay in the allocator's hands from part to part."""
_NUMBERS = "\n"
"""A name that no column has."""
_TEXT_LENGTH = 64
"""Room for a time or a stream's name where a part is read at once; longer ones are read cell by cell."""


def read_csv(source: str, file: io.BufferedReader, stream_id: str, ts_unit: TimeUnit) -> list[Series]:
    """Read the streams of a CSV file, in order of appearance.

    The delimiter is the header's: comma, semicolon or tab. Without a time column row t is t seconds after 1970.
    Raises: DataError with row and column.
    """
    lines = text_lines(source, file)
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise DataError(f"{source}: expected samples, got an empty file")
    delimiter = max(",;\t", key=first.count)
    header = [name.strip() for name in next(_rows(source, chain([first], lines), delimiter))]
    if any(_is_number(name) for name in header):
        raise DataError(f"{source}: expected a header with the columns' names, got numbers: {', '.join(header[:5])}")
    layout = _Layout(source, header, roles_of(source, header), delimiter)
    times = TimeReader(source, ts_unit)
    table = Table(source, stream_id, layout.roles.channels)
    for part in _parts(layout, lines, table):
        rows = range(table.rows, table.rows + len(part.values))
        table.add(
            part.values,
            None if part.times is None else times.read(part.times, rows),
            None if part.streams is None else table.codes(part.streams),
        )
    return table.series()


@dataclass(frozen=True, slots=True)
class _Layout:
    source: str
    header: list[str]
    roles: Roles
    delimiter: str


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows: numbers, and the cells of the time and the stream column where there are such."""

    values: NDArray[np.float32]
    times: Sequence[str] | None
    streams: Sequence[str] | None


def _parts(layout: _Layout, lines: Iterator[str], table: Table) -> Iterator[_Part]:
    """Yield the rows part by part; where quotes come, which may hold ends of lines, rows are no longer lines."""
    while part := list(islice(lines, _PART_ROWS)):
        if any('"' in line for line in part):
            rows = _rows(layout.source, chain(part, lines), layout.delimiter)
            while some := list(islice(rows, _PART_ROWS)):
                yield _cell_by_cell(layout, some, table.rows)
        elif quick := _at_once(layout, part):
            yield quick
        elif some := list(_rows(layout.source, iter(part), layout.delimiter)):
            yield _cell_by_cell(layout, some, table.rows)


def _at_once(layout: _Layout, lines: list[str]) -> _Part | None:
    """Read rows in which every channel is a number; None for any others, and where a cell may have been cut off."""
    if {line.count(layout.delimiter) for line in lines} != {len(layout.header) - 1}:
        return None
    texts = [name for name in (layout.roles.time, layout.roles.stream) if name is not None]
    fields: list[Any] = [(name, f"U{_TEXT_LENGTH}") for name in texts]
    dtype = np.dtype([*fields, (_NUMBERS, np.float64, (len(layout.roles.channels),))])
    places = [layout.header.index(name) for name in (*texts, *layout.roles.channels)]
    try:
        block = np.loadtxt(lines, dtype, comments=None, delimiter=layout.delimiter, usecols=places, ndmin=1)
    except ValueError:
        return None
    if len(block) != len(lines):
        return None
    cells = {name: block[name].tolist() for name in texts}
    if any(len(cell) == _TEXT_LENGTH for column in cells.values() for cell in column):
        return None
    with np.errstate(over="ignore"):
        values = block[_NUMBERS].astype(np.float32)
    return _Part(values, cells.get(layout.roles.time or ""), cells.get(layout.roles.stream or ""))


def _cell_by_cell(layout: _Layout, rows: list[list[str]], first_row: int) -> _Part:
    width = len(layout.header)
    if set(map(len, rows)) != {width}:
        index, row = next((index, row) for index, row in enumerate(rows) if len(row) != width)
        place = f"{layout.source}: row {first_row + index}"
        raise DataError(f"{place}: expected {width} cells as in the header, got {len(row)}")
    columns = dict(zip(layout.header, zip(*rows, strict=True), strict=True))
    values = np.empty((len(rows), len(layout.roles.channels)), np.float32)
    with np.errstate(over="ignore"):
        for c, name in enumerate(layout.roles.channels):
            values[:, c] = _numbers(layout.source, name, columns[name], first_row)
    return _Part(values, columns.get(layout.roles.time or ""), columns.get(layout.roles.stream or ""))


def _rows(source: str, lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        yield from filter(None, reader)
    except csv.Error as error:
        raise DataError(f"{source}: expected CSV, got: {error}") from None


def _numbers(source: str, name: str, cells: Sequence[str], first_row: int) -> NDArray[np.float64]:
    """Read numbers as quickly as the column allows: all numbers, some cells empty, or something else."""
    try:
        return np.fromiter(map(float, cells), np.float64, count=len(cells))
    except ValueError:
        pass
    try:
        return np.fromiter([float(cell or "nan") for cell in cells], np.float64, count=len(cells))
    except ValueError:
        pass
    numbers = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        try:
            numbers[row] = float(cell)
        except ValueError:
            if cell.strip().lower() not in _MISSING:
                place = f"{source}: row {first_row + row}, column {name!r}"
                raise DataError(f"{place}: expected a number, got {cell!r}") from None
    return numbers


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
