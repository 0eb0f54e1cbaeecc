"""One stream's recording, and the checks that every reader shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError

__all__ = ["Series", "StreamSamples", "align_channels", "join_series", "make_series"]


@dataclass(frozen=True, slots=True)
class StreamSamples:
    """A stream's samples in time order.

    Shapes: values float32 [T, C] in the channels' own units, NaN = missing; event_time_ms int64 [T], never falling.
    """

    stream_id: str
    values: NDArray[np.float32]
    event_time_ms: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Series(StreamSamples):
    """A stream's recording: its samples, and what the file says of them.

    Shapes: rows int64 [T], where each sample stood in the input, from 0.
    """

    channels: tuple[str, ...]
    period_s: float
    train_len: int | None
    """Rows before it are for training; None: the file does not say."""
    rows: NDArray[np.int64]
    source: str
    units: tuple[str, ...] = ()
    """A unit a channel, "" where the file names none; empty where it names no unit at all."""


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
    units: tuple[str, ...] = (),
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
    return Series(stream_id, columns, event_time_ms, channels, period_s, train_len, rows, source, units)


def join_series(parts: Sequence[Series]) -> Series:
    """Join the parts of one stream that stood in several files, one after the other in time.

    Raises: DataError when they differ in their channels, or a part begins before the one before it ends.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    aligned = align_channels(parts)
    for before, after in pairwise(aligned):
        end, begin = int(before.event_time_ms[-1]), int(after.event_time_ms[0])
        if begin < end:
            raise DataError(
                f"{after.source}: stream {first.stream_id!r}: expected its samples after those of {before.source}, "
                f"which end at {_written(end)}, got {_written(begin)}; name the files in the order of time"
            )
    return make_series(
        first.source,
        first.stream_id,
        values=np.concatenate([part.values for part in aligned]),
        event_time_ms=np.concatenate([part.event_time_ms for part in aligned]),
        channels=first.channels,
        rows=np.concatenate([part.rows for part in aligned]),
        units=first.units,
    )


def align_channels(series: Sequence[Series]) -> list[Series]:
    """Return the series with their channels in the order of the first one's.

    Raises: DataError that names the file and stream whose channels are not the first one's.
    """
    if not series:
        return []
    first = series[0]
    aligned = []
    for one in series:
        if one.channels == first.channels:
            aligned.append(one)
            continue
        missing = [name for name in first.channels if name not in one.channels]
        unknown = [name for name in one.channels if name not in first.channels]
        if missing or unknown:
            differ = ", ".join([f"no {name!r}" for name in missing] + [f"{name!r} besides" for name in unknown])
            raise DataError(
                f"{one.source}: stream {one.stream_id!r}: expected the channels of {first.stream_id!r} in "
                f"{first.source}, got {differ}"
            )
        order = [one.channels.index(name) for name in first.channels]
        units = tuple(one.units[c] for c in order) if one.units else ()
        aligned.append(replace(one, values=one.values[:, order], channels=first.channels, units=units))
    return aligned


def _written(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
