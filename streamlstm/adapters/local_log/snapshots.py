"""Snapshots of stream state in the local log's file; a save is one transaction."""

from __future__ import annotations

import os

from streamlstm.adapters.local_log.file import LogFile
from streamlstm.adapters.snapshots import Generation, generation_prefix, key_prefix, newest, pack
from streamlstm.ports import Snapshot
from streamlstm.types import TopicPartition

__all__ = ["LocalSnapshots"]


class LocalSnapshots:
    """Keep the two newest snapshots of each partition of one group."""

    def __init__(self, path: str | os.PathLike[str], *, group: str) -> None:
        self._file = LogFile(path)
        self._group = group
        self._newest: dict[TopicPartition, Generation | None] = {}

    def save(self, partition: TopicPartition, snapshot: Snapshot) -> None:
        """Store a snapshot durably; an interrupted call leaves the one before it intact."""
        if partition not in self._newest:
            self.load(partition)
        after = self._newest[partition]
        prefix = key_prefix(self._group, partition)
        pairs, generation = pack(prefix, snapshot, after)
        database = self._file.open()
        with database.transaction(f"save the snapshot of {partition.topic}-{partition.partition}"):
            database.replace_snapshot_pairs(generation_prefix(prefix, after), pairs)
        self._newest[partition] = generation

    def load(self, partition: TopicPartition) -> Snapshot | None:
        """Return the newest complete snapshot, or None. Raises: SnapshotError when there was one and is damaged."""
        prefix = key_prefix(self._group, partition)
        self._newest[partition] = None  # a damaged one may be written over
        found = newest(prefix, self._file.open().snapshot_pairs(prefix))
        self._newest[partition] = None if found is None else found[1]
        return None if found is None else found[0]

    def close(self) -> None:
        """Release everything."""
        self._file.close()
