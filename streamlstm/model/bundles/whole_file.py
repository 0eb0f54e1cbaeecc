"""A file is replaced whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from streamlstm.errors import BundleError

__all__ = ["replace_file"]


def replace_file(target: Path, content: bytes) -> None:
    """Write the content beside the target and put it in its place in one step.

    Raises: BundleError; a file that was there is as it was.
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the new name with nothing in it
        draft.replace(target)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise BundleError(
            f"{target}: cannot be written ({error.strerror}); the file that was there before, if any, is unchanged"
        ) from error
