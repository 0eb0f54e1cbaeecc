"""A local log's file that is opened when it is first needed, so that constructors touch nothing."""

from __future__ import annotations

import os

from streamlstm.adapters.local_log.database import Database

__all__ = ["LogFile"]


class LogFile:
    """The file at `path`; one that has been closed is opened again by the next use."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._database: Database | None = None

    def open(self) -> Database:
        """Return the open file; create it where it is missing. Raises: TransportError when it is foreign."""
        if self._database is None:
            self._database = Database(self.path)
        return self._database

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._database is not None:
            self._database.close()
            self._database = None
