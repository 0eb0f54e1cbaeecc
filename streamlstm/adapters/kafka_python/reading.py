"""Reading a cluster outside any group: partitions assigned by hand, up to their ends, nothing committed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition

from streamlstm.adapters.kafka_python.connection import (
    DELIVERY_TIMEOUT_MS,
    REQUEST_TIMEOUT_MS,
    connect_consumer,
    errors,
)
from streamlstm.adapters.kafka_python.settings import KafkaSettings
from streamlstm.errors import TransportError, UnreachableError
from streamlstm.types import Record

__all__ = ["Offsets", "RangeReader", "to_record"]

_READ_RECORDS = 5000
_READ_TIMEOUT_MS = 1000

Offsets = Mapping[KafkaPartition, int]
"""An offset of each partition that is read."""


class RangeReader:
    """Read ranges of offsets. Each range has a consumer of its own, which is closed once the range is read.

    `close` closes those of ranges that were begun, or only asked for, and never read to their end.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._open: set[KafkaConsumer] = set()

    def topics(self) -> list[str]:
        """Return the names of the topics there are. Raises: UnreachableError."""
        consumer = self._connect()
        try:
            with errors("list the topics"):
                return sorted(consumer.topics())
        finally:
            self._close(consumer)

    def read(
        self, topics: Sequence[str], starts: Callable[[KafkaConsumer, Offsets, Offsets], Offsets]
    ) -> Iterator[Record]:
        """Yield the records of every partition up to the end offsets at the time of the call (read committed).

        `starts` returns where to begin, given the consumer, the oldest offsets and the ends.
        Raises: TransportError when a topic does not exist; UnreachableError when nothing comes for too long.
        """
        consumer = self._connect()
        try:
            with errors(f"read {', '.join(topics)}"):
                partitions = [partition for topic in topics for partition in self._partitions(consumer, topic)]
                ends = consumer.end_offsets(partitions, timeout_ms=REQUEST_TIMEOUT_MS)
                oldest = consumer.beginning_offsets(partitions, timeout_ms=REQUEST_TIMEOUT_MS)
                begin = starts(consumer, oldest, ends)
                consumer.assign(partitions)
                for partition in partitions:
                    consumer.seek(partition, begin[partition])
        except BaseException:
            self._close(consumer)
            raise
        return self._records(consumer, ends)

    def close(self) -> None:
        """Close what is still open."""
        while self._open:
            self._open.pop().close()

    def _connect(self) -> KafkaConsumer:
        # Records that are deleted while they are waited for are gone; those after them are read.
        consumer = connect_consumer(self._settings, group_id=None, auto_offset_reset="earliest")
        self._open.add(consumer)
        return consumer

    def _close(self, consumer: KafkaConsumer) -> None:
        if consumer in self._open:  # else it was closed with its reader
            self._open.remove(consumer)
            consumer.close()

    def _partitions(self, consumer: KafkaConsumer, topic: str) -> list[KafkaPartition]:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise TransportError(f"there is no topic {topic!r} at {self._settings.bootstrap_servers}")
        return [KafkaPartition(topic, number) for number in sorted(numbers)]

    def _records(self, consumer: KafkaConsumer, ends: Offsets) -> Iterator[Record]:
        """Yield the records of an assigned consumer before `ends`, then close it.

        Positions also pass what is never delivered: markers, compacted records. A partition that has been read is
        paused, so that nothing is fetched beyond its end.
        Raises: UnreachableError when no position moves for as long as a broker's restart may take.
        """
        action = f"read {', '.join(sorted({partition.topic for partition in ends}))}"
        waiting, moved_at_s = dict.fromkeys(ends, -1), time.monotonic()
        try:
            while True:
                with errors(action):
                    positions = {partition: consumer.position(partition, REQUEST_TIMEOUT_MS) for partition in waiting}
                    done = [partition for partition, position in positions.items() if position >= ends[partition]]
                    consumer.pause(*done)
                    if positions != waiting:
                        moved_at_s = time.monotonic()
                    waiting = {at: position for at, position in positions.items() if at not in done}
                    if not waiting:
                        return
                    batches = consumer.poll(timeout_ms=_READ_TIMEOUT_MS, max_records=_READ_RECORDS)
                if not batches and time.monotonic() - moved_at_s > DELIVERY_TIMEOUT_MS / 1000:
                    partition, position = next(iter(waiting.items()))
                    raise UnreachableError(
                        f"could not {action}: nothing came for {DELIVERY_TIMEOUT_MS // 1000} s, with "
                        f"{partition.topic}-{partition.partition} at offset {position} of {ends[partition]}; "
                        "is the broker up?"
                    )
                for partition, records in batches.items():
                    yield from (to_record(record) for record in records if record.offset < ends[partition])
        finally:
            self._close(consumer)


def to_record(record: Any) -> Record:
    """Turn a record of kafka-python into one of ours."""
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        record.timestamp,
        tuple(record.headers) if record.headers else (),
    )
