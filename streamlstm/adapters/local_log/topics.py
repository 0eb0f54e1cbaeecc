"""Writing and reading topics of the local log outside any group. Any number of processes may do so."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from streamlstm.adapters.local_log.database import Database, Partition, Retention, Row
from streamlstm.errors import TransportError
from streamlstm.types import MISSING_TIME_MS, Record, TopicPartition

__all__ = ["LocalPublisher", "LocalReader", "partitions_of", "read_ranges"]

_BUFFER_RECORDS = 5000
_READ_RECORDS = 5000


class LocalPublisher:
    """Append records to topics; the partition is the CRC-32 of the key modulo their number."""

    def __init__(self, path: str | os.PathLike[str], *, retention: Retention | None = None) -> None:
        self._path = os.fspath(path)
        self._retention = retention
        self._database: Database | None = None
        self._rows: list[Row] = []

    def ensure_topic(self, topic: str, *, partitions: int = 1) -> None:
        """Create the topic if it is missing."""
        database = self._open()
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
        database = self._open()
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
            if self._database is not None:
                self._database.close()
                self._database = None

    def _open(self) -> Database:
        if self._database is None:
            self._database = Database(self._path)
        return self._database


class LocalReader:
    """Read whole topics, or what came since the last read."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._database: Database | None = None
        self._positions: dict[TopicPartition, int] = {}

    def read(self, topic: str, *, from_beginning: bool = True) -> Iterator[Record]:
        """Yield the records of every partition up to the end offsets at the time of the call.

        Without `from_beginning`: those after the last call's end; nothing the first time.
        Raises: TransportError when there is no such topic.
        """
        if self._database is None:
            self._database = Database(self._path)
        ranges = []
        for place in partitions_of(self._database, topic, path=self._path):
            partition = TopicPartition(place.topic, place.partition)
            start = place.oldest if from_beginning else self._positions.get(partition, place.end)
            self._positions[partition] = place.end
            ranges.append((place, start))
        return read_ranges(self._database, ranges)

    def close(self) -> None:
        """Release everything."""
        if self._database is not None:
            self._database.close()
            self._database = None


def partitions_of(database: Database, topic: str, *, path: str) -> list[Partition]:
    """Return a topic's partitions. Raises: TransportError when there is no such topic."""
    places = database.partitions(topic)
    if not places:
        known = ", ".join(sorted({place.topic for place in database.partitions()})) or "none"
        raise TransportError(f"{path}: there is no topic {topic!r}; topics there: {known}")
    return places


def read_ranges(database: Database, ranges: Iterable[tuple[Partition, int]]) -> Iterator[Record]:
    """Yield the records of each partition from an offset up to its end when it was looked up."""
    for place, start in ranges:
        at = start
        while at < place.end and (found := database.read(place, start=at, limit=_READ_RECORDS, end=place.end)):
            yield from found
            at = found[-1].offset + 1
