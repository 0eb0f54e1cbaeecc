"""What the worker needs of others, as protocols: a log, a store of snapshots, and what computes a partition's outputs.

Two transports satisfy them: Kafka and the local log.

Offsets follow Kafka: the offset of a record counts from 0 in its partition, and a *committed* offset is that of the
next record to read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from streamlstm.types import MISSING_TIME_MS, Output, Record, TopicPartition

__all__ = [
    "AssignmentListener",
    "CheckResult",
    "HistoryReader",
    "PartitionProcessor",
    "Processed",
    "ProcessorFactory",
    "Publisher",
    "Snapshot",
    "SnapshotStore",
    "TopicReader",
    "Transport",
]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of one input partition, as it was before the record at `offset` was read."""

    offset: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of a check: what was looked at, whether it is well, and a sentence."""

    subject: str
    is_good: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Processed:
    """What became of a batch: the records to publish, and whether they must not wait for the commit interval."""

    outputs: Sequence[Output]
    must_commit: bool = False


class PartitionProcessor(Protocol):
    """What is computed for one partition: deterministic in its records, whatever batches they come in."""

    def process(self, records: Sequence[Record]) -> Processed:
        """Advance by records in offset order."""

    @property
    def is_outdated(self) -> bool:
        """Whether there is a newer model to switch to."""

    def switch_models(self) -> Sequence[str]:
        """Switch to it; return a sentence for each model that changed."""

    def export_state(self) -> bytes:
        """Return the state as bytes; it names the models that it belongs to."""

    def import_state(self, payload: bytes) -> None:
        """Restore a state, and the models that it names, into a processor that has seen no record.

        Raises: SnapshotError.
        """


class ProcessorFactory(Protocol):
    """Makes the processor of a partition, with empty state."""

    def __call__(self, partition: TopicPartition) -> PartitionProcessor:
        """Return a processor that has seen no record."""


class AssignmentListener(Protocol):
    """Told of a change of assignment, from within `Transport.poll` (or `close`)."""

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Take over partitions; may call `committed` and `seek`."""

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Hand partitions back; may still call `commit`."""

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop partitions that another worker may already own; must not commit."""


class Transport(Protocol):
    """The input log with its consumer group, and the outputs. Used by one thread."""

    def open(self, listener: AssignmentListener) -> None:
        """Connect, create output topics that are missing, and subscribe.

        Raises: UnreachableError with the cause when nobody answers or credentials are refused.
        """

    def poll(self, *, max_records: int, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return the next records by partition, in offset order; empty after `timeout_ms`.

        When it raises, some positions may have moved past records that were not returned: `seek` before reading on.
        """

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset`. Allowed inside `on_assigned`."""

    def committed(self, partition: TopicPartition) -> int | None:
        """Return the committed offset of the group; None when it has none."""

    def start_offset(self, partition: TopicPartition) -> int:
        """Return where a group without a committed offset begins (the source's `start`: earliest or latest)."""

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Return the oldest offset still held and the end offset (that of the next record to be written)."""

    def commit(self, outputs: Sequence[Output], offsets: Mapping[TopicPartition, int]) -> None:
        """Publish outputs and commit input offsets, in this order.

        1. send every output; 2. wait until each is acknowledged; 3. commit the offsets.

        A transport with transactions does all three in one. On any failure no offset is committed.
        Raises: TransportError naming the topic; FencedError when the group has moved on.
        """

    def close(self) -> None:
        """Leave the group and release everything. The listener's `on_revoked` is called first.

        It is for the listener to know whether there is anything that it may still commit.
        """


class SnapshotStore(Protocol):
    """Snapshots of partitions. Only whole ones are ever returned."""

    def save(self, partition: TopicPartition, snapshot: Snapshot) -> None:
        """Store a snapshot durably; an interrupted call leaves the one before it intact."""

    def load(self, partition: TopicPartition) -> Snapshot | None:
        """Return the newest complete snapshot, or None.

        Raises: SnapshotError when there was one and is damaged; the next `save` writes over it.
        """

    def close(self) -> None:
        """Release everything."""


class Publisher(Protocol):
    """Writes telemetry: replay, demo, tests."""

    def ensure_topic(self, topic: str, *, partitions: int = 1) -> None:
        """Create the topic if it is missing."""

    def publish(
        self, topic: str, *, key: bytes | None, value: bytes | None, timestamp_ms: int = MISSING_TIME_MS
    ) -> None:
        """Buffer one record; the partition follows from the key."""

    def flush(self) -> None:
        """Return when every buffered record is acknowledged. Raises: TransportError."""

    def close(self) -> None:
        """Flush and release everything."""


class TopicReader(Protocol):
    """Reads a topic outside any group: demo, tests, retraining."""

    def read(self, topic: str, *, from_beginning: bool = True) -> Iterator[Record]:
        """Yield the records of every partition up to the end offsets at the time of the call (read committed)."""

    def close(self) -> None:
        """Release everything."""


class HistoryReader(Protocol):
    """Reads a range of several topics by time stamp, outside any group: nothing joins, nothing is committed."""

    def topics(self) -> Sequence[str]:
        """Return the names of the topics there are. Raises: UnreachableError."""

    def read(self, topics: Sequence[str], *, begin_ms: int | None, end_ms: int | None) -> Iterator[Record]:
        """Yield the records of every partition, each partition's in offset order (read committed).

        Those whose time stamp is `begin_ms` or later and before `end_ms` (None: any), up to the end offsets at the time
        of the call. Time stamps need not rise with the offset: what lies before the first one in range is skipped, and
        what comes after it is looked at to the end.
        Raises: TransportError when a topic does not exist; UnreachableError when nothing comes for too long.
        """

    def close(self) -> None:
        """Release everything."""
