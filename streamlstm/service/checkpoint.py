"""The commit protocol: outputs, offsets and state that belong together.

While it runs:

1. A batch is processed whole. Its outputs are buffered, and the offset after it is noted.
2. Every `commit_interval`, and at once when an alert opened: outputs are published and acknowledged, then the offsets
   are committed (`Transport.commit`; with transactions the three are one).
3. Every `snapshot_interval`, right after a commit: the state of each partition is saved with the offset it belongs to,
   which is the committed one. So a snapshot is never ahead of the group: S <= C.

When a partition is assigned:

4. The newest complete snapshot gives the state at S, the group's offset gives C.
5. Records S .. C are processed again *without publishing*: their outputs are out already. Scores depend on event
   time and order alone, so this ends in the very state the worker had at C.
6. From C on outputs are published. What was published after C and not committed is published again, byte for byte.

What step 5 rests on is guarded: a group that never committed saves its empty state first, so that S exists from the
start.

When a partition has another model to go over to (`PartitionProcessor.is_outdated`), between two batches:

7. It waits for what another owner may have published and not committed: until it has processed every record that was
   in the log when the partition was assigned, and the offset after its last record, X, is committed (step 2).
8. The processor goes over to the new model.
9. A snapshot at X is saved, which names the new model. Only when it is durable the next record is processed.

So nothing that the new model says is published before a snapshot names it, and nothing that was published under the
old one comes after. A crash before step 9 is done finds the older snapshot, which names the old model: step 5 repeats
what that model said, and the partition goes over again, at X or later. A crash after it finds the snapshot at X. Where
it is unknown whether the snapshot is durable (the store did not answer), the partition is let go and recovered: the
store decides. A rebalance is nothing else: the new owner recovers under the model that the snapshot names, then goes
over to its own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from streamlstm.ports import Snapshot, SnapshotStore, Transport
from streamlstm.types import Output, Record, TopicPartition

__all__ = ["Checkpoint", "PartitionProcessor", "ProcessorFactory", "Recovery"]

_log = logging.getLogger(__name__)

_BUFFERED_OUTPUTS = 50_000
"""About 20 MB of score records: commit rather than hold more."""


class PartitionProcessor(Protocol):
    """What is computed for one partition: deterministic in its records, whatever the batches they come in."""

    def process(self, records: Sequence[Record]) -> Sequence[Output]:
        """Advance by records in offset order; return what to publish."""

    @property
    def opened_alert(self) -> bool:
        """Whether the last `process` opened an alert."""

    @property
    def is_outdated(self) -> bool:
        """Whether there is a newer model to go over to."""

    def switch_models(self) -> Sequence[str]:
        """Go over to it; return a sentence for each model that changed."""

    def export_state(self) -> bytes:
        """Return the state as bytes; it names the models it belongs to."""

    def import_state(self, payload: bytes) -> None:
        """Take over a state, and the models it names. Raises: SnapshotError."""


class ProcessorFactory(Protocol):
    """Makes the processor of a partition, with empty state."""

    def __call__(self, partition: TopicPartition) -> PartitionProcessor:
        """Return a processor that has seen no record."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """Where a partition starts: state as of `snapshot_offset`, publishing from `publish_from`.

    Before `renew_from` the models stay as they are (step 7).
    """

    snapshot_offset: int
    publish_from: int
    renew_from: int


class Checkpoint:
    """Buffers outputs and offsets, and carries out the protocol above. Used by one thread."""

    def __init__(self, transport: Transport, snapshots: SnapshotStore) -> None:
        self._transport = transport
        self._snapshots = snapshots
        self._outputs: dict[TopicPartition, list[Output]] = {}
        self._offsets: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._group: dict[TopicPartition, int] = {}
        self._saved: dict[TopicPartition, int] = {}

    @property
    def is_pending(self) -> bool:
        """Whether something waits to be committed."""
        return bool(self._offsets)

    @property
    def is_full(self) -> bool:
        """Whether so much is buffered that it should be committed now."""
        return sum(map(len, self._outputs.values())) >= _BUFFERED_OUTPUTS

    def add(self, partition: TopicPartition, outputs: Sequence[Output], *, next_offset: int) -> None:
        """Step 1: buffer a batch's outputs and note the offset after it."""
        self._outputs.setdefault(partition, []).extend(outputs)
        self._offsets[partition] = next_offset

    def commit(self) -> None:
        """Step 2. On failure everything stays buffered and may be committed again. Raises: TransportError."""
        if not self._offsets:
            return
        self._transport.commit(list(chain.from_iterable(self._outputs.values())), self._offsets)
        self._committed.update(self._offsets)
        self._group.update(self._offsets)
        self._outputs, self._offsets = {}, {}

    def save(self, processors: Mapping[TopicPartition, PartitionProcessor]) -> None:
        """Step 3, for partitions that committed since their last snapshot. Call right after `commit`.

        A partition that is still replaying has committed nothing here, so its half-way state is not saved.
        """
        for partition, processor in processors.items():
            offset = self._committed.get(partition)
            if offset is None or self._saved.get(partition) == offset:
                continue
            self._snapshots.save(partition, Snapshot(offset, processor.export_state()))
            self._saved[partition] = offset

    def renew(self, partition: TopicPartition, processor: PartitionProcessor, *, offset: int) -> Sequence[str]:
        """Carry out steps 8 and 9 at the offset that the partition has processed up to. Call right after `commit`.

        Does nothing where another offset is committed. On failure the partition must be let go and recovered.
        Raises: TransportError.
        """
        if self._group.get(partition) != offset:
            return ()
        changes = processor.switch_models()
        self._snapshots.save(partition, Snapshot(offset, processor.export_state()))
        self._saved[partition] = offset
        return changes

    def drop(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget partitions that are no longer ours."""
        for partition in partitions:
            self._outputs.pop(partition, None)
            self._offsets.pop(partition, None)
            self._committed.pop(partition, None)
            self._group.pop(partition, None)
            self._saved.pop(partition, None)

    def recover(self, partition: TopicPartition, processor: PartitionProcessor) -> Recovery:
        """Restore the state, seek to where it belongs, and say from where to publish (steps 4 and 5)."""
        name = f"{partition.topic}-{partition.partition}"
        committed = self._transport.committed(partition)
        snapshot = self._snapshots.load(partition)
        if committed is None:
            start = self._transport.start_offset(partition)
            renew_from = start
            if snapshot is not None and snapshot.offset == start:  # a worker was here, and died before its first commit
                processor.import_state(snapshot.payload)
                renew_from = max(start, self._transport.bounds(partition)[1])
            else:
                self._snapshots.save(partition, Snapshot(start, processor.export_state()))
            self._transport.seek(partition, start)
            self._group[partition] = start
            _log.info("%s: new to this group, starts at offset %d", name, start)
            return Recovery(start, start, renew_from)
        self._group[partition] = committed
        oldest, end = self._transport.bounds(partition)
        if snapshot is None or snapshot.offset > committed:
            why = (
                "no snapshot" if snapshot is None else f"the snapshot (offset {snapshot.offset}) is ahead of the group"
            )
            _log.warning("%s: %s; streams warm up again from offset %d", name, why, max(committed, oldest))
            start = committed
        else:
            processor.import_state(snapshot.payload)
            start = snapshot.offset
            _log.info("%s: state of offset %d restored, replaying %d records", name, start, committed - start)
        if start < oldest:
            _log.warning("%s: offsets %d to %d are past retention and cannot be read again", name, start, oldest - 1)
            start = oldest
        self._transport.seek(partition, start)
        return Recovery(start, max(committed, start), max(end, start))
