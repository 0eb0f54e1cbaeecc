"""Writing and reading topics of the local log outside any group. Any number of processes may do so."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from streamlstm.adapters.local_log.database import Database, Retention, Row, StoredPartition
from streamlstm.adapters.local_log.file import LogFile
from streamlstm.errors import TransportError
from streamlstm.types import MISSING_TIME_MS, Record, TopicPartition

__all__ = ["LocalPublisher", "LocalReader", "partitions_of", "read_ranges"]

_BUFFER_RECORDS = 5000
_READ_RECORDS = 5000


class LocalPublisher:
    """Append records to topics; the partition is the CRC-32 of the key modulo their number."""

    def __init__(self, path: str | os.PathLike[str], *, retention: Retention | None = None) -> None:
        self._file = LogFile(path)
        self._retention = retention
        self._rows: list[Row] = []

    def ensure_topic(self, topic: str, *, partitions: int = 1) -> None:
        """Create the topic if it is missing."""
        database = self._file.open()
        with database.transaction(f"create topic {topic}"):
            database.create_topic(topic, partitions)

    def publish(
        self, topic: str, *, key: bytes | None, value: bytes | None, timestamp_ms: int = MISSING_TIME_MS
    ) -> None:
        """Buffer one record; a full buffer is flushed."""
        self._rows.append(Row(topic, key, value, timestamp_ms))
        if len(self._rows) >= _BUFFER_RECORDS:
            self.flush()

    def flush(self) -> None:
        """Return when every buffered record is stored. Raises: TransportError; the buffer is kept then."""
        if not self._rows:
            return
        database = self._file.open()
        topics = {row.topic for row in self._rows}
        with database.transaction(f"publish to {', '.join(sorted(topics))}"):
            database.append(self._rows)
            if self._retention is not None:
                for topic in topics:
                    database.trim(topic, self._retention)
        self._rows.clear()

    def close(self) -> None:
        """Flush and release everything."""
        try:
            self.flush()
        finally:
            self._file.close()


class LocalReader:
    """Read whole topics, or what came since the last read."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = LogFile(path)
        self._positions: dict[TopicPartition, int] = {}

    def read(self, topic: str, *, from_beginning: bool = True) -> Iterator[Record]:
        """Yield the records of every partition up to the end offsets at the time of the call.

        Without `from_beginning`: those after the last call's end; nothing the first time.
        Raises: TransportError when there is no such topic.
        """
        database = self._file.open()
        ranges = []
        for partition in partitions_of(database, topic):
            start = partition.oldest if from_beginning else self._positions.get(partition.name, partition.end)
            self._positions[partition.name] = partition.end
            ranges.append((partition, start))
        return read_ranges(database, ranges)

    def close(self) -> None:
        """Release everything."""
        self._file.close()


def partitions_of(database: Database, topic: str) -> list[StoredPartition]:
    """Return a topic's partitions. Raises: TransportError when there is no such topic."""
    partitions = database.partitions(topic)
    if not partitions:
        known = ", ".join(sorted({partition.topic for partition in database.partitions()})) or "none"
        raise TransportError(f"{database.path}: there is no topic {topic!r}; topics there: {known}")
    return partitions


def read_ranges(database: Database, ranges: Iterable[tuple[StoredPartition, int]]) -> Iterator[Record]:
    """Yield the records of each partition from an offset to the end that it had when it was looked up."""
    for partition, start in ranges:
        at, end = start, partition.end
        while at < end and (found := database.read(partition, start=at, limit=_READ_RECORDS, end=end)):
            yield from found
            at = found[-1].offset + 1
