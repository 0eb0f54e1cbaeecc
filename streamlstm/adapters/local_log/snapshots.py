"""Snapshots of stream state in the local log's file; a save is one transaction."""

from __future__ import annotations

import os

from streamlstm.adapters.local_log.database import Database
from streamlstm.adapters.snapshots import Place, generation_prefix, key_prefix, newest, pack
from streamlstm.ports import Snapshot
from streamlstm.types import TopicPartition

__all__ = ["LocalSnapshots"]


class LocalSnapshots:
    """Keep the two newest snapshots of each partition of one group."""

    def __init__(self, path: str | os.PathLike[str], *, group: str) -> None:
        self._path = os.fspath(path)
        self._group = group
        self._database: Database | None = None
        self._places: dict[TopicPartition, Place | None] = {}

    def save(self, partition: TopicPartition, snapshot: Snapshot) -> None:
        """Store a snapshot durably; an interrupted call leaves the one before it intact."""
        if partition not in self._places:
            self.load(partition)
        after = self._places[partition]
        prefix = key_prefix(self._group, partition)
        pairs, place = pack(prefix, snapshot, after)
        database = self._open()
        with database.transaction(f"save the snapshot of {partition.topic}-{partition.partition}"):
            database.replace_snapshot_pairs(generation_prefix(prefix, after), pairs)
        self._places[partition] = place

    def load(self, partition: TopicPartition) -> Snapshot | None:
        """Return the newest complete snapshot, or None."""
        prefix = key_prefix(self._group, partition)
        found = newest(prefix, self._open().snapshot_pairs(prefix))
        self._places[partition] = None if found is None else found[1]
        return None if found is None else found[0]

    def close(self) -> None:
        """Release everything."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> Database:
        if self._database is None:
            self._database = Database(self._path)
        return self._database
