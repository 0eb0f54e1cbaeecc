"""CSV: a header, a time column, perhaps a stream_id column, and a channel in every other column."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.training.series import Series, TimeUnit, event_times, make_series

__all__ = ["read_csv"]

_TIME_COLUMNS = ("ts", "timestamp", "time", "datetime", "date")
_STREAM_COLUMN = "stream_id"
_LABEL_COLUMN = "label"
_MISSING = frozenset(("", "nan", "na", "n/a", "null", "none", "-nan"))


def read_csv(source: str, text: str, ts_unit: TimeUnit) -> list[Series]:
    """Read the streams of a CSV text, in order of appearance.

    The delimiter is the header's: comma, semicolon or tab. Without a time column row t is t seconds after 1970.
    Raises: DataError with row and column.
    """
    header_line = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=header_line.count)
    try:
        header, *rows = [row for row in csv.reader(text.splitlines(keepends=True), delimiter=delimiter) if row]
    except csv.Error as error:
        raise DataError(f"{source}: expected CSV, got: {error}") from None
    header = [name.strip() for name in header]
    _check_header(source, header)
    if not rows:
        raise DataError(f"{source}: expected rows below the header, got none")
    for index, row in enumerate(rows):
        if len(row) != len(header):
            raise DataError(f"{source}: row {index}: expected {len(header)} cells as in the header, got {len(row)}")
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    lower = {name.lower(): name for name in reversed(header)}
    time_column = next((lower[name] for name in _TIME_COLUMNS if name in lower), None)
    stream_column = lower.get(_STREAM_COLUMN)
    not_channels = {time_column, stream_column, lower.get(_LABEL_COLUMN)}
    channels = tuple(name for name in header if name not in not_channels)
    if not channels:
        raise DataError(f"{source}: expected at least one column of numbers, got only {', '.join(header)}")
    values = np.stack([_numbers(source, name, columns[name]) for name in channels], axis=1)
    every = np.arange(len(rows), dtype=np.int64)
    times = every * 1000 if time_column is None else event_times(source, columns[time_column], ts_unit, every)
    if stream_column is None:
        name = "stdin" if source == "-" else Path(source).stem
        return [make_series(source, name, values=values, event_time_ms=times, channels=channels, rows=every)]
    return [
        make_series(
            source, stream, values=values[where], event_time_ms=times[where], channels=channels, rows=every[where]
        )
        for stream, where in _by_stream(source, columns[stream_column])
    ]


def _check_header(source: str, header: list[str]) -> None:
    if any(_is_number(name) for name in header):
        raise DataError(f"{source}: expected a header with the columns' names, got numbers: {', '.join(header[:5])}")
    twice = sorted({name or "(no name)" for name in header if not name or header.count(name) > 1})
    if twice:
        raise DataError(f"{source}: expected a different name for each column, got {', '.join(twice)}")


def _numbers(source: str, name: str, cells: tuple[str, ...]) -> NDArray[np.float64]:
    try:
        return np.fromiter(map(float, cells), np.float64, count=len(cells))
    except ValueError:
        pass  # a missing cell, or one to name
    numbers = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if cell.strip().lower() not in _MISSING:
            try:
                numbers[row] = float(cell)
            except ValueError:
                raise DataError(f"{source}: row {row}, column {name!r}: expected a number, got {cell!r}") from None
    return numbers


def _by_stream(source: str, cells: tuple[str, ...]) -> list[tuple[str, NDArray[np.int64]]]:
    rows_of: dict[str, list[int]] = {}
    for row, stream in enumerate(cells):
        rows_of.setdefault(stream, []).append(row)
    if "" in rows_of:
        raise DataError(f"{source}: row {rows_of[''][0]}, column 'stream_id': expected a stream's name, got nothing")
    return [(stream, np.array(rows, np.int64)) for stream, rows in rows_of.items()]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
