"""The SQLite file behind the local log: its tables, and the few statements that touch them.

A record's primary key is `slot * 2**40 + offset`, where `slot` numbers the partitions of the file: reading a partition
in order is one range scan of one B-tree, and no index beside it exists.

WAL lets any number of processes read while one writes; writers wait their turn. `synchronous=NORMAL` keeps every commit
whole and in order through a crash of the process; a loss of power may take back the last commits, outputs and
offsets together.
"""

from __future__ import annotations

import os
import sqlite3
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from streamlstm.errors import FencedError, TransportError, UnreachableError
from streamlstm.types import MISSING_TIME_MS, Record, TopicPartition

__all__ = ["Database", "Retention", "Row", "StoredPartition"]

_APPLICATION_ID = 0x534C534D  # "SLSM": how `file` and this reader recognize the format
_FORMAT = 1
_SLOT = 1 << 40  # offsets a partition can hold; leaves 2**23 partitions within SQLite's 63-bit keys
_BUSY_TIMEOUT_S = 15.0  # a commit takes milliseconds: whoever holds the lock for longer is stuck
_SCHEMA = f"""
CREATE TABLE partitions (
    slot INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
    oldest INTEGER NOT NULL DEFAULT 0, end INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, partition)
);
CREATE TABLE records (
    position INTEGER PRIMARY KEY, key BLOB, value BLOB, timestamp_ms INTEGER NOT NULL, headers BLOB
);
CREATE TABLE offsets (
    group_id TEXT, topic TEXT, partition INTEGER, offset INTEGER NOT NULL, PRIMARY KEY (group_id, topic, partition)
) WITHOUT ROWID;
CREATE TABLE snapshots (key TEXT PRIMARY KEY, value BLOB NOT NULL);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_FORMAT};
"""

_encode_headers = msgspec.msgpack.Encoder().encode
_decode_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...]).decode


@dataclass(frozen=True, slots=True)
class Retention:
    """What keeps the file bounded: a partition drops its oldest records beyond either limit."""

    max_records: int | None = None
    """Records a partition."""
    max_age_s: float | None = None
    """Age by the record's time stamp, against the machine's clock."""


@dataclass(frozen=True, slots=True)
class StoredPartition:
    """One partition: the slot that it has in the file, and its bounds."""

    slot: int
    topic: str
    number: int
    oldest: int
    end: int

    @property
    def name(self) -> TopicPartition:
        """Topic and number."""
        return TopicPartition(self.topic, self.number)


