"""Writing and reading topics of a Kafka cluster outside any group."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaPartition

from streamlstm.adapters.kafka_python.administration import create_missing_topics
from streamlstm.adapters.kafka_python.connection import (
    DELIVERY_TIMEOUT_MS,
    REQUEST_TIMEOUT_MS,
    connect_consumer,
    connect_producer,
    errors,
)
from streamlstm.adapters.kafka_python.settings import KafkaSettings
from streamlstm.errors import TransportError, UnreachableError
from streamlstm.types import MISSING_TIME_MS, Record

__all__ = ["KafkaPublisher", "KafkaReader", "records_before"]

_READ_RECORDS = 5000
_READ_TIMEOUT_MS = 1000


class KafkaPublisher:
    """Publish records; the partition is the murmur2 hash of the key, as in the Java client."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: KafkaProducer | None = None
        self._failures: list[tuple[str, Exception]] = []

    def ensure_topic(self, topic: str, *, partitions: int = 1) -> None:
        """Create the topic if it is missing."""
        create_missing_topics(self._settings, {topic: {"partitions": partitions}})

    def publish(
        self, topic: str, *, key: bytes | None, value: bytes | None, timestamp_ms: int = MISSING_TIME_MS
    ) -> None:
        """Buffer one record; it is sent in the background, and `flush` says whether it arrived."""
        if self._producer is None:
            self._producer = connect_producer(self._settings)
        what = f"publish a record of {len(key or b'') + len(value or b'')} bytes to {topic}"
        with errors(what):
            time_ms = None if timestamp_ms == MISSING_TIME_MS else timestamp_ms
            future = self._producer.send(topic, value, key, timestamp_ms=time_ms)
        future.add_errback(partial(self._fail, what))

    def flush(self) -> None:
        """Return when every buffered record is acknowledged. Raises: TransportError naming the first that was not."""
        if self._producer is None:
            return
        with errors("publish"):
            self._producer.flush(timeout=(DELIVERY_TIMEOUT_MS + REQUEST_TIMEOUT_MS) / 1000)
        failures, self._failures = self._failures, []
        if failures:
            what, error = failures[0]
            with errors(f"{what} ({len(failures)} records failed)"):
                raise error

    def close(self) -> None:
        """Flush and release everything."""
        try:
            self.flush()
        finally:
            if self._producer is not None:
                self._producer.close(timeout=REQUEST_TIMEOUT_MS / 1000)
                self._producer = None

    def _fail(self, what: str, error: Exception) -> None:
        self._failures.append((what, error))


class KafkaReader:
    """Read whole topics, or what came since the last read."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._positions: dict[KafkaPartition, int] = {}

    def read(self, topic: str, *, from_beginning: bool = True) -> Iterator[Record]:
        """Yield the records of every partition up to the end offsets at the time of the call (read committed).

        Without `from_beginning`: those after the last call's end; nothing the first time.
        Raises: TransportError when there is no such topic.
        """
        consumer = connect_consumer(self._settings, group_id=None)
        try:
            with errors(f"read {topic}"):
                numbers = consumer.partitions_for_topic(topic)
                if not numbers:
                    raise TransportError(f"there is no topic {topic!r} at {self._settings.bootstrap_servers}")
                places = [KafkaPartition(topic, number) for number in sorted(numbers)]
                consumer.assign(places)
                ends = consumer.end_offsets(places, timeout_ms=REQUEST_TIMEOUT_MS)
                oldest = consumer.beginning_offsets(places, timeout_ms=REQUEST_TIMEOUT_MS)
                for place in places:
                    start = oldest[place] if from_beginning else self._positions.get(place, ends[place])
                    consumer.seek(place, start)
                    self._positions[place] = ends[place]
        except TransportError:
            consumer.close()
            raise
        return records_before(consumer, ends)

    def close(self) -> None:
        """Release everything: each read closes its own connection at its end."""


def records_before(consumer: KafkaConsumer, ends: dict[KafkaPartition, int]) -> Iterator[Record]:
    """Yield the records of an assigned consumer before `ends`, then close it.

    Positions also pass what is never delivered: markers, compacted records. A partition that is read is paused, so that
    nothing is fetched beyond its end.
    Raises: UnreachableError when no position moves for as long as a broker's restart may take.
    """
    what = f"read {', '.join(sorted({place.topic for place in ends}))}"
    waiting, moved_at = dict.fromkeys(ends, -1), time.monotonic()
    try:
        while True:
            with errors(what):
                positions = {place: consumer.position(place, REQUEST_TIMEOUT_MS) for place in waiting}
                done = [place for place, position in positions.items() if position >= ends[place]]
                consumer.pause(*done)
                if positions != waiting:
                    moved_at = time.monotonic()
                waiting = {place: position for place, position in positions.items() if place not in done}
                if not waiting:
                    return
                batches = consumer.poll(timeout_ms=_READ_TIMEOUT_MS, max_records=_READ_RECORDS)
            if not batches and time.monotonic() - moved_at > DELIVERY_TIMEOUT_MS / 1000:
                place, position = next(iter(waiting.items()))
                raise UnreachableError(
                    f"could not {what}: nothing came for {DELIVERY_TIMEOUT_MS // 1000} s, with "
                    f"{place.topic}-{place.partition} at offset {position} of {ends[place]}; is the broker up?"
                )
            for place, records in batches.items():
                for record in records:
                    if record.offset < ends[place]:
                        yield Record(
                            record.topic,
                            record.partition,
                            record.offset,
                            record.key,
                            record.value,
                            record.timestamp,
                            tuple(record.headers or ()),
                        )
    finally:
        consumer.close()
