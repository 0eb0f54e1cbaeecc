"""The rows that `train` reads: files, folders and patterns to series with the channels and rows that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamlstm.config.source import KeyPath
from streamlstm.config.training import TrainConfig
from streamlstm.errors import DataError, UsageError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.recordings.reading import Series, align_channels, read_series
from streamlstm.recordings.sources import expand

__all__ = ["LOG_SUFFIX", "TABLE_SUFFIX", "describe_series", "read_training_series", "training_values"]

LOG_SUFFIX, TABLE_SUFFIX = ".log.jsonl", ".tune.csv"
"""What training itself leaves beside a bundle, in formats that data has too."""
_LISTED = 6


def read_training_series(
    config: TrainConfig, where: Callable[[KeyPath], str], *, base: ModelBundle | None = None
) -> list[Series]:
    """Read the series, each cut to the rows to train on: before `train_len` where the file says so, `rows` at most.

    Channels are those configured, or those of the bundle that is gone on from, or the first stream's.
    Raises: DataError when files disagree about their channels; UsageError when too few rows are left for the heads.
    """
    files = [file for source in config.data for file in _own_files_aside(source)]
    series = read_series(files, ts_unit=config.ts_unit)
    if config.channels:
        series = [_select(one, config.channels, "") for one in series]
    elif base is not None:
        series = [_select(one, base.channels, f" of {base.label}") for one in series]
    cut = [_cut(one, config.rows) for one in _aligned(series)]
    longest = max(len(one.values) for one in cut)
    for name in ("forecast", "reconstruct"):
        rows = getattr(config.model, name)
        if rows is not None and rows >= longest:
            place = where(("model", name))
            raise UsageError(f"{place}: expected less than the {longest} rows there are to train on, got {rows}")
    return cut


def training_values(series: Sequence[Series], *, rows: int | None = None) -> dict[str, NDArray[np.float32]]:
    """Return the rows to train on by stream: before `train_len` where the file says so, and the first `rows` at most.

    Raises: DataError when files disagree about their channels.
    """
    return {one.stream_id: _cut(one, rows).values for one in align_channels(series)}


def describe_series(series: Sequence[Series]) -> str:
    """Say in a line what the data is."""
    channels = series[0].channels
    rows = sum(len(one.values) for one in series)
    missing = sum(int(np.isnan(one.values).sum()) for one in series) / max(rows * len(channels), 1)
    periods = sorted(one.period_s for one in series)
    apart = f"{periods[0]:g} s apart"
    if periods[-1] > 1.01 * periods[0]:
        apart = f"{periods[0]:g} to {periods[-1]:g} s apart (the first stream's {series[0].period_s:g} s count)"
    listed = ", ".join(channels[:_LISTED]) + (", …" if len(channels) > _LISTED else "")
    parts = [
        f"{len({one.source for one in series})} file(s)",
        f"{len(series)} stream(s)",
        f"{rows:,} rows {apart}",
        f"{len(channels)} channel(s): {listed}",
        f"{missing:.1%} missing" if missing else "nothing missing",
    ]
    return "; ".join(parts)


def _own_files_aside(source: str) -> list[str]:
    files = expand(source, None)
    if files == [source]:
        return files
    kept = [file for file in files if not file.endswith((LOG_SUFFIX, TABLE_SUFFIX))]
    if not kept:
        raise DataError(f"{source}: expected recordings, got none but the logs of earlier trainings")
    return kept


def _aligned(series: list[Series]) -> list[Series]:
    try:
        return align_channels(series)
    except DataError as error:
        common = [name for name in series[0].channels if all(name in one.channels for one in series)]
        hint = f"; what all have: --channels {','.join(common)}" if common else ""
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