@dataclass(frozen=True, slots=True)
class Row:
    """One record to append; its partition follows from the key."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp_ms: int = MISSING_TIME_MS
    headers: tuple[tuple[str, bytes], ...] = ()


class Database:
    """An open connection. May be handed from thread to thread, but is used by one at a time."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        with self._errors("open"):
            self._connection = sqlite3.connect(
                self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        try:
            self._prepare()
        except TransportError:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def transaction(self, action: str) -> Iterator[None]:
        """Run the block as one write: all of it is stored, or none.

        Raises: TransportError saying which action failed, and on which file.
        """
        with self._errors(action):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def create_topic(self, topic: str, partitions: int) -> None:
        """Create the topic if it is missing (inside a transaction)."""
        if not topic or partitions < 1:
            raise TransportError(f"expected a topic name and at least one partition, got {topic!r} and {partitions}")
        if not self.partitions(topic):
            self._connection.executemany(
                "INSERT INTO partitions (topic, partition) VALUES (?, ?)", [(topic, n) for n in range(partitions)]
            )

    def partitions(self, topic: str | None = None) -> list[StoredPartition]:
        """Return the partitions of one topic, or of all, in order."""
        with self._errors("read the topics"):
            rows = self._connection.execute(
                "SELECT slot, topic, partition, oldest, end FROM partitions WHERE ?1 IS NULL OR topic = ?1 "
                "ORDER BY topic, partition",
                (topic,),
            )
            return [StoredPartition(*row) for row in rows]

    def partition(self, name: TopicPartition) -> StoredPartition:
        """Return one partition. Raises: TransportError when it does not exist."""
        for found in self.partitions(name.topic):
            if found.name == name:
                return found
        raise TransportError(f"{self.path}: topic {name.topic!r} has no partition {name.partition}")

    def append(self, rows: Sequence[Row]) -> None:
        """Append records, each to the partition that its key hashes to (inside a transaction).

        A topic that is missing is created with one partition. A record without key goes to partition 0.
        """
        partitions: dict[str, list[StoredPartition]] = {}
        ends: dict[int, int] = {}
        now_ms = time.time_ns() // 1_000_000
        values = []
        for row in rows:
            if row.topic not in partitions:
                self.create_topic(row.topic, 1)
                partitions[row.topic] = self.partitions(row.topic)
                ends.update((found.slot, found.end) for found in partitions[row.topic])
            choices = partitions[row.topic]
            slot = choices[zlib.crc32(row.key) % len(choices) if row.key is not None else 0].slot
            timestamp_ms = now_ms if row.timestamp_ms == MISSING_TIME_MS else row.timestamp_ms
            headers = _encode_headers(row.headers) if row.headers else None
            values.append((slot * _SLOT + ends[slot], row.key, row.value, timestamp_ms, headers))
            ends[slot] += 1
        self._connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", values)
        self._connection.executemany(
            "UPDATE partitions SET end = ? WHERE slot = ?", [(end, slot) for slot, end in ends.items()]
        )

    def read(self, partition: StoredPartition, *, start: int, limit: int, end: int | None = None) -> list[Record]:
        """Return at most `limit` records from offset `start` on, before `end` where given."""
        topic, number, base = partition.topic, partition.number, partition.slot * _SLOT
        stop = base + (_SLOT if end is None else end)
        with self._errors(f"read {topic}-{number}@{start}"):
            rows = self._connection.execute(
                "SELECT position, key, value, timestamp_ms, headers FROM records "
                "WHERE position >= ? AND position < ? ORDER BY position LIMIT ?",
                (base + start, stop, limit),
            )
            return [
                Record(topic, number, at - base, key, value, time_ms, _decode_headers(packed) if packed else ())
                for at, key, value, time_ms, packed in rows
            ]

    def first_since(self, partition: StoredPartition, time_ms: int, *, start: int = 0) -> int:
        """Return the first offset, from `start` on, of a record that is of `time_ms` or later; else the end."""
        base = partition.slot * _SLOT
        with self._errors(f"find a time in {partition.topic}-{partition.number}"):
            (found,) = self._connection.execute(
                "SELECT MIN(position) FROM records WHERE position >= ? AND position < ? AND timestamp_ms >= ?",
                (base + start, base + partition.end, time_ms),
            ).fetchone()
        return partition.end if found is None else int(found) - base

    def trim(self, topic: str, retention: Retention) -> None:
        """Drop the records of a topic that are beyond its retention (inside a transaction)."""
        for partition in self.partitions(topic):
            oldest, base = partition.oldest, partition.slot * _SLOT
            if retention.max_records is not None:
                oldest = max(oldest, partition.end - retention.max_records)
            if retention.max_age_s is not None:
                limit_ms = time.time_ns() // 1_000_000 - int(retention.max_age_s * 1000)
                oldest = self.first_since(partition, limit_ms, start=oldest)
            if oldest > partition.oldest:
                self._connection.execute(
                    "DELETE FROM records WHERE position >= ? AND position < ?", (base + partition.oldest, base + oldest)
                )
                self._connection.execute("UPDATE partitions SET oldest = ? WHERE slot = ?", (oldest, partition.slot))

    def committed(self, group: str, partition: TopicPartition) -> int | None:
        """Return the committed offset of a group."""
        with self._errors("read committed offsets"):
            row = self._connection.execute(
                "SELECT offset FROM offsets WHERE group_id = ? AND topic = ? AND partition = ?",
                (group, partition.topic, partition.partition),
            ).fetchone()
        return None if row is None else int(row[0])

    def commits(self) -> list[tuple[str, TopicPartition, int]]:
        """Return every group's committed offsets: (group, partition, offset)."""
        with self._errors("read committed offsets"):
            rows = self._connection.execute("SELECT group_id, topic, partition, offset FROM offsets ORDER BY 1, 2, 3")
            return [(group, TopicPartition(topic, partition), offset) for group, topic, partition, offset in rows]

    def commit_offset(self, group: str, partition: TopicPartition, offset: int, *, after: int | None) -> None:
        """Set the committed offset of a group that has committed `after` until now (inside a transaction).

        Raises: FencedError when it has committed another.
        """
        found = self.committed(group, partition)
        if found != after:
            raise FencedError(
                f"{self.path}: {partition.topic}-{partition.partition}: expected group {group!r} to have committed "
                f"{after}, got {found}: another worker of this group has gone on, or its offsets were set"
            )
        self._connection.execute(
            "INSERT OR REPLACE INTO offsets VALUES (?, ?, ?, ?)", (group, partition.topic, partition.partition, offset)
        )

    def replace_snapshot_pairs(self, prefix: str, pairs: Sequence[tuple[str, bytes]]) -> None:
        """Replace the pairs whose keys begin with `prefix`, which ends in `/` (inside a transaction)."""
        self._connection.execute("DELETE FROM snapshots WHERE key >= ? AND key < ?", _range(prefix))
        self._connection.executemany("INSERT INTO snapshots VALUES (?, ?)", pairs)

    def snapshot_pairs(self, prefix: str) -> dict[str, bytes]:
        """Return the pairs whose keys begin with `prefix`, which ends in `/`."""
        with self._errors("read snapshots"):
            return dict(
                self._connection.execute("SELECT key, value FROM snapshots WHERE key >= ? AND key < ?", _range(prefix))
            )

    def _prepare(self) -> None:
        """Create the tables of a new file; refuse a file of another kind or version."""
        with self._errors("open"):
            self._refuse_hard_links()
            if self._identity() == (0, 0, 0):
                self._set_wal()
                with self.transaction("create the tables"):
                    if self._identity() == (0, 0, 0):  # nobody else created them meanwhile
                        for statement in _SCHEMA.split(";"):
                            self._connection.execute(statement)
            application, version, _ = self._identity()
            if application != _APPLICATION_ID:
                raise TransportError(f"{self.path}: expected a local log of streamlstm, got another SQLite database")
            if version != _FORMAT:
                raise TransportError(
                    f"{self.path}: expected local log format {_FORMAT}, got {version}; "
                    "open it with the version of streamlstm that wrote it, or choose another path"
                )
            self._connection.execute("PRAGMA synchronous = NORMAL")

    def _refuse_hard_links(self) -> None:
        """Raise TransportError where other paths lead to the file: SQLite finds its journal by the path."""
        file = Path(self.path)
        links = file.stat().st_nlink if file.exists() else 1
        if links > 1:
            raise TransportError(
                f"{self.path}: expected a file with one name, got {links} hard links to it: each would have a journal "
                "of its own, and records would be lost; remove the others (a symbolic link is well)"
            )

    def _set_wal(self) -> None:
        """Switch the file to WAL. SQLite does not wait for the lock here, so that two openers of a new file collide."""
        deadline_s = time.monotonic() + _BUSY_TIMEOUT_S
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                    raise
                time.sleep(0.01)

    def _identity(self) -> tuple[int, int, int]:
        """Return application id, format version and number of tables."""
        application, version, tables = (
            self._connection.execute(statement).fetchone()[0]
            for statement in ("PRAGMA application_id", "PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_master")
        )
        return application, version, tables

    @contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "") or type(error).__name__
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise UnreachableError(
                    f"{self.path}: could not {action}: another process has held the file for {_BUSY_TIMEOUT_S:.0f} s"
                ) from error
            if name == "SQLITE_NOTADB":
                raise TransportError(
                    f"{self.path}: expected a local log of streamlstm, got a file of another kind; choose another path"
                ) from error
            raise TransportError(f"{self.path}: could not {action}: {error} ({name})") from error


def _range(prefix: str) -> tuple[str, str]:
    """Return the bounds of the keys that begin with `prefix`: `0` is the character after `/`."""
    return prefix, prefix[:-1] + "0"
