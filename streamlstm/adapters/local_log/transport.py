"""The worker's side of the local log: one member a group, outputs and offsets in one transaction."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from streamlstm.adapters.findings import described
from streamlstm.adapters.local_log.database import Database, Retention, Row, StoredPartition
from streamlstm.errors import FencedError, TransportError
from streamlstm.ports import AssignmentListener, CheckResult
from streamlstm.types import Output, Record, TopicPartition

__all__ = ["LocalTransport", "check"]

_log = logging.getLogger(__name__)

_IDLE_WAIT_S = 0.01  # how often an idle poll reads: 5 ms of latency on average, under 1 % of a core
_TRIM_EVERY_S = 5.0


class LocalTransport:
    """Read the topics that match `topics` (names or patterns with `*`), publish and commit to the same file.

    Delivery: exactly once within the file: a commit's outputs and offsets are one transaction.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        group: str,
        topics: Sequence[str],
        start: Literal["earliest", "latest"] = "earliest",
        output_topics: Sequence[str] = (),
        retention: Retention | None = None,
    ) -> None:
        self._path = os.fspath(path)
        self._group = group
        self._patterns = tuple(topics)
        self._start = start
        self._output_topics = tuple(output_topics)
        self._retention = retention
        self._opened: tuple[Database, AssignmentListener, int] | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._starts: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int | None] = {}
        self._reads = 0
        self._trimmed_at_s = 0.0

    def open(self, listener: AssignmentListener) -> None:
        """Open or create the file and become the group's one member.

        Raises: FencedError when another process runs this group on this file; TransportError when the file is foreign.
        """
        if self._opened is not None:
            raise TransportError(f"{self._path}: this transport is already open")
        lock = self._lock()
        with ExitStack() as undo:
            undo.callback(os.close, lock)
            database = undo.enter_context(closing(Database(self._path)))
            if self._output_topics:
                with database.transaction("create the output topics"):
                    for topic in self._output_topics:
                        database.create_topic(topic, 1)
            undo.pop_all()
        self._opened = (database, listener, lock)

    def poll(self, *, max_records: int, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return the next records by partition, in offset order; empty after `timeout_ms`."""
        deadline_s = time.monotonic() + timeout_ms / 1000
        while True:
            self._trim()
            records = self._read(self._assign(), max_records)
            if records:
                return records
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return {}
            time.sleep(min(left_s, _IDLE_WAIT_S))

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset`."""
        self._positions[partition] = offset

    def committed(self, partition: TopicPartition) -> int | None:
        """Return the committed offset of the group; None when it has none."""
        self._committed[partition] = self._database.committed(self._group, partition)
        return self._committed[partition]

    def start_offset(self, partition: TopicPartition) -> int:
        """Return where a group without a committed offset begins; the same answer as long as the partition is held."""
        if partition not in self._starts:
            oldest, end = self.bounds(partition)
            self._starts[partition] = oldest if self._start == "earliest" else end
        return self._starts[partition]

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Return the oldest offset still held and the end offset."""
        stored = self._database.partition(partition)
        return stored.oldest, stored.end

    def commit(self, outputs: Sequence[Output], offsets: Mapping[TopicPartition, int]) -> None:
        """Publish outputs and commit offsets in one transaction: all or nothing.

        Raises: FencedError when the group has committed other offsets than this transport has read and committed.
        """
        database = self._database
        topics = ", ".join(sorted({output.topic for output in outputs})) or "no output"
        with database.transaction(f"commit offsets of group {self._group!r} with output to {topics}"):
            database.append([Row(out.topic, out.key, out.value, headers=out.headers) for out in outputs])
            for partition, offset in offsets.items():
                database.commit_offset(self._group, partition, offset, after=self._committed.get(partition))
        self._committed.update(offsets)

    def close(self) -> None:
        """Hand the partitions back, then release the file and the group."""
        if self._opened is None:
            return
        database, listener, lock = self._opened
        try:
            held = sorted(self._positions)
            if held:
                listener.on_revoked(held)
        finally:
            self._positions.clear()
            self._starts.clear()
            self._committed.clear()
            self._opened = None
            database.close()
            os.close(lock)

    @property
    def _database(self) -> Database:
        if self._opened is None:
            raise TransportError(f"{self._path}: the transport is not open; call open() first")
        return self._opened[0]

    def _lock(self) -> int:
        """Take the group's lock file, which the kernel frees when the process ends, however it ends.

        It stands beside the file itself, so that a link to the file leads to the same lock. Where somebody removed it
        while it was held, the second worker to commit is fenced.
        """
        name = f"{os.path.realpath(self._path)}.{quote(self._group, safe='')}.lock"
        try:
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise TransportError(f"{self._path}: cannot create {name}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise FencedError(
                f"{self._path}: group {self._group!r} is already run by process {holder}; "
                "one worker for each group and file: stop that one, or give this one another app.id"
            ) from error
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(descriptor)
            raise TransportError(f"{self._path}: cannot write {name}: {error.strerror}") from error
        return descriptor

    def _assign(self) -> list[StoredPartition]:
        """Find the partitions that match, assign new ones to the listener, and give each a position."""
        database = self._database
        matching = [
            stored
            for stored in database.partitions()
            # A pattern never matches what this worker writes itself: it would feed on its own output.
            if stored.topic not in self._output_topics and any(fnmatchcase(stored.topic, p) for p in self._patterns)
        ]
        new = [stored.name for stored in matching if stored.name not in self._positions]
        if new and self._opened is not None:
            self._opened[1].on_assigned(new)
            for partition in new:
                if partition not in self._positions:
                    committed = self.committed(partition)
                    self._positions[partition] = self.start_offset(partition) if committed is None else committed
        return matching

    def _read(self, partitions: Sequence[StoredPartition], max_records: int) -> dict[TopicPartition, list[Record]]:
        """Read from every partition that has records, sharing `max_records` evenly; the first changes every time."""
        waiting = []
        for stored in partitions:
            start = self._positions[stored.name]
            if start < stored.oldest:
                start = self._positions[stored.name] = self._after_retention(stored, start)
            if start < stored.end:
                waiting.append((stored, start))
        self._reads += 1
        first = self._reads % max(1, len(waiting))
        records: dict[TopicPartition, list[Record]] = {}
        left = max_records
        for rank, (stored, start) in enumerate(waiting[first:] + waiting[:first]):
            share = -(-left // (len(waiting) - rank))
            found = self._database.read(stored, start=start, limit=share) if share else []
            if found:
                records[stored.name] = found
                left -= len(found)
                self._positions[stored.name] = found[-1].offset + 1
        return records

    def _after_retention(self, stored: StoredPartition, start: int) -> int:
        offset = stored.oldest if self._start == "earliest" else stored.end
        _log.warning(
            "%s-%d@%d is older than what the log still holds (%d to %d); continuing from %d (start: %s)",
            *(stored.topic, stored.number, start, stored.oldest, stored.end, offset, self._start),
        )
        return offset

    def _trim(self) -> None:
        """Apply the retention to every topic, not more often than every few seconds."""
        now_s = time.monotonic()
        if self._retention is None or now_s - self._trimmed_at_s < _TRIM_EVERY_S:
            return
        self._trimmed_at_s = now_s
        with self._database.transaction("drop records beyond the retention"):
            for topic in {stored.topic for stored in self._database.partitions()}:
                self._database.trim(topic, self._retention)


def check(
    path: str | os.PathLike[str], *, topics: Sequence[str], output_topics: Sequence[str] = ()
) -> list[CheckResult]:
    """Check the file and its topics without starting a worker; a file that is missing is not created."""
    subject = f"local log {os.fspath(path)}"
    if not Path(path).exists():
        folder = Path(path).absolute().parent
        is_good = os.access(folder, os.W_OK)
        detail = "will be created" if is_good else f"cannot be created: {folder} is missing or not writable"
        return [CheckResult(subject, is_good, detail)]
    try:
        with closing(Database(path)) as database:
            counts = Counter(partition.topic for partition in database.partitions())
    except TransportError as error:
        return [CheckResult(subject, False, str(error))]
    findings = [CheckResult(subject, os.access(path, os.W_OK), "opened, and its format is right")]
    for pattern in topics:
        found = [described(topic, count) for topic, count in counts.items() if fnmatchcase(topic, pattern)]
        detail = ", ".join(found) or "no topic yet; it will be read as soon as it is written to"
        findings.append(CheckResult(f"input {pattern}", True, detail))
    for topic in output_topics:
        findings.append(CheckResult(f"output {topic}", True, "exists" if topic in counts else "will be created"))
    return findings
