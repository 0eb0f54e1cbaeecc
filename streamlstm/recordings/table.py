"""Tables with a row a sample: what their columns mean, and rows gathered part by part into one series a stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.recordings.series import Series, make_series

__all__ = ["TIME_COLUMNS", "Roles", "Table", "roles_of"]

TIME_COLUMNS = ("ts", "timestamp", "time", "datetime", "date")
"""Names of the time column, in any case; the first that is there is taken."""
_STREAM_COLUMN = "stream_id"
_LABEL_COLUMN = "label"


@dataclass(frozen=True, slots=True)
class Roles:
    """Which column is what; every other column is a channel, but `label`, from which nothing may learn."""

    time: str | None
    stream: str | None
    channels: tuple[str, ...]


def roles_of(source: str, header: Sequence[str]) -> Roles:
    """Return what each column of a table is for.

    Raises: DataError when a name is missing or comes twice, or no column is left for a channel.
    """
    if "" in header:
        hint = "name it in the header, or write the table without its index"
        raise DataError(f"{source}: expected a different name for each column, got (no name); {hint}")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise DataError(f"{source}: expected a different name for each column, got {', '.join(twice)} more than once")
    lower = {name.lower(): name for name in reversed(header)}
    time = next((lower[name] for name in TIME_COLUMNS if name in lower), None)
    stream = lower.get(_STREAM_COLUMN)
    not_channels = {time, stream, lower.get(_LABEL_COLUMN)}
    channels = tuple(name for name in header if name not in not_channels)
    if not channels:
        raise DataError(f"{source}: expected at least one column of numbers, got only {', '.join(header)}")
    return Roles(time, stream, channels)


class Table:
    """Rows of one file, added part by part.

    Invariant: the parts hold equally many values, times and codes; a code is a stream's number in order of appearance.
    """

    def __init__(self, source: str, stream_id: str, channels: tuple[str, ...]) -> None:
        self.rows = 0
        self._source = source
        self._stream_id = stream_id
        self._channels = channels
        self._values: list[NDArray[np.float32]] = []
        self._times: list[NDArray[np.int64]] = []
        self._codes: list[NDArray[np.int32]] = []
        self._code_of: dict[str, int] = {}

    def codes(self, streams: Sequence[str]) -> NDArray[np.int32]:
        """Return the streams' numbers. Raises: DataError with the row of no name; the first is the next to be added."""
        code_of = self._code_of
        codes = [code_of.setdefault(stream, len(code_of)) for stream in streams]
        if "" in code_of:
            row = self.rows + codes.index(code_of[""])
            raise no_stream(self._source, row)
        return np.array(codes, np.int32)

    def add(
        self, values: NDArray[np.float32], times_ms: NDArray[np.int64] | None, codes: NDArray[np.int32] | None
    ) -> None:
        """Add rows. Without times row t of the file is t seconds after 1970; without codes there is one stream.

        Shapes: values [n, C]; times_ms, codes [n].
        """
        if times_ms is None:
            times_ms = np.arange(self.rows, self.rows + len(values), dtype=np.int64) * 1000
        self._values.append(values)
        self._times.append(times_ms)
        if codes is not None:
            self._codes.append(codes)
        self.rows += len(values)

    def series(self, units: tuple[str, ...] = ()) -> list[Series]:
        """Return a series a stream, in order of appearance. Raises: DataError when there is no row."""
        if not self.rows:
            raise DataError(f"{self._source}: expected rows below the header, got none")
        values, times = _joined(self._values), _joined(self._times)
        every = np.arange(self.rows, dtype=np.int64)
        if not self._codes:
            return [self._one(self._stream_id, values, times, every, units)]
        codes = _joined(self._codes)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes, minlength=len(self._code_of)))
        return [
            self._one(stream, values[where], times[where], every[where], units)
            for stream, where in zip(self._code_of, np.split(order, ends[:-1]), strict=True)
        ]

    def _one(
        self,
        stream_id: str,
        values: NDArray[np.float32],
        times: NDArray[np.int64],
        rows: NDArray[np.int64],
        units: tuple[str, ...],
    ) -> Series:
        return make_series(
            self._source,
            stream_id,
            values=values,
            event_time_ms=times,
            channels=self._channels,
            rows=rows,
            units=units,
        )


def no_stream(source: str, row: int) -> DataError:
    """Return the refusal of a row whose stream has no name."""
    return DataError(f"{source}: row {row}, column 'stream_id': expected a stream's name, got nothing")


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Join the parts and let go of them."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole
