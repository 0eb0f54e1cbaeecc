"""Reading a range of the local log by time stamp, outside any group."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from streamlstm.adapters.local_log.database import Database, StoredPartition
from streamlstm.adapters.local_log.file import LogFile
from streamlstm.adapters.local_log.topics import partitions_of, read_ranges
from streamlstm.adapters.time_range import is_within
from streamlstm.errors import TransportError
from streamlstm.types import Record

__all__ = ["LocalHistory"]


class LocalHistory:
    """Read ranges of topics, one partition after another. Opens a file that is there; creates none."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = LogFile(path)

    def topics(self) -> Sequence[str]:
        """Return the names of the topics there are."""
        return sorted({partition.topic for partition in self._open().partitions()})

    def read(self, topics: Sequence[str], *, begin_ms: int | None, end_ms: int | None) -> Iterator[Record]:
        """Yield the records between two time stamps, up to the end offsets at the time of the call.

        Raises: TransportError when a topic does not exist.
        """
        database = self._open()
        ranges: list[tuple[StoredPartition, int]] = []
        for topic in topics:
            for partition in partitions_of(database, topic):
                start = partition.oldest if begin_ms is None else database.first_since(partition, begin_ms)
                ranges.append((partition, start))
        records = read_ranges(database, ranges)
        return (record for record in records if is_within(record, begin_ms, end_ms))

    def close(self) -> None:
        """Release everything."""
        self._file.close()

    def _open(self) -> Database:
        if not Path(self._file.path).exists():
            raise TransportError(f"{self._file.path}: there is no such local log; name the one that the worker uses")
        return self._file.open()
