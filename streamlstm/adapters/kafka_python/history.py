"""Reading a range of a Kafka cluster by time stamp: partitions assigned by hand, no group, nothing committed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kafka import KafkaConsumer

from streamlstm.adapters.kafka_python.connection import REQUEST_TIMEOUT_MS
from streamlstm.adapters.kafka_python.reading import Offsets, RangeReader
from streamlstm.adapters.kafka_python.settings import KafkaSettings
from streamlstm.adapters.time_range import is_within
from streamlstm.types import Record

__all__ = ["KafkaHistory"]


class KafkaHistory:
    """Read ranges of topics, all partitions at a time. Every call connects on its own."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._reader = RangeReader(settings)

    def topics(self) -> Sequence[str]:
        """Return the names of the topics there are. Raises: UnreachableError."""
        return self._reader.topics()

    def read(self, topics: Sequence[str], *, begin_ms: int | None, end_ms: int | None) -> Iterator[Record]:
        """Yield the records between two time stamps, up to the end offsets at the time of the call (read committed).

        Raises: TransportError when a topic does not exist; UnreachableError when nothing comes for too long.
        """

        def starts(consumer: KafkaConsumer, oldest: Offsets, ends: Offsets) -> Offsets:
            return oldest if begin_ms is None else _first_since(consumer, begin_ms, oldest, ends)

        records = self._reader.read(topics, starts)
        return (record for record in records if is_within(record, begin_ms, end_ms))

    def close(self) -> None:
        """Release everything."""
        self._reader.close()


def _first_since(consumer: KafkaConsumer, time_ms: int, oldest: Offsets, ends: Offsets) -> Offsets:
    """Return by partition the offset of the first record at `time_ms` or later; its end when there is none."""
    found = consumer.offsets_for_times(dict.fromkeys(ends, max(time_ms, 0)), timeout_ms=REQUEST_TIMEOUT_MS)
    return {
        partition: end
        if found.get(partition) is None
        else max(min(int(found[partition].offset), end), oldest[partition])
        for partition, end in ends.items()
    }
