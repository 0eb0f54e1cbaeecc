"""How large a file of weights may grow while it is read: a few kilobytes can describe gigabytes."""

from __future__ import annotations

import zipfile

from streamlstm.errors import BundleError

__all__ = ["MAX_EXPANDED_BYTES", "Expansion"]

MAX_EXPANDED_BYTES = 1 << 30
"""Of all that is decompressed or laid out of one file. Recurrent layers of 1,024 units have 34 MB each."""


class Expansion:
    """Counts what is made of one file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._bytes = 0

    def take(self, size: int, what: str) -> None:
        """Note that so many bytes are about to be made. Raises: BundleError once they are too many."""
        self._bytes += size
        if self._bytes > MAX_EXPANDED_BYTES:
            raise BundleError(
                f"{self._path}: expected weights of at most {MAX_EXPANDED_BYTES:,} bytes, got {self._bytes:,} and more "
                f"with {what}; save the recurrent layers alone"
            )

    def read(self, archive: zipfile.ZipFile, name: str) -> bytes:
        """Decompress a member of an archive, whose size is known before."""
        self.take(archive.getinfo(name).file_size, name)
        return archive.read(name)
