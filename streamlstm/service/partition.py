"""One assigned partition of the input: what computes its outputs, and the offsets at which it stands.

Its life:

                 restore                   all up to C replayed
    CREATED ----------------> RESTORING -----------------------> RUNNING
       |                          |                                 |
       +--------------------------+---------------------------------+-----> CLOSED

CREATED    It was assigned, and nothing is known about it yet.
RESTORING  The records from the snapshot's offset S to the group's committed offset C are processed again; nothing of it
           is published.
RUNNING    Records are processed, and their outputs wait to be committed.
CLOSED     It does nothing any more. A *clean* close wants every output committed. A *dirty* one gives up what was not:
           whoever restores the partition next repeats it. A step that raises half-way closes the partition dirty, for
           its state may have seen records that no offset accounts for.

No other transition is allowed, and no step is carried out in a phase that it does not belong to.

One comparison says whether the state may be saved: `processed == committed`. A partition that is restoring has
processed less than was committed, one with outputs that wait has processed more, and one that was stopped half-way is
closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from streamlstm.errors import ProtocolError
from streamlstm.ports import PartitionProcessor, Snapshot
from streamlstm.types import Output, Record, TopicPartition

__all__ = ["Partition", "Phase", "StartingPoint"]


class Phase(Enum):
    """Where a partition is in its life."""

    CREATED = "created"
    RESTORING = "restoring"
    RUNNING = "running"
    CLOSED = "closed"


_ALLOWED = {
    Phase.CREATED: {Phase.RESTORING, Phase.CLOSED},
    Phase.RESTORING: {Phase.RUNNING, Phase.CLOSED},
    Phase.RUNNING: {Phase.CLOSED},
    Phase.CLOSED: set[Phase](),
}


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """Where a partition begins: its state is that before `offset`; the group has committed `committed`.

    `saved` is the offset of the newest snapshot that can be used, None where there is none. Before `switch_from` the
    models stay as they are (step 7 of the protocol).
    """

    offset: int
    committed: int
    saved: int | None
    switch_from: int


class Partition:
    """The processor of one partition, its offsets and the outputs that wait to be committed.

    Offsets: `processed` is that after the last record processed, `committed` that of the group, both as Kafka counts:
    the next record to read.
    """

    def __init__(self, name: TopicPartition) -> None:
        self.name = name
        self.phase = Phase.CREATED
        self.processed = self.committed = 0
        self.outputs: list[Output] = []
        self._processor: PartitionProcessor | None = None
        self._saved: int | None = None
        self._publish_from = self._switch_from = 0

    def __str__(self) -> str:
        return f"{self.name.topic}-{self.name.partition}"

    @property
    def is_live(self) -> bool:
        """Whether it takes records."""
        return self.phase in (Phase.RESTORING, Phase.RUNNING)

    @property
    def is_uncommitted(self) -> bool:
        """Whether something waits to be committed."""
        return self.phase is Phase.RUNNING and self.processed > self.committed

    @property
    def is_unsaved(self) -> bool:
        """Whether its state belongs to the committed offset, and no snapshot has that offset yet."""
        return self.phase is Phase.RUNNING and self.processed == self.committed != self._saved

    @property
    def wants_new_models(self) -> bool:
        """Whether it has other models to switch to, and has processed what it must process under the old ones."""
        is_ready = self.phase is Phase.RUNNING and self.processed >= self._switch_from
        return is_ready and self._running.is_outdated

    def restore(self, processor: PartitionProcessor, start: StartingPoint) -> None:
        """Begin with a processor whose state is that of `start` (steps 4 and 5)."""
        self._enter(Phase.RESTORING)
        self._processor = processor
        self.processed, self.committed = start.offset, start.committed
        self._saved, self._switch_from = start.saved, start.switch_from
        self._publish_from = max(start.committed, start.offset)
        if self.processed == self._publish_from:
            self._enter(Phase.RUNNING)

    def process(self, records: Sequence[Record]) -> bool:
        """Advance by records (steps 1 and 5); return whether their outputs must be committed at once.

        Raises: ProtocolError when offsets do not rise.
        """
        self._expect(Phase.RESTORING, Phase.RUNNING, step="process records")
        self._check_order(records)
        replayed = 0
        if self.phase is Phase.RESTORING:
            replayed = sum(record.offset < self._publish_from for record in records)
            self._replay(records[:replayed], has_more=replayed < len(records))
        if replayed == len(records):
            return False
        fresh = records[replayed:]
        with self._whole_or_closed():
            processed = self._running.process(fresh)
            self.outputs.extend(processed.outputs)
            self.processed = fresh[-1].offset + 1
        return processed.must_commit

    def note_commit(self) -> None:
        """Take what was processed as committed (after step 2)."""
        self._expect(Phase.RUNNING, step="commit")
        self.committed = self.processed
        self.outputs = []

    def snapshot(self) -> Snapshot:
        """Return its state with the offset that it belongs to (step 3).

        Raises: ProtocolError unless that offset is committed.
        """
        self._expect(Phase.RUNNING, step="save its state")
        if self.processed != self.committed:
            raise ProtocolError(
                f"{self}: expected a state whose offset is committed, got the state of offset {self.processed} where "
                f"{self.committed} is committed; commit first"
            )
        return Snapshot(self.processed, self._running.export_state())

    def note_snapshot(self) -> None:
        """Take the state as saved (after step 3)."""
        self._expect(Phase.RUNNING, step="save its state")
        self._saved = self.processed

    def switch_models(self) -> Sequence[str]:
        """Switch to the new models (step 8); return a sentence for each that changed."""
        self._expect(Phase.RUNNING, step="switch models")
        if self.processed != self.committed or self.processed < self._switch_from:
            raise ProtocolError(
                f"{self}: expected to switch models at a committed offset from {self._switch_from} on, got "
                f"{self.processed} where {self.committed} is committed"
            )
        with self._whole_or_closed():
            return self._running.switch_models()

    def close_clean(self) -> None:
        """Close it with everything committed. Raises: ProtocolError when something is not."""
        if self.is_uncommitted:
            raise ProtocolError(
                f"{self}: expected everything to be committed before a clean close, got outputs up to offset "
                f"{self.processed} where {self.committed} is committed; commit first, or close it dirty"
            )
        self._close()

    def close_dirty(self) -> None:
        """Close it, whatever it was about, and give up what was not committed. May be called again."""
        if self.phase is not Phase.CLOSED:
            self._close()

    def _replay(self, records: Sequence[Record], *, has_more: bool) -> None:
        """Process records whose outputs are out already (step 5)."""
        if records:
            with self._whole_or_closed():
                self._running.process(records)
                self.processed = records[-1].offset + 1
        if has_more or self.processed == self._publish_from:
            self._enter(Phase.RUNNING)

    def _check_order(self, records: Sequence[Record]) -> None:
        offsets = [self.processed - 1, *(record.offset for record in records)]
        for before, offset in pairwise(offsets):
            if offset <= before:
                raise ProtocolError(
                    f"{self}: expected a record at offset {before + 1} or later, got offset {offset}: was the topic "
                    "deleted and created again? To start with the topic as it is now, choose another app id or delete "
                    "the group's offsets"
                )

    @property
    def _running(self) -> PartitionProcessor:
        assert self._processor is not None, "only a live partition is asked for it"
        return self._processor

    @contextmanager
    def _whole_or_closed(self) -> Iterator[None]:
        """Close the partition dirty when the block is not carried out to its end, whatever ends it."""
        try:
            yield
        except BaseException:
            self.close_dirty()
            raise

    def _expect(self, *phases: Phase, step: str) -> None:
        if self.phase not in phases:
            expected = " or ".join(phase.value for phase in phases)
            raise ProtocolError(f"{self}: to {step} it must be {expected}, and it is {self.phase.value}")

    def _enter(self, phase: Phase) -> None:
        if phase not in _ALLOWED[self.phase]:
            raise ProtocolError(f"{self}: a partition that is {self.phase.value} cannot become {phase.value}")
        self.phase = phase

    def _close(self) -> None:
        self._enter(Phase.CLOSED)
        self._processor = None
        self.outputs = []
