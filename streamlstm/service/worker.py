"""The worker: records in, scores and alerts out, until it is told to stop. `checkpoint` says what makes it safe."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from streamlstm.errors import FencedError, SnapshotError, TransportError
from streamlstm.ports import SnapshotStore, Transport
from streamlstm.service.checkpoint import Checkpoint, PartitionProcessor, ProcessorFactory
from streamlstm.service.model_watch import ModelWatch
from streamlstm.types import Record, TopicPartition

__all__ = ["Worker", "WorkerOptions"]

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Intervals in ms of the machine's clock; none of them changes what is published."""

    commit_interval_ms: int = 100
    snapshot_interval_ms: int = 30_000
    poll_records: int = 5000
    """Ten times kafka-python's default: fewer, larger polls carry 1.2-1.3 times the records a second."""


class Worker:
    """Runs the partitions that the transport assigns to it. One thread."""

    def __init__(
        self,
        transport: Transport,
        snapshots: SnapshotStore,
        make_processor: ProcessorFactory,
        options: WorkerOptions | None = None,
        models: ModelWatch | None = None,
    ) -> None:
        self._transport = transport
        self._snapshots = snapshots
        self._make_processor = make_processor
        self._options = options or WorkerOptions()
        self._models = models
        self._checkpoint = Checkpoint(transport, snapshots)
        self._processors: dict[TopicPartition, PartitionProcessor] = {}
        self._publish_from: dict[TopicPartition, int] = {}
        self._renew_from: dict[TopicPartition, int] = {}
        self._next_offset: dict[TopicPartition, int] = {}
        self._unsettled: set[TopicPartition] = set()
        self._committed_at = self._saved_at = 0.0

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Consume until `should_stop`; then finish the batch, commit, save the state and leave the group.

        A transport that fails for a while is waited for; what cannot be mended by waiting is raised.
        """
        pause_s = _FIRST_PAUSE_S
        self._transport.open(self)
        self._committed_at = self._saved_at = time.monotonic()
        try:
            while not should_stop():
                try:
                    self._round()
                    pause_s = _FIRST_PAUSE_S
                except FencedError as error:
                    _log.warning("%s; starting again from the last commit", error)
                    self.on_lost(list(self._processors))
                except TransportError as error:
                    if not error.retriable:
                        raise
                    _log.warning("%s; trying again in %.1f s", error, pause_s)
                    time.sleep(pause_s)
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        finally:
            self._transport.close()  # calls on_revoked, which commits and saves
            self._snapshots.close()

    def lag(self) -> Mapping[TopicPartition, int]:
        """Return how many records each partition is behind the end of its log."""
        return {p: self._transport.bounds(p)[1] - offset for p, offset in self._next_offset.items()}

    def _round(self) -> None:
        options = self._options
        for partition in list(self._unsettled):
            self.on_assigned([partition])
            self._unsettled.discard(partition)
        self._switch_models()
        wait_ms = options.commit_interval_ms if self._checkpoint.is_pending else 10 * options.commit_interval_ms
        batch = self._transport.poll(max_records=options.poll_records, timeout_ms=min(wait_ms, 500))
        opened_alert = False
        for partition, records in batch.items():
            opened_alert |= self._process(partition, records)
        now = time.monotonic()
        is_due = (now - self._committed_at) * 1000 >= options.commit_interval_ms
        if self._checkpoint.is_pending and (opened_alert or is_due or self._checkpoint.is_full):
            self._checkpoint.commit()
            self._committed_at = time.monotonic()
        if (now - self._saved_at) * 1000 >= options.snapshot_interval_ms and not self._checkpoint.is_pending:
            self._checkpoint.save(self._processors)
            self._saved_at = time.monotonic()

    def _switch_models(self) -> None:
        """Take up models that were published; let partitions that are ready for it go over to them (steps 7 to 9)."""
        if self._models is not None:
            self._models.look()
        due = [
            partition
            for partition, processor in self._processors.items()
            if processor.is_outdated and self._next_offset[partition] >= self._renew_from[partition]
        ]
        if not due:
            return
        self._checkpoint.commit()
        self._committed_at = time.monotonic()
        for partition in due:
            offset = self._next_offset[partition]
            try:
                changes = self._checkpoint.renew(partition, self._processors[partition], offset=offset)
            except TransportError:
                self.on_lost([partition])
                self._unsettled.add(partition)  # its recovery finds out whether the snapshot is there
                raise
            for change in changes:
                _log.info("%s-%d@%d: %s", partition.topic, partition.partition, offset, change)

    def _process(self, partition: TopicPartition, records: Sequence[Record]) -> bool:
        """Advance one partition; say whether an alert opened that must not wait."""
        if not records:
            return False
        if partition not in self._processors:  # given up after a failed commit, and still ours: start from its state
            self.on_assigned([partition])
            return False
        processor, publish_from = self._processors[partition], self._publish_from[partition]
        replayed = sum(1 for record in records if record.offset < publish_from)
        if replayed:
            processor.process(records[:replayed])  # step 5: its outputs are out already
        fresh = records[replayed:]
        self._next_offset[partition] = records[-1].offset + 1
        if not fresh:
            return False
        outputs = processor.process(fresh)
        self._checkpoint.add(partition, outputs, next_offset=fresh[-1].offset + 1)
        return processor.opened_alert

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Recover each partition (steps 4 to 6)."""
        if self._models is not None:
            self._models.look_now()  # the last owner may know newer models
        for partition in partitions:
            processor = self._make_processor(partition)
            try:
                recovery = self._checkpoint.recover(partition, processor)
            except SnapshotError as error:
                raise SnapshotError(
                    f"{partition.topic}-{partition.partition}: the state cannot be restored: {error}; "
                    "or delete the snapshot to let its streams warm up again"
                ) from error
            self._processors[partition] = processor
            self._publish_from[partition] = recovery.publish_from
            self._renew_from[partition] = recovery.renew_from
            self._next_offset[partition] = recovery.snapshot_offset

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Hand partitions over: commit what is done, save their state, let go."""
        try:
            self._checkpoint.commit()
            self._checkpoint.save({p: self._processors[p] for p in partitions if p in self._processors})
        except TransportError as error:  # the next owner repeats the uncommitted part, with equal outputs
            _log.warning("%s; what was not committed will be processed again", error)
        self.on_lost(partitions)

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Let go of partitions without committing."""
        self._checkpoint.drop(partitions)
        for partition in partitions:
            self._processors.pop(partition, None)
            self._publish_from.pop(partition, None)
            self._renew_from.pop(partition, None)
            self._next_offset.pop(partition, None)
            self._unsettled.discard(partition)
