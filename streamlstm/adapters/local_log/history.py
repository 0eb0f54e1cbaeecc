"""Reading a range of the local log by time stamp, outside any group."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from streamlstm.adapters.local_log.database import Database, Partition
from streamlstm.adapters.local_log.topics import partitions_of, read_ranges
from streamlstm.adapters.time_range import is_within
from streamlstm.errors import TransportError
from streamlstm.types import Record

__all__ = ["LocalHistory"]


class LocalHistory:
    """Read ranges of topics, one partition after another. Opens a file that is there; creates none."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._database: Database | None = None

    def topics(self) -> Sequence[str]:
        """Return the names of the topics there are."""
        return sorted({place.topic for place in self._open().partitions()})

    def read(self, topics: Sequence[str], *, begin_ms: int | None, end_ms: int | None) -> Iterator[Record]:
        """Yield the records between two time stamps, up to the end offsets at the time of the call.

        Raises: TransportError when a topic does not exist.
        """
        database = self._open()
        ranges: list[tuple[Partition, int]] = []
        for topic in topics:
            for place in partitions_of(database, topic, path=self._path):
                start = place.oldest if begin_ms is None else database.first_since(place, begin_ms)
                ranges.append((place, start))
        records = read_ranges(database, ranges)
        return (record for record in records if is_within(record, begin_ms, end_ms))

    def close(self) -> None:
        """Release everything."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> Database:
        if self._database is None:
            if not Path(self._path).exists():
                raise TransportError(f"{self._path}: there is no such local log; name the one that the worker uses")
            self._database = Database(self._path)
        return self._database
