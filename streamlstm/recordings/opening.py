"""Files and standard input as streams of bytes, decompressed where they are compressed."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from streamlstm.errors import DataError, UsageError

__all__ = ["COMPRESSED", "open_source", "seekable", "stream_name", "text_lines"]

COMPRESSED = (".gz", ".zst")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BUFFER_BYTES = 1 << 18
_ZSTD_INPUT_BYTES = 1 << 14
"""A chunk of input is decompressed whole, to some thousand times its size at worst."""


class _DamagedError(Exception):
    """Compressed bytes that cannot be what was written."""


@contextmanager
def open_source(name: str) -> Iterator[io.BufferedReader]:
    """Open a file, or standard input for `-`; gzip and Zstandard are known by their first bytes.

    Raises: DataError for what cannot be opened or read, also while the caller reads.
    """
    try:
        with _opened(name) as raw:
            start = raw.peek(4)[:4]
            if start.startswith(_GZIP):
                with gzip.GzipFile(fileobj=raw) as inner, _buffered(inner) as file:
                    yield file
            elif start == _ZSTD:
                with _buffered(_Zstandard(raw)) as file:
                    yield file
            else:
                yield raw
    except (_DamagedError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{name}: expected a whole compressed file, got a damaged or truncated one: {error}") from None
    except OSError as error:
        raise DataError(f"{name}: cannot read the data: {error.strerror or error}") from error


@contextmanager
def _opened(name: str) -> Iterator[io.BufferedReader]:
    if name != "-":
        with io.FileIO(name) as raw, _buffered(raw) as file:
            yield file
        return
    if sys.stdin is None:  # `<&-`, or a parent that closed it
        raise UsageError("standard input is closed; name a file")
    file = _buffered(sys.stdin.buffer)
    try:
        yield file
    finally:
        file.detach()  # or standard input would be closed with it


def _buffered(inner: Any) -> io.BufferedReader:
    return io.BufferedReader(inner, _BUFFER_BYTES)


def seekable(file: io.BufferedReader) -> IO[bytes]:
    """Return the file itself where one can go back in it, otherwise its content in memory."""
    if isinstance(file.raw, io.FileIO) and file.seekable():
        return file
    return io.BytesIO(file.read())


def stream_name(name: str) -> str:
    """Return what the one stream of a file is called: as the file, without its suffixes."""
    if name == "-":
        return "stdin"
    path = Path(name)
    return Path(path.stem).stem if path.suffix.lower() in COMPRESSED else path.stem


def text_lines(source: str, file: io.BufferedReader) -> Iterator[str]:
    """Yield the lines of UTF-8 text, ends of lines included. Raises: DataError with the line for other bytes."""
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    number = 0
    try:
        for number, line in enumerate(text, start=1):  # noqa: B007 (read below)
            yield line
    except UnicodeDecodeError as error:
        # What failed is the next chunk: whatever was complete before it has been yielded.
        content = error.object
        line_number = number + content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise DataError(f"{source}:{line_number}: expected UTF-8 text, got the byte 0x{byte:02x}") from None
    finally:
        if not file.closed:  # it is, when a refusal has ended the reading
            text.detach()


class _Zstandard(io.RawIOBase):
    """Decompress frames one after the other; a last frame that breaks off is an error."""

    def __init__(self, file: IO[bytes]) -> None:
        try:
            import zstandard
        except ImportError:
            raise UsageError('Zstandard files need the package zstandard: pip install "zstandard"') from None
        self._module = zstandard
        self._file = file
        self._frame: Any = None
        self._input = b""
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output:
            if not self._input:
                self._input = self._file.read(_ZSTD_INPUT_BYTES)
            if not self._input:
                if self._frame is not None:
                    raise _DamagedError("the last frame breaks off")
                return 0
            if self._frame is None:
                self._frame = self._module.ZstdDecompressor().decompressobj()
            try:
                self._output = memoryview(self._frame.decompress(self._input))
            except self._module.ZstdError as error:
                raise _DamagedError(str(error)) from None
            self._input = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame = None
        count = min(len(buffer), len(self._output))
        buffer[:count] = self._output[:count]
        self._output = self._output[count:]
        return count
