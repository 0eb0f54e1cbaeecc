"""What the user names as data (a file, a folder, a pattern, a WFDB record), and the files that this means."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Literal, TypeAlias

from streamlstm.errors import DataError
from streamlstm.recordings.opening import COMPRESSED

__all__ = ["Format", "expand", "format_of"]

Format: TypeAlias = Literal["csv", "jsonl", "npz", "parquet", "arrow", "wfdb", "edf"]

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".npz": "npz",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
    ".hea": "wfdb",
    ".edf": "edf",
}


def format_of(name: str) -> Format | None:
    """Return the format that a file's name says, a suffix of compression aside; None where it says none."""
    path = Path(name)
    if path.suffix.lower() in COMPRESSED:
        path = path.with_suffix("")
    return _SUFFIXES.get(path.suffix.lower())


def expand(name: str, format: Format | None) -> list[str]:
    """Return the files that a name means, sorted: a folder's own, or those that a pattern (`ward/*.csv`, `**`) matches.

    Of many files those of known suffixes are taken, or all where the format is given; a WFDB record is its header,
    and a segment of another record of the folder is none of its own.
    Raises: DataError when there are none.
    """
    path = Path(name)
    if name == "-" or path.is_file():
        return [_header_of(name, format)]
    if path.is_dir():
        files = _recordings(path.iterdir(), format)
        if not files:
            raise DataError(f"{name}: {_expected(format)} in the folder, got none; for its subfolders name {name}/**/*")
        return files
    if glob.has_magic(name):
        files = _recordings(map(Path, glob.iglob(name, recursive=True)), format)  # noqa: PTH207 (absolute patterns)
        if not files:
            raise DataError(f"{name}: {_expected(format)} that match the pattern, got none")
        return files
    return [_header_of(name, format)]


def _recordings(paths: object, format: Format | None) -> list[str]:
    files = [str(path) for path in paths if path.is_file() and not path.name.startswith(".")]  # type: ignore[attr-defined]
    if format is None:
        files = [file for file in files if format_of(file)]
    elif format == "wfdb":
        files = [file for file in files if format_of(file) == "wfdb"]
    segments = {segment for file in files if format_of(file) == "wfdb" for segment in _segments(Path(file))}
    return sorted(file for file in files if file not in segments)


def _expected(format: Format | None) -> str:
    return f"expected files to read as {format}" if format else f"expected files of {', '.join(sorted(_SUFFIXES))}"


def _header_of(name: str, format: Format | None) -> str:
    """Return the header of the WFDB record that `rec`, `rec.hea` or `rec.dat` names; any other name as it is."""
    path = Path(name)
    if path.suffix == ".dat" and format in (None, "wfdb"):
        header = path.with_suffix(".hea")
        if header.is_file() or format == "wfdb":
            return str(header)
        raise DataError(f"{name}: expected the header of the WFDB record beside it, {header.name}, got none")
    if format == "wfdb" or (format is None and name != "-" and not path.exists()):
        header = path.with_name(path.name + ".hea")
        if path.suffix != ".hea" and header.is_file():
            return str(header)
    return name


def _segments(header: Path) -> list[str]:
    """Return the headers of a WFDB record's segments, beside its own; none for a record of one."""
    try:
        lines = [line for line in header.read_text("latin-1").splitlines() if line.strip() and line[0] != "#"]
    except OSError:
        return []  # what cannot be read is refused when its turn comes
    if not lines or "/" not in lines[0].split()[0]:
        return []
    return [str(header.with_name(line.split()[0] + ".hea")) for line in lines[1:]]
