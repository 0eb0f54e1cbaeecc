"""A range of the log to columns, stream by stream: what the worker scored, as the worker read it.

Records go through the worker's own decoder. What came late is put in its place by event time; of two samples of a
stream at one time the first in the log counts. A stream is cut where it was silent for so long that the worker would
have started its state again: each piece is a series of its own, and its rows are samples, as the network steps them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.recordings.series import StreamSamples
from streamlstm.streaming.decoding.rejections import Reason
from streamlstm.streaming.decoding.samples import Decoder, SampleColumns
from streamlstm.types import Record, TopicPartition

__all__ = ["Collector", "TelemetryRange", "cut_at_silences", "period_of"]

_BATCH = 5000
_OFFSETS = 1 << 40  # of a partition: its number and an offset make one int64


@dataclass(frozen=True, slots=True)
class TelemetryRange:
    """The samples of a range by stream, in the order of their names, and what was met while reading.

    `rejected` counts bad records by reason; `duplicates` are samples whose stream had one at that time already.
    """

    streams: tuple[StreamSamples, ...]
    channels: tuple[str, ...]
    records: int
    rejected: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0

    @property
    def rows(self) -> int:
        """Samples in all."""
        return sum(len(one.event_time_ms) for one in self.streams)


class Collector:
    """Takes records, keeps columns: per sample 20 bytes and 4 a channel, whatever the records were.

    `channels` None: those that are named in the telemetry, sorted by name.
    """

    def __init__(self, *, channels: Sequence[str] | None, is_wanted: Callable[[str], bool], max_rows: int) -> None:
        self._is_open = channels is None
        self._channels = list(channels or ())
        self._is_wanted = is_wanted
        self._max_rows = max_rows
        self._numbers: dict[str, int | None] = {}
        self._streams: list[str] = []
        self._partitions: dict[TopicPartition, int] = {}
        self._chunks: list[_Chunk] = []
        self._records = self.rows = 0
        self._rejected: Counter[str] = Counter()

    def read(self, records: Iterable[Record], decoder: Decoder) -> Iterator[int]:
        """Take records until they end; yield how many were read, batch by batch.

        Raises: DataError when there are more samples than `max_rows`.
        """
        waiting = iter(records)
        while batch := list(islice(waiting, _BATCH)):
            decoded = decoder.decode(batch)
            self._records += len(batch)
            self._rejected.update(rejection.reason.value for rejection in decoded.rejected)
            numbers = [self._number(stream_id) for stream_id in decoded.samples.stream_ids]
            wanted = np.array([row for row, number in enumerate(numbers) if number is not None], np.int64)
            self._add(decoded.samples.take(wanted), batch)
            yield self._records

    def finish(self) -> TelemetryRange:
        """Return what was read. Raises: DataError when no sample gives a channel a name."""
        if self._chunks and not self._channels:
            raise DataError("expected samples that name their channels, got arrays; name them under retrain.channels")
        channels = tuple(sorted(self._channels)) if self._is_open else tuple(self._channels)
        order_of_channels = [self._channels.index(name) for name in channels]
        stream, time_ms, place = (
            np.concatenate([getattr(chunk, name) for chunk in self._chunks] or [np.empty(0, np.int64)])
            for name in ("stream", "time_ms", "place")
        )
        values = np.full((len(stream), len(channels)), np.nan, np.float32)
        at = 0
        for chunk in self._chunks:  # an early chunk lacks the channels that were named later
            width = chunk.values.shape[1]
            here = values[at : at + len(chunk.values)]
            for column, source in enumerate(order_of_channels):
                if source < width:
                    here[:, column] = chunk.values[:, source]
            at += len(chunk.values)
        self._chunks.clear()
        ranks = np.argsort(np.argsort([f"{topic}\0{number:06d}" for topic, number in self._partitions]))
        if len(ranks):  # partitions count by name, not in the order in which they happened to arrive
            place = ranks[place // _OFFSETS] * _OFFSETS + place % _OFFSETS
        order = np.lexsort((place, time_ms, stream))
        stream, time_ms = stream[order], time_ms[order]
        is_repeat = np.zeros(len(order), bool)
        is_repeat[1:] = (stream[1:] == stream[:-1]) & (time_ms[1:] == time_ms[:-1])
        keep = order[~is_repeat]
        stream, time_ms, values = stream[~is_repeat], time_ms[~is_repeat], values[keep]
        edges = np.searchsorted(stream, np.arange(len(self._streams) + 1))
        pieces = [
            StreamSamples(name, values[edges[n] : edges[n + 1]], time_ms[edges[n] : edges[n + 1]])
            for n, name in enumerate(self._streams)
        ]
        return TelemetryRange(
            streams=tuple(sorted(pieces, key=lambda piece: piece.stream_id)),
            channels=channels,
            records=self._records,
            rejected=dict(sorted(self._rejected.items())),
            duplicates=int(is_repeat.sum()),
        )

    def _add(self, samples: SampleColumns, records: Sequence[Record]) -> None:
        if not len(samples):
            return
        self.rows += len(samples)
        if self.rows > self._max_rows:
            raise DataError(
                f"expected at most {self._max_rows:,} samples in the range, got more; "
                "shorten it (retrain.from), match fewer streams, or raise retrain.max_rows"
            )
        if self._is_open:
            named = {name for block in samples.blocks for name in block.channels or ()}
            self._channels += sorted(named - set(self._channels))
        values, strangers = samples.aligned(self._channels)
        if strangers:
            self._rejected[Reason.UNKNOWN_CHANNEL.value] += len(strangers)
        self._chunks.append(
            _Chunk(
                stream=np.array([self._numbers[stream_id] for stream_id in samples.stream_ids], np.int32),
                time_ms=samples.event_time_ms,
                place=np.array([self._place(record) for record in records], np.int64)[samples.record],
                values=values,
            )
        )

    def _number(self, stream_id: str) -> int | None:
        if stream_id not in self._numbers:
            self._numbers[stream_id] = None
            if self._is_wanted(stream_id):
                self._numbers[stream_id] = len(self._streams)
                self._streams.append(stream_id)
        return self._numbers[stream_id]

    def _place(self, record: Record) -> int:
        partition = TopicPartition(record.topic, record.partition)
        return self._partitions.setdefault(partition, len(self._partitions)) * _OFFSETS + record.offset


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Samples of one batch. Shapes: stream int32, time_ms int64, place int64 [N]; values float32 [N, C so far]."""

    stream: NDArray[np.int32]
    time_ms: NDArray[np.int64]
    place: NDArray[np.int64]
    values: NDArray[np.float32]


def period_of(streams: Iterable[StreamSamples]) -> float:
    """Return the median distance of samples in ms, over all streams; 1000 when no stream has two."""
    steps = [np.diff(one.event_time_ms) for one in streams if len(one.event_time_ms) > 1]
    return float(np.median(np.concatenate(steps))) if steps else 1000.0


def cut_at_silences(streams: Iterable[StreamSamples], *, longest_ms: float) -> list[StreamSamples]:
    """Cut each stream where it was silent for longer than `longest_ms`."""
    pieces = []
    for one in streams:
        cuts = np.flatnonzero(np.diff(one.event_time_ms) > longest_ms) + 1
        for begin, end in zip([0, *cuts], [*cuts, len(one.event_time_ms)], strict=True):
            if end > begin:
                pieces.append(StreamSamples(one.stream_id, one.values[begin:end], one.event_time_ms[begin:end]))
    return pieces
