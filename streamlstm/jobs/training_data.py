"""The rows that a training reads: files, folders and patterns to series with the channels and rows asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError, UsageError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.recordings.reading import Series, align_channels, read_series
from streamlstm.recordings.sources import expand
from streamlstm.recordings.time_unit import TimeUnit

__all__ = ["LOG_SUFFIX", "TABLE_SUFFIX", "TrainingData", "check_heads", "read_training_series", "training_values"]

LOG_SUFFIX, TABLE_SUFFIX = ".log.jsonl", ".tune.csv"
"""What training itself leaves beside a bundle, in formats that data has too."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What is read of which recordings.

    `channels` are those wanted, in this order; without any, those of the bundle that is gone on from, or the first
    stream's. `rows` are the most of each stream.
    """

    sources: tuple[str, ...]
    ts_unit: TimeUnit = "s"
    channels: tuple[str, ...] = ()
    rows: int | None = None


def read_training_series(data: TrainingData, *, base: ModelBundle | None = None) -> list[Series]:
    """Read the series, each cut to the rows to train on: before `train_len` where the file says so, `rows` at most.

    Raises: DataError when files disagree about their channels.
    """
    files = [file for source in data.sources for file in _own_files_aside(source)]
    series = read_series(files, ts_unit=data.ts_unit)
    if data.channels:
        series = [_select(one, data.channels, "") for one in series]
    elif base is not None:
        series = [_select(one, base.channels, f" of {base.label}") for one in series]
    return [_cut(one, data.rows) for one in _aligned(series)]


def check_heads(series: Sequence[Series], heads: Mapping[str, int]) -> None:
    """Refuse heads that reach further than the longest series. Raises: UsageError; `heads` go by their place."""
    longest = max(len(one.values) for one in series)
    for place, rows in heads.items():
        if rows >= longest:
            raise UsageError(f"{place}: expected fewer than the {longest} rows there are to train on, got {rows}")


def training_values(series: Sequence[Series], *, rows: int | None = None) -> dict[str, NDArray[np.float32]]:
    """Return the rows to train on by stream: before `train_len` where the file says so, and the first `rows` at most.

    Raises: DataError when files disagree about their channels.
    """
    return {one.stream_id: _cut(one, rows).values for one in align_channels(series)}


def _own_files_aside(source: str) -> list[str]:
    files = expand(source, None)
    if files == [source]:
        return files
    kept = [file for file in files if not file.endswith((LOG_SUFFIX, TABLE_SUFFIX))]
    if not kept:
        raise DataError(f"{source}: expected recordings, got only the logs of earlier trainings")
    return kept


def _aligned(series: list[Series]) -> list[Series]:
    try:
        return align_channels(series)
    except DataError as error:
        common = [name for name in series[0].channels if all(name in one.channels for one in series)]
        hint = f"; all of them have: --channels {','.join(common)}" if common else ""
        raise DataError(f"{error}{hint}") from None


def _select(one: Series, channels: tuple[str, ...], whose: str) -> Series:
    if absent := [name for name in channels if name not in one.channels]:
        place = f"{one.source}: stream {one.stream_id!r}"
        raise DataError(f"{place}: expected the channel {absent[0]!r}{whose}, got {', '.join(one.channels)}")
    order = [one.channels.index(name) for name in channels]
    units = tuple(one.units[c] for c in order) if one.units else ()
    return replace(one, values=np.ascontiguousarray(one.values[:, order]), channels=channels, units=units)


def _cut(one: Series, rows: int | None) -> Series:
    end = min(len(one.values), one.train_len or len(one.values), rows or len(one.values))
    return replace(one, values=one.values[:end], event_time_ms=one.event_time_ms[:end], rows=one.rows[:end])
