"""Who is told how a training goes: a log of JSON lines here, TensorBoard and MLflow in files of their own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import msgspec

from streamlstm.errors import StreamLstmError
from streamlstm.training.trainer import ValidationPoint

__all__ = ["JsonLog", "Tracker"]


class Tracker(Protocol):
    """Told of one training, in this order: begin, each validation point, end; then closed, also when training failed.

    A resumed training begins anew and tells every validation point, the earlier ones first, so nothing is kept twice.
    """

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Take what training starts from."""

    def validation(self, point: ValidationPoint) -> None:
        """Take a validation point."""

    def end(self, summary: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Take what training came to, and the files it left: the bundle first."""

    def close(self) -> None:
        """Let go."""


class JsonLog:
    """One JSON line an event, each written at once: `plan` first, every `look`, `summary` last.

    A log that was there is replaced when the new one's first line is on the disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Write the first line. Raises: StreamLstmError when the disk refuses, as the others do."""
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        try:
            self._file = draft.open("wb", buffering=0)
            self._write("plan", plan)
            draft.replace(self._path)
        except OSError as error:
            raise self._refusal(error) from error
        finally:
            with suppress(OSError):
                draft.unlink()

    def validation(self, point: ValidationPoint) -> None:
        """Write a line; its event is called `look`, as logs have always called it."""
        self._write("look", asdict(point))

    def end(self, summary: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Write the last line."""
        self._write("summary", {**summary, "files": [str(file) for file in files]})

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, event: str, fields: Mapping[str, Any]) -> None:
        assert self._file is not None
        line = msgspec.json.encode({"event": event, **fields}) + b"\n"  # what is no number becomes null
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> StreamLstmError:
        return StreamLstmError(f"{self._path}: the log cannot be written ({error.strerror})")
