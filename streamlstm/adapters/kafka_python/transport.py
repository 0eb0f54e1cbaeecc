"""The worker's side of Kafka: a member of a consumer group, and a producer whose records precede its offsets."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import translate
from typing import Any, Literal

from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata
from kafka import TopicPartition as KafkaPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.base import MemberState
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from streamlstm.adapters.kafka_python.administration import OutputTopic, create_missing_topics, is_pattern
from streamlstm.adapters.kafka_python.connection import (
    DELIVERY_TIMEOUT_MS,
    REQUEST_TIMEOUT_MS,
    connect_consumer,
    connect_producer,
    errors,
)
from streamlstm.adapters.kafka_python.reading import to_record
from streamlstm.adapters.kafka_python.rebalance import RebalanceBridge
from streamlstm.adapters.kafka_python.settings import KafkaSettings
from streamlstm.errors import TransportError
from streamlstm.ports import AssignmentListener
from streamlstm.types import Output, Record, TopicPartition

__all__ = ["KafkaTransport"]

_log = logging.getLogger(__name__)

_METADATA_MAX_AGE_MS = 30_000  # how soon a new topic that matches a pattern is seen
_CLOSE_TIMEOUT_MS = 10_000
_FORGOTTEN_JOIN_S = 1.0  # a join among members that poll takes a tenth of it


class KafkaTransport:
    """Read the topics that match `topics` (names or patterns with `*`) as a member of `group`.

    Partitions are dealt out by range and eagerly: a rebalance takes all of them back first, so that a commit never
    falls into the middle of one, and partitions of the same number go to the same worker.
    Delivery: at least once: outputs are acknowledged before the offsets are committed.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        group: str,
        topics: Sequence[str],
        start: Literal["earliest", "latest"] = "earliest",
        output_topics: Mapping[str, OutputTopic] | None = None,
        session_timeout_ms: int = 15_000,
    ) -> None:
        self._settings = settings
        self._group = group
        self._topics = tuple(topics)
        self._start = start
        self._output_topics = dict(output_topics or {})
        self._session_timeout_ms = session_timeout_ms
        self._opened: tuple[KafkaConsumer, KafkaProducer, RebalanceBridge] | None = None
        self._listener: AssignmentListener | None = None
        self._starts: dict[TopicPartition, int] = {}
        self._sought: set[TopicPartition] = set()
        self._joining_since_s: float | None = None

    def open(self, listener: AssignmentListener) -> None:
        """Connect, create output topics that are missing, and subscribe; partitions come with `poll`.

        Raises: UnreachableError with the cause when nobody answers or credentials are refused.
        """
        if self._opened is not None:
            raise TransportError(f"group {self._group!r}: this transport is already open")
        create_missing_topics(self._settings, self._output_topics)
        consumer = connect_consumer(
            self._settings,
            group_id=self._group,
            auto_offset_reset="none",  # an offset that is gone is ours to decide, and to log
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=self._session_timeout_ms,
            heartbeat_interval_ms=min(3000, self._session_timeout_ms // 3),
            metadata_max_age_ms=_METADATA_MAX_AGE_MS,
        )
        try:
            producer = connect_producer(self._settings)
            bridge = RebalanceBridge(
                on_assigned=self._assign,
                on_revoked=self._revoke,
                on_lost=self._lose,
                # There is no public way to hand a callback to the client's network thread.
                call_on_network_thread=consumer._net.call_soon_threadsafe,
            )
            self._listener = listener
            self._opened = consumer, producer, bridge
            with errors(f"subscribe to {', '.join(self._topics)}"):
                if any(is_pattern(topic) for topic in self._topics):
                    consumer.subscribe(pattern=_pattern(self._topics, self._output_topics), listener=bridge)
                else:
                    consumer.subscribe(topics=list(self._topics), listener=bridge)
        except BaseException:
            consumer.close(timeout_ms=_CLOSE_TIMEOUT_MS)
            if self._opened is not None:
                self._opened = None
                producer.close(timeout=_CLOSE_TIMEOUT_MS / 1000)
            raise

    def poll(self, *, max_records: int, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return the next records by partition, in offset order; empty after `timeout_ms`."""
        consumer, _, bridge = self._clients
        try:
            with errors(f"read for group {self._group!r}"):
                batches = consumer.poll(timeout_ms=timeout_ms, max_records=max_records)
        except TransportError as error:
            bridge.raise_failure()
            match error.__cause__:
                case OffsetOutOfRangeError() as outside:
                    for partition, offset in outside.args[0].items():
                        self._go_on_within_bounds(TopicPartition(*partition), offset)
                case LogTruncationError() as truncation:
                    self._assign([TopicPartition(*partition) for partition in truncation.divergent_offsets])
                case _:
                    raise
            return {}
        bridge.raise_failure()
        self._see_joins_through(consumer, is_empty=not batches)
        return {
            TopicPartition(*partition): [to_record(record) for record in records]
            for partition, records in batches.items()
        }

    def _see_joins_through(self, consumer: KafkaConsumer, *, is_empty: bool) -> None:
        """Ask for a join again that has lasted too long.

        kafka-python forgets a join that our time-out cut short if new metadata had asked for it: no heartbeat and no
        record would ever come again. To ask while the join is under way changes nothing, for the client awaits the one
        that it has sent. If it has been answered while nobody awaited it, the client joins anew, and when the leader
        does, the whole group rebalances.

        That cannot go on for ever among workers: each polls on its own, has no records to process while it joins, and
        so awaits the answer nearly all the time; only one that comes in the instant between two polls costs another
        round. It can among members that one thread polls in turn, where each join is answered in another's poll.
        """
        if not is_empty or consumer.group_metadata().state != MemberState.REBALANCING:
            self._joining_since_s = None
        elif self._joining_since_s is None:
            self._joining_since_s = time.monotonic()
        elif time.monotonic() - self._joining_since_s > _FORGOTTEN_JOIN_S:
            consumer._coordinator.request_rejoin()
            self._joining_since_s = None

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset`. Allowed inside `on_assigned`."""
        self._sought.add(partition)
        with errors(f"seek {partition.topic}-{partition.partition}@{offset}"):
            self._clients[0].seek(KafkaPartition(*partition), offset)

    def committed(self, partition: TopicPartition) -> int | None:
        """Return the committed offset of the group; None when it has none."""
        with errors(f"read the committed offset of {partition.topic}-{partition.partition}"):
            offset = self._clients[0].committed(KafkaPartition(*partition), timeout_ms=DELIVERY_TIMEOUT_MS)
        return None if offset is None else int(offset)

    def start_offset(self, partition: TopicPartition) -> int:
        """Return where a group without a committed offset begins; the same answer as long as the partition is held."""
        if partition not in self._starts:
            oldest, end = self.bounds(partition)
            self._starts[partition] = oldest if self._start == "earliest" else end
        return self._starts[partition]

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Return the oldest offset still held and the end offset (of committed records)."""
        wanted = KafkaPartition(*partition)
        with errors(f"read the bounds of {partition.topic}-{partition.partition}"):
            oldest = self._clients[0].beginning_offsets([wanted], timeout_ms=REQUEST_TIMEOUT_MS)[wanted]
            end = self._clients[0].end_offsets([wanted], timeout_ms=REQUEST_TIMEOUT_MS)[wanted]
        return int(oldest), int(end)

    def commit(self, outputs: Sequence[Output], offsets: Mapping[TopicPartition, int]) -> None:
        """Publish outputs, then commit offsets.

        1. send every output; 2. wait for every acknowledgement, and check each; 3. commit the offsets with the
        group's generation. On any failure no offset is committed; outputs may then be published again.

        Raises: TransportError naming the topic; FencedError when the group has moved on.
        """
        consumer, producer, _ = self._clients
        sent: list[tuple[Output, Any]] = []
        for output in outputs:
            with errors(_publishing(output)):
                headers = list(output.headers)
                sent.append((output, producer.send(output.topic, output.value, output.key, headers)))
        if sent:
            with errors(f"publish to {', '.join(sorted({output.topic for output in outputs}))}"):
                producer.flush(timeout=(DELIVERY_TIMEOUT_MS + REQUEST_TIMEOUT_MS) / 1000)
        for output, future in sent:
            if not future.succeeded():
                with errors(_publishing(output)):
                    raise future.exception or KafkaError("not acknowledged in time")
        if offsets:
            positions = {KafkaPartition(*at): OffsetAndMetadata(offset, "", -1) for at, offset in offsets.items()}
            with errors(f"commit the offsets of group {self._group!r}"):
                consumer.commit(positions, timeout_ms=DELIVERY_TIMEOUT_MS)

    def close(self) -> None:
        """Leave the group (on_revoked is called first) and release everything."""
        if self._opened is None:
            return
        consumer, producer, bridge = self._opened
        try:
            with errors(f"leave group {self._group!r}"):
                consumer.close(autocommit=False, timeout_ms=_CLOSE_TIMEOUT_MS)
        finally:
            self._opened = None
            producer.close(timeout=_CLOSE_TIMEOUT_MS / 1000)
        bridge.raise_failure()

    @property
    def _clients(self) -> tuple[KafkaConsumer, KafkaProducer, RebalanceBridge]:
        if self._opened is None:
            raise TransportError(f"group {self._group!r}: the transport is not open; call open() first")
        return self._opened

    def _assign(self, partitions: Sequence[TopicPartition]) -> None:
        """Tell the listener; then give a position to each partition that it did not seek."""
        self._sought.clear()
        if self._listener is not None:
            self._listener.on_assigned(partitions)
        for partition in partitions:
            if partition not in self._sought:
                committed = self.committed(partition)
                self.seek(partition, self.start_offset(partition) if committed is None else committed)

    def _revoke(self, partitions: Sequence[TopicPartition]) -> None:
        self._starts.clear()
        if self._listener is not None:
            self._listener.on_revoked(partitions)

    def _lose(self, partitions: Sequence[TopicPartition]) -> None:
        self._starts.clear()
        if self._listener is not None:
            self._listener.on_lost(partitions)

    def _go_on_within_bounds(self, partition: TopicPartition, offset: int) -> None:
        oldest, end = self.bounds(partition)
        if offset > end:  # cut short, or created again: the listener compares its offsets with the log's anew
            self._assign([partition])
            return
        start = oldest if self._start == "earliest" else end
        _log.warning(
            "%s-%d@%d is older than what the broker still holds (%d to %d); continuing from %d (start: %s)",
            *(partition.topic, partition.partition, offset, oldest, end, start, self._start),
        )
        self.seek(partition, start)


def _publishing(output: Output) -> str:
    size = len(output.key or b"") + len(output.value or b"")
    return f"publish a record of {size} bytes to {output.topic}"


def _pattern(topics: Sequence[str], own: Iterable[str]) -> str:
    """Return the regular expression of the names to read: those that match, but never what this worker itself writes.

    It would feed on its own output.
    """
    wanted = "|".join(map(translate, topics))
    outputs = "|".join(map(re.escape, own))
    return f"(?!(?:{outputs})$)(?:{wanted})" if outputs else wanted
