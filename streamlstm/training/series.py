"""One stream's recording, and the checks that every reader shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError

__all__ = ["Series", "TimeUnit", "event_times", "make_series"]

TimeUnit: TypeAlias = Literal["s", "ms", "us", "ns"]

_UNITS_PER_MS = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}
_END_MS = 7_258_118_400_000
"""2200-01-01, as for telemetry."""


@dataclass(frozen=True, slots=True)
class Series:
    """A stream's samples in time order.

    Shapes: values float32 [T, C], NaN = missing; event_time_ms int64 [T], never falling; rows int64 [T], where each
    sample stood in the input, from 0.
    """

    stream_id: str
    values: NDArray[np.float32]
    event_time_ms: NDArray[np.int64]
    channels: tuple[str, ...]
    period_s: float
    train_len: int | None
    """Rows before it are for training; None: the file does not say."""
    rows: NDArray[np.int64]
    source: str


def make_series(
    source: str,
    stream_id: str,
    *,
    values: NDArray[Any],
    event_time_ms: NDArray[np.int64],
    channels: tuple[str, ...],
    rows: NDArray[np.int64],
    period_s: float | None = None,
    train_len: int | None = None,
) -> Series:
    """Check and build a series; the period is the median distance in time unless given.

    What is no finite float32 becomes NaN.
    Raises: DataError when there is no channel, or time runs backwards.
    """
    if not channels:
        raise DataError(f"{source}: stream {stream_id!r}: expected at least one channel of numbers, got none")
    steps = np.diff(event_time_ms)
    if (steps < 0).any():
        at = int(np.argmax(steps < 0)) + 1
        before, after = (_written(int(event_time_ms[i])) for i in (at - 1, at))
        place = f"{source}: row {rows[at]}: stream {stream_id!r}"
        raise DataError(f"{place}: expected a time not before {before}, got {after}; sort the file by time")
    with np.errstate(over="ignore"):
        columns = np.array(values, np.float32, order="C")
    columns[np.isinf(columns)] = np.nan
    if period_s is None:
        forward = steps[steps > 0]
        period_s = float(np.median(forward)) / 1000 if len(forward) else 1.0
    return Series(stream_id, columns, event_time_ms, channels, period_s, train_len, rows, source)


def event_times(source: str, cells: Sequence[Any], unit: TimeUnit, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Read a column of times: all RFC 3339 (or `2014-04-01 00:05:00`, UTC), or all numbers in `unit`.

    Raises: DataError with the row of the input, which `rows` [N] holds.
    """
    times = np.empty(len(cells))
    is_number = _is_number(cells[0]) if cells else False
    row = 0
    try:
        if is_number:
            for row, cell in enumerate(cells):
                times[row] = float(cell)
            times /= _UNITS_PER_MS[unit]
        else:
            for row, cell in enumerate(cells):
                moment = datetime.fromisoformat(cell)
                if moment.tzinfo is None:
                    moment = moment.replace(tzinfo=UTC)
                times[row] = moment.timestamp() * 1000
    except (ValueError, TypeError):
        expected = f"a number of {unit}" if is_number else "a time such as 2026-11-21T01:20:30.250Z"
        raise DataError(f"{source}: row {rows[row]}: expected {expected}, got {cells[row]!r}") from None
    outside = ~((times >= 0) & (times < _END_MS))
    if outside.any():
        row = int(np.argmax(outside))
        hint = f"; are these really {unit}?" if is_number else ""
        raise DataError(f"{source}: row {rows[row]}: expected a time in [1970, 2200), got {cells[row]!r}{hint}")
    return np.rint(times).astype(np.int64)


def _is_number(cell: object) -> bool:
    try:
        float(cell)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return False
    return True


def _written(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
