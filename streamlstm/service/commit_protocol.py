"""The commit protocol: outputs, offsets and state that belong together.

While it runs:

1. A batch is processed whole. Its outputs are buffered, and the offset after it is noted; offsets only rise.
2. Every `commit_interval`, and at once when an alert opened: outputs are published and acknowledged, then the offsets
   are committed (`Transport.commit`; with transactions the three are one).
3. Every `snapshot_interval`, right after a commit: the state of each partition is saved with the offset it belongs to,
   which is the committed one. So a snapshot is never ahead of the group: S <= C. When a partition is handed back in
   good order, which is a *clean* close, steps 2 and 3 are carried out once more; its state is saved only where what was
   processed equals what is committed. When anything was not carried out to its end, the close is *dirty*: it commits
   nothing and saves nothing, for a state that has seen half a batch belongs to no offset. The group is left either way.

When a partition is assigned:

4. The newest complete snapshot gives the state at S, the group's offset gives C.
5. Records S .. C are processed again *without publishing*: their outputs are out already. Scores depend on event
   time and order alone, so this ends in the very state the worker had at C.
6. From C on outputs are published. What was published after C and not committed is published again, byte for byte.

What step 5 rests on is guarded: a group that never committed saves its empty state first, so that S exists from the
start; and where the log ends before C, because it was cut short or created again, its end is committed and saved first,
so that what is written next is not taken for records that were there before.

When a partition has another model to switch to (`PartitionProcessor.is_outdated`), between two batches:

7. It waits for what another owner may have published and not committed: until it has processed every record that was
   in the log when the partition was assigned, and the offset after its last record, X, is committed (step 2).
8. The processor switches to the new model.
9. A snapshot at X is saved, which names the new model. Only when it is durable the next record is processed.

So nothing that the new model computed is published before a snapshot names it, and nothing that the old one computed is
published after. A crash before step 9 is done finds the older snapshot, which names the old model: step 5 repeats what
that model computed, and the partition switches again, at X or later. A crash after it finds the snapshot at X. Where it
is unknown whether the snapshot is durable (the store did not answer), the partition is closed dirty and restored: the
store decides. A rebalance is nothing else: the new owner restores the partition under the model that the snapshot
names, then switches to its own.

`Partition` holds what one partition has processed, and refuses a step that does not belong where it stands; this file
carries the steps out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from streamlstm.errors import SnapshotError
from streamlstm.ports import PartitionProcessor, Snapshot, SnapshotStore, Transport
from streamlstm.service.partition import Partition, StartingPoint
from streamlstm.types import TopicPartition

__all__ = ["CommitProtocol"]

_log = logging.getLogger(__name__)


class CommitProtocol:
    """Carries out the protocol above, between partitions, the log and the store. Used by one thread."""

    def __init__(self, transport: Transport, snapshots: SnapshotStore, *, may_start_cold: bool = False) -> None:
        """Make one. Where it may start cold, a state that cannot be restored is left behind, and that is said."""
        self._transport = transport
        self._snapshots = snapshots
        self._may_start_cold = may_start_cold

    def commit(self, partitions: Iterable[Partition]) -> None:
        """Carry out step 2. On failure everything stays buffered and may be committed again. Raises: TransportError."""
        waiting = [partition for partition in partitions if partition.is_uncommitted]
        if not waiting:
            return
        outputs = list(chain.from_iterable(partition.outputs for partition in waiting))
        self._transport.commit(outputs, {partition.name: partition.processed for partition in waiting})
        for partition in waiting:
            partition.note_commit()

    def save(self, partitions: Iterable[Partition]) -> None:
        """Carry out step 3 for partitions whose committed offset no snapshot has yet. Raises: TransportError."""
        for partition in partitions:
            if partition.is_unsaved:
                self._snapshots.save(partition.name, partition.snapshot())
                partition.note_snapshot()

    def restore(self, partition: Partition, make_processor: Callable[[], PartitionProcessor]) -> None:
        """Restore a partition with a processor that has seen no record, and seek to where it stands (steps 4, 5).

        Raises: TransportError, and then the partition is as it was; SnapshotError.
        """
        processor = make_processor()
        try:
            start = self._start(partition, processor, self._snapshots.load)
        except SnapshotError as error:
            if not self._may_start_cold:
                raise SnapshotError(
                    f"{partition}: the state cannot be restored: {error}. To start without it, set "
                    "state.on_damaged_state: start_cold for one start; its streams then warm up again"
                ) from error
            _log.warning("%s: the state cannot be restored and is left behind: %s", partition, error)
            processor = make_processor()
            start = self._start(partition, processor, lambda name: None)
        self._transport.seek(partition.name, start.offset)
        partition.restore(processor, start)

    def switch_models(self, partition: Partition) -> Sequence[str]:
        """Carry out steps 8 and 9, right after a commit; return a sentence for each model that changed.

        Where it fails the partition is closed, and must be restored. Raises: TransportError.
        """
        changes = partition.switch_models()
        try:
            self._snapshots.save(partition.name, partition.snapshot())
        except BaseException:
            partition.close_dirty()
            raise
        partition.note_snapshot()
        return changes

    def _start(
        self,
        partition: Partition,
        processor: PartitionProcessor,
        load: Callable[[TopicPartition], Snapshot | None],
    ) -> StartingPoint:
        """Give the processor the state that there is, and say where the partition begins."""
        committed = self._transport.committed(partition.name)
        snapshot = load(partition.name)
        if committed is None:
            return self._first_start(partition, processor, snapshot)
        oldest, end = self._transport.bounds(partition.name)
        if committed > end:
            return self._start_in_shorter_log(partition, processor, snapshot, committed, end)
        saved: int | None = None
        if snapshot is None or snapshot.offset > committed:
            why = (
                "no snapshot" if snapshot is None else f"the snapshot (offset {snapshot.offset}) is ahead of the group"
            )
            _log.warning("%s: %s; streams warm up again from offset %d", partition, why, max(committed, oldest))
            start = committed
        else:
            processor.import_state(snapshot.payload)
            start = saved = snapshot.offset
            _log.info("%s: state of offset %d restored, replaying %d records", partition, start, committed - start)
        if start < oldest:
            _log.warning(
                "%s: offsets %d to %d are past retention and cannot be read again", partition, start, oldest - 1
            )
            start = oldest
        return StartingPoint(start, committed, saved=saved, switch_from=max(end, start))

    def _start_in_shorter_log(
        self, partition: Partition, processor: PartitionProcessor, snapshot: Snapshot | None, committed: int, end: int
    ) -> StartingPoint:
        """Begin a partition whose log ends before what the group has committed: it was cut short, or created again.

        What comes next has never been seen, whatever its offsets. The end is committed and saved at once: once the log
        has grown past it, nothing would tell these records from those that were there before.
        """
        _log.warning(
            "%s: the group has committed offset %d, and the log ends at %d: it was cut short or created again; "
            "records before offset %d are taken as processed, those from there on as new",
            *(partition, committed, end, end),
        )
        if snapshot is not None:
            processor.import_state(snapshot.payload)
        self._transport.commit((), {partition.name: end})
        self._snapshots.save(partition.name, Snapshot(end, processor.export_state()))
        return StartingPoint(end, committed=end, saved=end, switch_from=end)

    def _first_start(
        self, partition: Partition, processor: PartitionProcessor, snapshot: Snapshot | None
    ) -> StartingPoint:
        """Begin a partition of which the group has committed nothing, and see to it that it has a snapshot."""
        start = switch_from = self._transport.start_offset(partition.name)
        if snapshot is not None and snapshot.offset == start:  # a worker was here, and died before its first commit
            processor.import_state(snapshot.payload)
            switch_from = max(start, self._transport.bounds(partition.name)[1])
        else:
            self._snapshots.save(partition.name, Snapshot(start, processor.export_state()))
        _log.info("%s: new to this group, starts at offset %d", partition, start)
        return StartingPoint(start, committed=start, saved=start, switch_from=switch_from)
