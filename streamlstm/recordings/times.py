"""Columns of time stamps: RFC 3339, or numbers in a unit that is declared; what comes out counts milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.recordings.time_unit import TimeUnit

__all__ = ["UNITS_PER_MS", "TimeReader", "regular_times", "within_range"]


UNITS_PER_MS = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}
_END_MS = 7_258_118_400_000
"""2200-01-01, as for telemetry."""


class TimeReader:
    """Read one column of times part by part.

    State: whether the column holds numbers or texts, which its first cell says.
    """

    __slots__ = ("_is_number", "_source", "_unit")

    def __init__(self, source: str, unit: TimeUnit) -> None:
        self._source = source
        self._unit: TimeUnit = unit
        self._is_number: bool | None = None

    def read(self, cells: Sequence[Any], rows: Sequence[int] | NDArray[np.int64] | range) -> NDArray[np.int64]:
        """Return milliseconds: all RFC 3339 (or `2014-04-01 00:05:00`, UTC), or all numbers in the unit.

        Raises: DataError with the row of the input, which `rows` [N] holds.
        """
        if self._is_number is None and len(cells):
            self._is_number = _is_number(cells[0])
        times = self._numbers(cells, rows) if self._is_number else self._moments(cells, rows)
        is_outside = ~within_range(times)
        if is_outside.any():
            row = int(np.argmax(is_outside))
            hint = f"; are these really {self._unit}?" if self._is_number else ""
            place = f"{self._source}: row {rows[row]}"
            raise DataError(f"{place}: expected a time in [1970, 2200), got {cells[row]!r}{hint}")
        return np.rint(times).astype(np.int64)

    def _numbers(self, cells: Sequence[Any], rows: Any) -> NDArray[np.float64]:
        try:
            times = np.fromiter(map(float, cells), np.float64, count=len(cells))
        except (ValueError, TypeError):
            row = next(row for row, cell in enumerate(cells) if not _is_number(cell))
            raise self._refused(cells[row], rows[row]) from None
        milliseconds: NDArray[np.float64] = times / UNITS_PER_MS[self._unit]
        return milliseconds

    def _moments(self, cells: Sequence[Any], rows: Any) -> NDArray[np.float64]:
        quick = _of_one_layout(cells)
        if quick is not None:
            return quick
        times = np.empty(len(cells))
        row = 0
        try:
            for row, cell in enumerate(cells):
                moment = datetime.fromisoformat(cell)
                if moment.tzinfo is None:
                    moment = moment.replace(tzinfo=UTC)
                times[row] = moment.timestamp() * 1000
        except (ValueError, TypeError, OverflowError):
            raise self._refused(cells[row], rows[row]) from None
        return times

    def _refused(self, cell: object, row: int) -> DataError:
        expected = f"a number of {self._unit}" if self._is_number else "a time such as 2026-11-21T01:20:30.250Z"
        return DataError(f"{self._source}: row {row}: expected {expected}, got {cell!r}")


def within_range(times_ms: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which times lie in [1970, 2200)."""
    inside: NDArray[np.bool_] = (times_ms >= 0) & (times_ms < _END_MS)
    return inside


def regular_times(rows: int, period_s: float, *, start_ms: float = 0.0) -> NDArray[np.int64]:
    """Return the times of evenly sampled rows.

    Event time counts whole milliseconds, and two samples of a stream must not share one: above 1000 Hz the clock of
    the samples runs slower than that of the wall.
    """
    times: NDArray[np.int64] = np.rint(start_ms + np.arange(rows) * max(period_s * 1000, 1.0)).astype(np.int64)
    return times


def _of_one_layout(cells: Sequence[Any]) -> NDArray[np.float64] | None:
    """Read times that are all written alike, `2026-11-21T01:20:30.250Z`, in arrays; None where one is not.

    What is None here is read, or refused, cell by cell.
    """
    length = len(cells[0]) if cells and isinstance(cells[0], str) else 0
    if length < 19 or any(type(cell) is not str or len(cell) != length for cell in cells):
        return None
    try:
        bytes_ = np.array(cells, f"S{length}").view(np.uint8).reshape(len(cells), length)
        zone = datetime.fromisoformat(cells[0]).utcoffset() or timedelta()
    except ValueError:
        return None
    first = cells[0]
    fraction = len(first[20:]) - len(first[20:].lstrip("0123456789")) if first[19:20] in (".", ",") else 0
    end = 20 + fraction if fraction else 19
    if first[end : end + 1] not in ("", "Z", "z", "+", "-"):
        return None
    # The separators and the zone must be those of the first cell, in every cell.
    alike = [4, 7, 10, 13, 16, *range(19, 20 if fraction else 19), *range(end, length)]
    if (bytes_[:, alike] != bytes_[0, alike]).any() or bytes_[0, [4, 7, 13, 16]].tobytes() != b"--::":
        return None
    digits = bytes_.astype(np.int64) - ord("0")
    where = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, *range(20, 20 + fraction)]
    if (digits[:, where] < 0).any() or (digits[:, where] > 9).any():
        return None

    def number(*places: int) -> NDArray[np.int64]:
        total = np.zeros(len(cells), np.int64)
        for place in places:
            total = total * 10 + digits[:, place]
        return total

    month, day, hour, minute, second = (number(at, at + 1) for at in (5, 8, 11, 14, 17))
    months = ((number(0, 1, 2, 3) - 1970) * 12 + month - 1).astype("datetime64[M]")
    first_day = months.astype("datetime64[D]").astype(np.int64)
    days_in_month = (months + np.timedelta64(1, "M")).astype("datetime64[D]").astype(np.int64) - first_day
    is_time = (month >= 1) & (month <= 12) & (day >= 1) & (day <= days_in_month)
    if not (is_time & (hour < 24) & (minute < 60) & (second < 60)).all():
        return None
    seconds = (first_day + day - 1) * 86_400 + hour * 3600 + minute * 60 + second
    digits_kept = min(fraction, 9)
    thousandths = number(*range(20, 20 + digits_kept)) / 10.0 ** (digits_kept - 3) if fraction else 0.0
    return (seconds * 1000 + thousandths - zone.total_seconds() * 1000).astype(np.float64)


def _is_number(cell: object) -> bool:
    try:
        float(cell)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return False
    return True
