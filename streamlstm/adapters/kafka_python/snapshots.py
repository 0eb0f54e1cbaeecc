"""Snapshots of stream state in a compacted topic, so that another machine can take a partition over."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer
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
from streamlstm.adapters.snapshots import Generation, generation_prefix, key_prefix, newest, pack
from streamlstm.ports import Snapshot
from streamlstm.types import TopicPartition

__all__ = ["KafkaSnapshots"]

# The newest segment of a topic is never compacted, and a load reads it whole: with Kafka's default of 1 GiB that is a
# thousand old snapshots of 1 MB; with 64 MiB, and cleaning at a tenth of waste, about a second's reading.
_TOPIC_CONFIGS = {"segment.bytes": str(64 * 1024 * 1024), "min.cleanable.dirty.ratio": "0.1"}
_CHUNKS_IN_FLIGHT = 16  # about 15 MB on the way at a time
_POLL_MS = 1000


class KafkaSnapshots:
    """Keep the two newest snapshots of each partition of one group."""

    def __init__(self, settings: KafkaSettings, *, topic: str, group: str) -> None:
        self._settings = settings
        self._topic = topic
        self._group = group
        self._producer: KafkaProducer | None = None
        self._known: dict[TopicPartition, tuple[Generation | None, set[str]]] = {}

    def save(self, partition: TopicPartition, snapshot: Snapshot) -> None:
        """Store a snapshot durably; an interrupted call leaves the one before it intact.

        Chunks, then the manifest, then the removal of chunks that a longer snapshot left in the same generation.
        """
        if partition not in self._known:
            self.load(partition)
        after, keys = self._known[partition]
        prefix = key_prefix(self._group, partition)
        target = generation_prefix(prefix, after)
        pairs, generation = pack(prefix, snapshot, after)
        written = {key for key, _ in pairs}
        stale = {key for key in keys if key.startswith(target)} - written
        action = f"save the snapshot of {partition.topic}-{partition.partition} to {self._topic}"
        with errors(action):
            # From here on the generation is neither the old one nor the new one, should this fail.
            self._known[partition] = after, keys | written
            for start in range(0, len(pairs), _CHUNKS_IN_FLIGHT):
                self._send(prefix, pairs[start : start + _CHUNKS_IN_FLIGHT])
            self._send(prefix, [(key, None) for key in sorted(stale)])
        self._known[partition] = generation, (keys | written) - stale

    def load(self, partition: TopicPartition) -> Snapshot | None:
        """Return the newest complete snapshot, or None. Raises: SnapshotError when there was one and is damaged."""
        prefix = key_prefix(self._group, partition)
        producer = self._open()
        pairs: dict[str, bytes] = {}
        consumer = connect_consumer(self._settings, group_id=None, max_partition_fetch_bytes=8 * 1024 * 1024)
        try:
            with errors(f"read the snapshots of {partition.topic}-{partition.partition} from {self._topic}"):
                stored = KafkaPartition(self._topic, self._number(producer, prefix))
                consumer.assign([stored])
                end = consumer.end_offsets([stored], timeout_ms=REQUEST_TIMEOUT_MS)[stored]
                consumer.seek(stored, consumer.beginning_offsets([stored], timeout_ms=REQUEST_TIMEOUT_MS)[stored])
                while consumer.position(stored, REQUEST_TIMEOUT_MS) < end:
                    for records in consumer.poll(timeout_ms=_POLL_MS, max_records=100).values():
                        for record in records:
                            _apply(pairs, prefix, record)
        finally:
            consumer.close()
        self._known[partition] = None, set(pairs)  # a damaged one may be written over
        found = newest(prefix, pairs)
        self._known[partition] = None if found is None else found[1], set(pairs)
        return None if found is None else found[0]

    def close(self) -> None:
        """Release everything."""
        if self._producer is not None:
            self._producer.close(timeout=REQUEST_TIMEOUT_MS / 1000)
            self._producer = None

    def _open(self) -> KafkaProducer:
        if self._producer is None:
            create_missing_topics(self._settings, {self._topic: {"compacted": True}}, _TOPIC_CONFIGS)
            self._producer = connect_producer(self._settings)
        return self._producer

    def _number(self, producer: KafkaProducer, prefix: str) -> int:
        """Return the partition of the snapshot topic that holds every key of `prefix`, so that they stay in order."""
        return zlib.crc32(prefix.encode()) % len(producer.partitions_for(self._topic))

    def _send(self, prefix: str, pairs: Sequence[tuple[str, bytes | None]]) -> None:
        if not pairs:
            return
        producer = self._open()
        number = self._number(producer, prefix)
        futures = [producer.send(self._topic, value, key.encode(), partition=number) for key, value in pairs]
        producer.flush(timeout=(DELIVERY_TIMEOUT_MS + REQUEST_TIMEOUT_MS) / 1000)
        for future in futures:
            future.get(timeout=0.001)


def _apply(pairs: dict[str, bytes], prefix: str, record: Any) -> None:
    key = (record.key or b"").decode("utf-8", "replace")
    if not key.startswith(prefix):
        return
    if record.value is None:
        pairs.pop(key, None)
    else:
        pairs[key] = record.value
