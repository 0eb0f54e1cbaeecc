"""A log, a store and a processor in memory, which do what a script says: fail, die, hand partitions over."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from streamlstm.errors import FencedError, UnreachableError
from streamlstm.ports import AssignmentListener, Processed, Snapshot
from streamlstm.types import Output, Record, TopicPartition

STUCK = 400
"""Polls after which a worker that has not come to the end is stuck: scripts have a dozen."""


class Died(BaseException):
    """Ends the process; a worker may clean up after it, as after a MemoryError."""


class Step(NamedTuple):
    """What one poll does: to whom, and how many records at most."""

    kind: str
    partitions: frozenset[int] = frozenset()
    count: int = 0


@dataclass
class Fates:
    """What becomes of the calls of each kind, in their order; all is well after the last one."""

    poll: Iterator[Step]
    commit: Iterator[str]
    save: Iterator[str]
    load: Iterator[str]
    process: Iterator[str]

    def meet(self, kind: str) -> str:
        return next(getattr(self, kind), "well")


@dataclass
class Log:
    """What outlives a worker: records, offsets, outputs, snapshots and the newest model."""

    records: dict[TopicPartition, list[Record]]
    fates: Fates
    newest_model: int = 1
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    snapshots: dict[TopicPartition, Snapshot] = field(default_factory=dict)
    commits: list[dict[TopicPartition, int]] = field(default_factory=list)
    published: dict[bytes, bytes] = field(default_factory=dict)
    switched: dict[TopicPartition, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    calls: list[str] = field(default_factory=list)
    """What transports and stores were asked for, in order: `poll`, `seek in-0@5`."""

    oldest: int = 0
    """Records before it are past retention."""

    def note(self, call: str, partition: TopicPartition | None = None, offset: int | None = None) -> None:
        whose = "" if partition is None else f" {partition.topic}-{partition.partition}"
        self.calls.append(call + whose + ("" if offset is None else f"@{offset}"))

    def end(self, name: TopicPartition) -> int:
        return self.records[name][-1].offset + 1 if self.records[name] else 0


class State(msgspec.Struct):
    """A running hash, how many records it has seen, and the model."""

    digest: str = ""
    seen: int = 0
    model: int = 1


class HashProcessor:
    """Hashes records into each other: one that is skipped, repeated or out of order changes every output after it."""

    def __init__(
        self, newest_model: Callable[[], int] = lambda: 1, fates: Fates | None = None, *, topic: str = "out"
    ) -> None:
        self._topic = topic
        self._newest_model = newest_model
        self._fates = fates
        self.state = State(model=newest_model())

    def process(self, records: Sequence[Record]) -> Processed:
        fate = "well" if self._fates is None else self._fates.meet("process")
        outputs, must_commit = [], False
        for index, record in enumerate(records):
            if fate == "dies half-way" and 2 * index >= len(records):
                raise Died
            state = self.state
            state.digest = hashlib.sha256(
                state.digest.encode() + bytes([state.model]) + (record.value or b"")
            ).hexdigest()
            state.seen += 1
            must_commit |= state.digest[0] in "01"
            if state.digest[0] not in "ef":  # some records have no output
                position = f"{record.topic}-{record.partition}@{record.offset}"
                outputs.append(Output(self._topic, position.encode(), f"{state.digest} {state.model}".encode()))
        return Processed(outputs, must_commit)

    @property
    def is_outdated(self) -> bool:
        return self.state.model < self._newest_model()

    def switch_models(self) -> Sequence[str]:
        self.state.model = self._newest_model()
        return [f"model {self.state.model}"]

    def export_state(self) -> bytes:
        return msgspec.json.encode(self.state)

    def import_state(self, payload: bytes) -> None:
        self.state = msgspec.json.decode(payload, type=State)


class ScriptedTransport:
    """Carries out a step a poll; when the script is over, all partitions are assigned and everything is read."""

    def __init__(self, log: Log, *, held: Collection[TopicPartition] = ()) -> None:
        self._log = log
        self._listener: AssignmentListener | None = None
        self._held = set(held)
        self._positions: dict[TopicPartition, int] = {}
        self._polls = 0

    def open(self, listener: AssignmentListener) -> None:
        self._log.note("open")
        self._listener = listener

    def poll(self, *, max_records: int, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        self._log.note("poll")
        self._polls += 1
        assert self._polls < STUCK, "the worker is stuck"
        step = next(self._log.fates.poll, Step("read", frozenset(range(len(self._log.records))), 10_000))
        named = {name for name in self._log.records if name.partition in step.partitions}
        assert self._listener is not None
        match step.kind:
            case "publish a model":
                self._log.newest_model += 1
            case "revoke":
                self._give_up(named, self._listener.on_revoked)
            case "lose":
                self._give_up(named, self._listener.on_lost)
            case "die":
                raise Died
        if step.kind in ("read", "fail"):
            self._assign(named - self._held)
        batch = {name: self._read(name, step.count) for name in sorted(named & self._held)}
        if step.kind == "fail":
            raise UnreachableError("the records were read, and did not arrive")
        return {name: records for name, records in batch.items() if records}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        assert partition in self._held
        self._log.note("seek", partition, offset)
        self._positions[partition] = offset

    def committed(self, partition: TopicPartition) -> int | None:
        self._log.note("committed", partition)
        return self._log.committed.get(partition)

    def start_offset(self, partition: TopicPartition) -> int:
        return 0

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        return self._log.oldest, self._log.end(partition)

    def commit(self, outputs: Sequence[Output], offsets: Mapping[TopicPartition, int]) -> None:
        fate = self._log.fates.meet("commit")
        self._log.commits.append(dict(offsets))
        for name, offset in sorted(offsets.items()):
            self._log.note("commit", name, offset)
        assert offsets.keys() <= self._held
        self._raise_if(fate, "before")
        for output in outputs:
            assert output.key is not None and output.value is not None
            assert self._log.published.setdefault(output.key, output.value) == output.value, "a repeat differs"
        self._raise_if(fate, "between")
        for name, offset in offsets.items():
            # They never fall, but to the end of a log that was cut short.
            assert offset >= min(self._log.committed.get(name, 0), self._log.end(name))
            self._log.committed[name] = offset
        self._raise_if(fate, "after")

    def close(self) -> None:
        self._log.note("close")
        assert self._listener is not None
        self._give_up(set(self._held), self._listener.on_revoked)

    def _raise_if(self, fate: str, moment: str) -> None:
        if fate == f"dies {moment}":
            raise Died
        if fate == f"fails {moment}":
            raise UnreachableError(fate)
        if fate == f"fenced {moment}":
            raise FencedError(fate)

    def _assign(self, new: set[TopicPartition]) -> None:
        if new and self._listener is not None:
            self._held |= new
            self._listener.on_assigned(sorted(new))

    def _give_up(self, named: set[TopicPartition], tell: Callable[[Sequence[TopicPartition]], None]) -> None:
        going = sorted(named & self._held)
        try:
            if going:
                tell(going)
        finally:
            self._held -= set(going)
            for name in going:
                self._positions.pop(name, None)

    def _read(self, name: TopicPartition, count: int) -> list[Record]:
        if name not in self._positions:
            return []
        records = [record for record in self._log.records[name] if record.offset >= self._positions[name]][:count]
        if records:
            self._positions[name] = records[-1].offset + 1
        return records


class ScriptedStore:
    """Keeps the newest snapshot of each partition, and checks that it has seen what its offset says."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def save(self, partition: TopicPartition, snapshot: Snapshot) -> None:
        fate = self._log.fates.meet("save")
        self._raise_if(fate, "before")
        state = msgspec.json.decode(snapshot.payload, type=State)
        assert state.seen == sum(record.offset < snapshot.offset for record in self._log.records[partition])
        assert snapshot.offset <= self._log.committed.get(partition, 0), "S <= C"
        self._log.note("save", partition, snapshot.offset)
        self._log.snapshots[partition] = snapshot
        self._log.switched[partition].setdefault(state.model, snapshot.offset)
        self._raise_if(fate, "after")

    def load(self, partition: TopicPartition) -> Snapshot | None:
        self._raise_if(self._log.fates.meet("load"), "before")
        return self._log.snapshots.get(partition)

    def close(self) -> None:
        self._log.note("close the store")

    def _raise_if(self, fate: str, moment: str) -> None:
        if fate == f"dies {moment}":
            raise Died
        if fate == f"fails {moment}":
            raise UnreachableError(fate)
