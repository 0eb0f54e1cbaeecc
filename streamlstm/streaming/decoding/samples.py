"""Samples as columns: what every decoder hands over, whatever bytes it reads.

Values come in blocks of samples that name the same channels: which model a stream belongs to, and so which channels in
which order are wanted, is known only after routing. `SampleColumns.aligned` then lays them out in a model's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamlstm.streaming.decoding.rejections import Rejection
from streamlstm.types import Record

__all__ = ["NO_SAMPLES", "Decoded", "Decoder", "SampleColumns", "ValueBlock", "joined"]


@dataclass(frozen=True, slots=True, eq=False)
class ValueBlock:
    """Values of some rows, all of the same channels. `channels` None: in the order of the model that will score them.

    Shapes: rows int64 [M]; values float32 [M, K], NaN = missing.
    """

    channels: tuple[str, ...] | None
    rows: NDArray[np.int64]
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SampleColumns:
    """Samples of a batch of records in arrival order, a row a sample.

    `record` is the place of a sample's record in the batch, whose topic and offset the record itself holds; `index`
    counts the samples of one record from 0, the unusable ones too. A row's values are missing where no block has them;
    several blocks may each hold some of its channels.
    Shapes: stream_ids [N]; event_time_ms, record, index int64 [N], rising by (record, index).
    """

    stream_ids: Sequence[str]
    event_time_ms: NDArray[np.int64]
    record: NDArray[np.int64]
    index: NDArray[np.int64]
    blocks: tuple[ValueBlock, ...]

    def __len__(self) -> int:
        return len(self.stream_ids)

    def take(self, rows: NDArray[np.int64]) -> SampleColumns:
        """Return some rows. Shapes: rows int64 [M], ascending."""
        if len(rows) == len(self):
            return self
        place = np.full(len(self), -1, np.int64)
        place[rows] = np.arange(len(rows))
        blocks = []
        for block in self.blocks:
            places = place[block.rows]
            stays = places >= 0
            if stays.any():
                blocks.append(ValueBlock(block.channels, places[stays], block.values[stays]))
        stream_ids = self.stream_ids
        return SampleColumns(
            [stream_ids[row] for row in rows.tolist()],
            self.event_time_ms[rows],
            self.record[rows],
            self.index[rows],
            tuple(blocks),
        )

    def aligned(self, channels: Sequence[str]) -> tuple[NDArray[np.float32], list[tuple[int, str]]]:
        """Return the values in the order of `channels`, and the rows that name others, each with the first of them.

        An array of another length than `channels` says nothing about which channel is which: its row is all NaN and
        listed, with its length in place of a name.
        Shapes: float32 [N, C], NaN = missing; the list holds (row, name), rows ascending.
        """
        wanted = {channel: column for column, channel in enumerate(channels)}
        values = np.full((len(self), len(channels)), np.nan, np.float32)
        strangers: dict[int, str] = {}
        for block in self.blocks:
            width = block.values.shape[1]
            if block.channels is None:
                if width == len(channels):
                    values[block.rows] = block.values
                else:
                    strangers = dict.fromkeys(block.rows.tolist(), f"an array of {width} values") | strangers
                continue
            if block.channels == tuple(channels):
                values[block.rows] = block.values
                continue
            known = [column for column, name in enumerate(block.channels) if name in wanted]
            columns = [wanted[block.channels[column]] for column in known]
            values[block.rows[:, None], columns] = block.values[:, known]
            if len(known) < width:
                stranger = next(name for name in block.channels if name not in wanted)
                strangers = dict.fromkeys(block.rows.tolist(), stranger) | strangers
        return values, sorted(strangers.items())


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """The good samples of a batch of records, and the records that held a bad one."""

    samples: SampleColumns
    rejected: list[Rejection]


class Decoder(Protocol):
    """Reads the records of one source."""

    def decode(self, records: Sequence[Record]) -> Decoded:
        """Decode a batch. Never raises on what a record holds: what cannot be used is in `rejected`, once a record.

        What a record gives depends on that record alone, not on the batch it came in.
        """


_NONE = np.empty(0, np.int64)
NO_SAMPLES = SampleColumns((), _NONE, _NONE, _NONE, ())


def joined(parts: Sequence[SampleColumns]) -> SampleColumns:
    """Return the samples of several parts of one batch, each record of which lies in one part, in arrival order."""
    parts = [part for part in parts if len(part)]
    if len(parts) < 2:
        return parts[0] if parts else NO_SAMPLES
    stream_ids = [stream_id for part in parts for stream_id in part.stream_ids]
    event_time_ms, record, index = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("event_time_ms", "record", "index")
    )
    order = np.lexsort((index, record))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    blocks, begin = [], 0
    for part in parts:
        blocks += [ValueBlock(b.channels, place[begin + b.rows], b.values) for b in part.blocks]
        begin += len(part)
    return SampleColumns(
        [stream_ids[row] for row in order.tolist()], event_time_ms[order], record[order], index[order], tuple(blocks)
    )
