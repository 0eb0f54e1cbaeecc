"""Where results go: a file named by the user, or standard output. A refusal names which of the two it was."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from streamlstm.errors import StreamLstmError, UsageError

__all__ = [
    "OutputStream",
    "check_file_target",
    "check_target",
    "flush_standard_output",
    "open_output",
    "print_note",
    "print_result",
]


class OutputStream:
    """Text to a file or to standard output."""

    def __init__(self, file: TextIO, name: str) -> None:
        self._file = file
        self._name = name

    def write(self, text: str) -> None:
        """Write text. Raises: StreamLstmError when the disk is full; BrokenPipeError when the reader has gone."""
        try:
            self._file.write(text)
        except OSError as error:
            raise _refusal(self._name, error) from error

    def flush(self) -> None:
        """Write what is buffered. Raises: as `write`."""
        try:
            self._file.flush()
        except OSError as error:
            raise _refusal(self._name, error) from error


@contextmanager
def open_output(path: Path | None) -> Iterator[OutputStream]:
    """Open the file, or standard output for None; what was written is flushed on the way out.

    Raises: UsageError when it cannot be opened; StreamLstmError when it cannot be written to the end.
    """
    if path is None:
        if sys.stdout is None:  # `>&-`, or a parent that closed it
            raise UsageError("standard output is closed; name a file with --out")
        stream = OutputStream(sys.stdout, "standard output")
        yield stream
        stream.flush()
        return
    try:
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        stream = OutputStream(file, str(path))
        yield stream
        stream.flush()
    finally:
        with suppress(OSError):  # close tries once more what flush has already reported
            file.close()


def print_result(text: str) -> None:
    """Write a line to standard output, where there is one. Raises: as `OutputStream.write`."""
    if sys.stdout is not None:
        OutputStream(sys.stdout, "standard output").write(text + "\n")


def print_note(text: str) -> None:
    """Write a line to standard error, where what is chosen and done on the way is said."""
    print(text, file=sys.stderr, flush=True)


def check_target(option: str, target: Path, *, inputs: dict[str, Path]) -> None:
    """Refuse a target that is one of the command's own inputs. Raises: UsageError."""
    for role, path in inputs.items():
        with suppress(OSError):
            if target.samefile(path):
                raise UsageError(f"{option}: {target} is the {role} itself; choose another file")


def check_file_target(out: Path, *, inputs: dict[str, Path], option: str = "--out") -> None:
    """Refuse what an output cannot be: a folder, a device, or an input of the command. Raises: UsageError."""
    if not out.parent.is_dir():
        raise UsageError(f"{option}: the folder {out.parent} does not exist")
    if out.exists() and not out.is_file():
        raise UsageError(f"{option}: expected a file, got {out}, which is a folder or a device")
    check_target(option, out, inputs=inputs)


def flush_standard_output() -> None:
    """Write what is buffered now, where a refusal can still be told. Raises: StreamLstmError."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        # The interpreter flushes once more at its end and would report the same again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise _refusal("standard output", error) from error


def _refusal(name: str, error: OSError) -> Exception:
    if error.errno == errno.EPIPE:  # the reader has seen enough: `| head -1`
        return error
    return StreamLstmError(f"{name}: cannot be written ({error.strerror}); what was written is incomplete")
