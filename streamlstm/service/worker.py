"""The worker: records in, scores and alerts out, until it is told to stop. `commit_protocol` says how it is safe."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from streamlstm.errors import FencedError, StreamLstmError, TransportError
from streamlstm.ports import ProcessorFactory, SnapshotStore, Transport
from streamlstm.service.commit_protocol import CommitProtocol
from streamlstm.service.model_reload import ModelReloader
from streamlstm.service.partition import Partition, Phase
from streamlstm.types import Record, TopicPartition

__all__ = ["Worker", "WorkerOptions"]

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0

_BUFFERED_OUTPUTS = 50_000
"""About 20 MB of score records: commit rather than hold more."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Intervals in ms of the machine's clock; these change nothing that is published."""

    commit_interval_ms: int = 100
    snapshot_interval_ms: int = 30_000
    poll_records: int = 5000
    """Ten times kafka-python's default: fewer, larger polls carry 1.2-1.3 times the records a second."""
    may_start_cold: bool = False
    """Whether a state that is damaged is left behind. Then outputs differ from those of an unbroken run."""


class Worker:
    """Runs the partitions that the transport assigns to it. One thread."""

    def __init__(
        self,
        transport: Transport,
        snapshots: SnapshotStore,
        make_processor: ProcessorFactory,
        options: WorkerOptions | None = None,
        models: ModelReloader | None = None,
    ) -> None:
        self._transport = transport
        self._snapshots = snapshots
        self._make_processor = make_processor
        self._options = options or WorkerOptions()
        self._models = models
        self._protocol = CommitProtocol(transport, snapshots, may_start_cold=self._options.may_start_cold)
        self._partitions: dict[TopicPartition, Partition] = {}
        self._is_fenced = self._is_position_unknown = False
        self._committed_at = self._saved_at = 0.0

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Consume until `should_stop`; then finish the batch, commit, save the state and leave the group.

        A transport that fails for a while is waited for. Whatever else is raised ends the worker: it commits nothing
        more, saves nothing more, leaves the group, and the next owner repeats what was not committed.
        """
        try:
            self._transport.open(self)
            self._committed_at = self._saved_at = time.monotonic()
            self._consume(should_stop)
        except BaseException:
            self._close_dirty()
            try:
                self._leave()
            except StreamLstmError as error:
                _log.warning("%s; this happened while closing after the error that follows", error)
            raise
        self._leave()

    def lag(self) -> Mapping[TopicPartition, int]:
        """Return how many records each partition is behind the end of its log."""
        live = [partition for partition in list(self._partitions.values()) if partition.is_live]
        return {p.name: self._transport.bounds(p.name)[1] - p.processed for p in live}

    def _consume(self, should_stop: Callable[[], bool]) -> None:
        pause_s = _FIRST_PAUSE_S
        while not should_stop():
            try:
                self._round()
                pause_s = _FIRST_PAUSE_S
            except FencedError as error:
                _log.warning("%s; starting again from the last commit", error)
                self._close_dirty()
                self._is_fenced = True
            except TransportError as error:
                if not error.retriable:
                    raise
                _log.warning("%s; trying again in %.1f s", error, pause_s)
                self._is_position_unknown = True
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _round(self) -> None:
        """Poll, dispatch, commit; before that, what an earlier round could not do and what is due between batches."""
        options = self._options
        self._seek_again()
        if not self._is_fenced:
            self._restore()
        self._switch_models()
        is_waiting = any(partition.is_uncommitted for partition in self._partitions.values())
        wait_ms = options.commit_interval_ms if is_waiting else 10 * options.commit_interval_ms
        batch = self._transport.poll(max_records=options.poll_records, timeout_ms=min(wait_ms, 500))
        self._is_fenced = False  # what is still ours has been told by now
        must_commit = self._process(batch)
        now = time.monotonic()
        waiting = [partition for partition in self._partitions.values() if partition.is_uncommitted]
        is_full = sum(len(partition.outputs) for partition in waiting) >= _BUFFERED_OUTPUTS
        if must_commit or is_full or (now - self._committed_at) * 1000 >= options.commit_interval_ms:
            self._commit()
            waiting = []
        if (now - self._saved_at) * 1000 >= options.snapshot_interval_ms and not waiting:
            self._protocol.save(self._partitions.values())
            self._saved_at = time.monotonic()

    def _process(self, batch: Mapping[TopicPartition, Sequence[Record]]) -> bool:
        """Hand records to their partitions; return whether outputs must be committed at once."""
        must_commit = False
        for name, records in batch.items():
            partition = self._partitions.setdefault(name, Partition(name))
            if partition.is_live:  # else it is restored in the next round, and reads them again
                must_commit |= partition.process(records)
        return must_commit

    def _commit(self) -> None:
        if any(partition.is_uncommitted for partition in self._partitions.values()):
            self._protocol.commit(self._partitions.values())
            self._committed_at = time.monotonic()

    def _seek_again(self) -> None:
        """After a round that failed, records may have been read and not processed: read on from what was processed."""
        if self._is_position_unknown:
            for partition in self._partitions.values():
                if partition.is_live:
                    self._transport.seek(partition.name, partition.processed)
            self._is_position_unknown = False

    def _restore(self) -> None:
        """Restore each partition that is new, or that had to be closed and is still ours (steps 4 to 6)."""
        missing = [name for name, partition in self._partitions.items() if not partition.is_live]
        if missing and self._models is not None:
            self._models.reload()  # the last owner may have seen newer models
        for name in missing:
            if self._partitions[name].phase is Phase.CLOSED:
                self._partitions[name] = Partition(name)
            self._protocol.restore(self._partitions[name], partial(self._make_processor, name))

    def _switch_models(self) -> None:
        """Take up models that were published; let partitions that are ready for it switch to them (steps 7 to 9)."""
        if self._models is not None:
            self._models.poll()
        due = [partition for partition in self._partitions.values() if partition.wants_new_models]
        if due:
            self._commit()
        for partition in due:
            for change in self._protocol.switch_models(partition):
                _log.info("%s@%d: %s", partition, partition.processed, change)

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Take partitions over (steps 4 to 6). Those that cannot be restored now are restored before the next poll."""
        self._is_fenced = False
        self.on_lost(partitions)
        self._partitions.update({name: Partition(name) for name in partitions})
        self._restore()

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Hand partitions over: commit what is done, save their state, let go. Closed ones are only let go."""
        leaving = [self._partitions[name] for name in partitions if name in self._partitions]
        try:
            self._protocol.commit(self._partitions.values())
            self._protocol.save(leaving)
            for partition in leaving:
                if partition.phase is not Phase.CLOSED:
                    partition.close_clean()
        except TransportError as error:
            _log.warning("%s; what was not committed will be processed again", error)
        finally:
            self.on_lost(partitions)

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Let go of partitions without committing."""
        for name in partitions:
            partition = self._partitions.pop(name, None)
            if partition is not None:
                partition.close_dirty()

    def _close_dirty(self) -> None:
        for partition in self._partitions.values():
            partition.close_dirty()

    def _leave(self) -> None:
        """Leave the group, which calls `on_revoked`, and release everything."""
        try:
            self._transport.close()
        finally:
            self._snapshots.close()
