"""Writing and reading topics of a Kafka cluster outside any group."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaPartition

from streamlstm.adapters.kafka_python.administration import create_missing_topics
from streamlstm.adapters.kafka_python.connection import (
    DELIVERY_TIMEOUT_MS,
    REQUEST_TIMEOUT_MS,
    connect_producer,
    errors,
)
from streamlstm.adapters.kafka_python.reading import Offsets, RangeReader
from streamlstm.adapters.kafka_python.settings import KafkaSettings
from streamlstm.types import MISSING_TIME_MS, Record

__all__ = ["KafkaPublisher", "KafkaReader"]


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
        """Buffer one record; it is sent in the background, and `flush` raises if it did not arrive."""
        if self._producer is None:
            self._producer = connect_producer(self._settings)
        action = f"publish a record of {len(key or b'') + len(value or b'')} bytes to {topic}"
        with errors(action):
            time_ms = None if timestamp_ms == MISSING_TIME_MS else timestamp_ms
            future = self._producer.send(topic, value, key, timestamp_ms=time_ms)
        future.add_errback(partial(self._fail, action))

    def flush(self) -> None:
        """Return when every buffered record is acknowledged. Raises: TransportError naming the first that was not."""
        if self._producer is None:
            return
        with errors("publish"):
            self._producer.flush(timeout=(DELIVERY_TIMEOUT_MS + REQUEST_TIMEOUT_MS) / 1000)
        failures, self._failures = self._failures, []
        if failures:
            action, error = failures[0]
            with errors(f"{action} ({len(failures)} records failed)"):
                raise error

    def close(self) -> None:
        """Flush and release everything."""
        try:
            self.flush()
        finally:
            if self._producer is not None:
                self._producer.close(timeout=REQUEST_TIMEOUT_MS / 1000)
                self._producer = None

    def _fail(self, action: str, error: Exception) -> None:
        self._failures.append((action, error))


class KafkaReader:
    """Read whole topics, or what came since the last read."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._reader = RangeReader(settings)
        self._positions: dict[KafkaPartition, int] = {}

    def read(self, topic: str, *, from_beginning: bool = True) -> Iterator[Record]:
        """Yield the records of every partition up to the end offsets at the time of the call (read committed).

        Without `from_beginning`: those after the last call's end; nothing the first time.
        Raises: TransportError when there is no such topic.
        """

        def starts(_: KafkaConsumer, oldest: Offsets, ends: Offsets) -> Offsets:
            begin = oldest if from_beginning else {at: self._positions.get(at, end) for at, end in ends.items()}
            self._positions.update(ends)
            return begin

        return self._reader.read([topic], starts)

    def close(self) -> None:
        """Release everything."""
        self._reader.close()
