"""Recordings as a detector takes them: the samples of some streams in the order in which they arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.model.bundles.base import BundleBase
from streamlstm.recordings.series import Series, StreamSamples

__all__ = ["Recording", "event_times"]


@dataclass(frozen=True, slots=True)
class Recording:
    """Samples in order of arrival, with a model's channels.

    Shapes: stream_ids [N]; event_time_ms int64 [N]; values float32 [N, C], NaN = missing; rows int64 [N], where each
    sample stood in `source`, from 0.
    """

    source: str
    stream_ids: Sequence[str]
    event_time_ms: NDArray[np.int64]
    values: NDArray[np.float32]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of_stream(cls, samples: StreamSamples) -> Self:
        """Take one stream, whose columns are the model's channels."""
        count = len(samples.values)
        ids = [samples.stream_id] * count
        return cls(samples.stream_id, ids, samples.event_time_ms, samples.values, np.arange(count))

    @classmethod
    def of_series(cls, series: Sequence[Series], channels: Sequence[str], *, source: str) -> Self:
        """Take the series of one input, its rows in their order there; a channel that a series lacks is missing.

        Raises: DataError when a series has none of the channels.
        """
        rows = np.concatenate([one.rows for one in series])
        order = np.argsort(rows, kind="stable")
        numbers = np.repeat(np.arange(len(series)), [len(one.values) for one in series])[order]
        names = [one.stream_id for one in series]
        return cls(
            source=source,
            stream_ids=[names[number] for number in numbers.tolist()],
            event_time_ms=np.concatenate([one.event_time_ms for one in series])[order],
            values=np.concatenate([_columns(one, channels, source) for one in series])[order],
            rows=rows[order],
        )


def event_times(bundle: BundleBase, rows: int) -> NDArray[np.int64]:
    """Return times of rows that are a period of the model apart; a second where it is unknown. Units: ms."""
    step_ms = max(bundle.period_s * 1000, 1.0) if bundle.period_s else 1000.0
    times: NDArray[np.int64] = np.rint(np.arange(rows) * step_ms).astype(np.int64)
    return times


def _columns(series: Series, channels: Sequence[str], source: str) -> NDArray[np.float32]:
    if not set(channels) & set(series.channels):
        raise DataError(f"{source}: expected channels {list(channels)}, got {list(series.channels)}")
    values = np.full((len(series.values), len(channels)), np.nan, np.float32)
    for c, name in enumerate(channels):
        if name in series.channels:
            values[:, c] = series.values[:, series.channels.index(name)]
    return values
