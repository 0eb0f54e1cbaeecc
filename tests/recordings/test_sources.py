"""Files, folders, patterns, compressed files: which files a name means, and how a stream's parts are joined."""

from __future__ import annotations

import gzip
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamlstm.errors import DataError
from streamlstm.recordings.reading import align_channels, read_series
from streamlstm.recordings.sources import expand

TABLE = "ts,stream_id,x\n0,a,1.5\n1,b,2.5\n2,a,3.5\n"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    for name in ("bed2.csv", "bed10.CSV", "bed1.jsonl.gz", "notes.md", ".hidden.csv", "night/bed3.csv", "a[1].csv"):
        write(tmp_path, name, "x\n1\n")
    write(tmp_path, "rec.hea", "rec 1 10 5\nrec.dat 16 1 0 0 0 0 x\n")
    write(tmp_path, "rec.dat", bytes(10))
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "format", "expected"),
    [
        ("", None, ["a[1].csv", "bed1.jsonl.gz", "bed10.CSV", "bed2.csv", "rec.hea"]),
        ("night", None, ["night/bed3.csv"]),
        ("*.csv", None, ["a[1].csv", "bed2.csv"]),
        ("bed?.*", None, ["bed1.jsonl.gz", "bed2.csv"]),
        ("**/*.csv", None, ["a[1].csv", "bed2.csv", "night/bed3.csv"]),
        ("a[1].csv", None, ["a[1].csv"]),
        ("*.md", "csv", ["notes.md"]),
        ("", "wfdb", ["rec.hea"]),
        ("rec", None, ["rec.hea"]),
        ("rec.dat", None, ["rec.hea"]),
        ("notes.md", None, ["notes.md"]),
        ("missing.csv", None, ["missing.csv"]),
    ],
)
def test_what_a_name_means(ward: Path, pattern: str, format: Any, expected: list[str]) -> None:
    assert expand(str(ward / pattern), format) == [str(ward / name) for name in expected]


def test_relative_names_and_many_sources(ward: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ward)
    series = read_series(["night/*.csv", Path("bed2.csv"), "a[[]1].csv"])
    assert [(one.stream_id, one.source, one.rows.tolist()) for one in series] == [
        ("bed3", "night/bed3.csv", [0]),
        ("bed2", "bed2.csv", [1]),
        ("a[1]", "a[1].csv", [2]),
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "expected files of .arrow, .arrows, .csv, "),
        ("*.parquet", "expected files of .arrow, .arrows, .csv, "),
        ("*.md", "expected files of .arrow, .arrows, .csv, "),
        ("missing.csv", "cannot read the data: No such file or directory"),
    ],
)
def test_nothing_to_read(ward: Path, name: str, message: str) -> None:
    (ward / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        read_series(ward / name)
    assert str(caught.value).startswith(f"{ward / name}: {message}")


def compressed(kind: str, content: bytes) -> bytes:
    if kind == "gz":
        return gzip.compress(content[:10]) + gzip.compress(content[10:])
    zstandard = pytest.importorskip("zstandard")
    return bytes(
        zstandard.compress(content[:10]) + zstandard.ZstdCompressor(write_checksum=True).compress(content[10:])
    )


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    rng = np.random.default_rng(1)
    values = np.round(rng.normal(40, 9, 60_000), 3)
    text = "x\n" + "\n".join(map(str, values)) + "\n"
    content = compressed(kind, text.encode())
    [series] = read_series(write(tmp_path, f"pump.csv.{kind}", content))
    np.testing.assert_array_equal(series.values[:, 0], values.astype(np.float32))
    assert series.stream_id == "pump"
    lines = b'{"stream_id": "a", "ts": 5, "values": [7]}\n'
    assert read_series(write(tmp_path, f"x.jsonl.{kind}", compressed(kind, lines)))[0].values.tolist() == [[7]]
    archive = io.BytesIO()
    np.savez(archive, values=values)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(compressed(kind, archive.getvalue()))))
    assert len(read_series("-")[0].values) == 60_000
    for at in (5, len(content) // 2, len(content) - 3):
        file = write(tmp_path, "torn.csv", content[:at])
        with pytest.raises(DataError, match=r"torn\.csv: expected a whole compressed file, got a damaged or truncated"):
            read_series(file)
    for at in range(12, len(content), len(content) // 40):
        file = write(tmp_path, "bent.csv", content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :])
        with pytest.raises(DataError):
            read_series(file)


def test_a_stream_in_several_files_is_one(tmp_path: Path) -> None:
    write(tmp_path, "1.csv", TABLE)
    write(tmp_path, "2.csv", "stream_id,y,ts,x\nb,9,3,4.5\n".replace("y,", "").replace("9,", ""))
    write(tmp_path, "3.jsonl", '{"stream_id": "a", "ts": 2, "values": {"x": 5.5}}\n')
    a, b = read_series(tmp_path)
    assert a.values.tolist() == [[1.5], [3.5], [5.5]] and a.event_time_ms.tolist() == [0, 2000, 2000]
    assert b.values.tolist() == [[2.5], [4.5]] and b.rows.tolist() == [1, 3] and a.rows.tolist() == [0, 2, 4]
    assert b.period_s == 2.0 and a.source == str(tmp_path / "1.csv")
    place = re.escape(
        f"{tmp_path}/1.csv: stream 'b': expected its samples after those of {tmp_path}/2.csv, which end at "
    )
    with pytest.raises(DataError, match=place + "1970-01-01T00:00:03.000Z, got 1970-01-01T00:00:01"):
        read_series([tmp_path / "2.csv", tmp_path / "1.csv"])


def test_channels_that_differ_between_files(tmp_path: Path) -> None:
    write(tmp_path, "1.csv", "stream_id,x,y\na,1,2\n")
    write(tmp_path, "2.csv", "stream_id,y,x\nb,3,4\nb,,6\n")
    first, second = align_channels(read_series(tmp_path))
    assert first.channels == second.channels == ("x", "y")
    np.testing.assert_array_equal(second.values, [[4, 3], [6, np.nan]])
    write(tmp_path, "3.csv", "stream_id,y,z\nc,3,4\n")
    message = re.escape(
        f"{tmp_path}/3.csv: stream 'c': expected the channels of 'a' in {tmp_path}/1.csv, got no 'x', 'z'"
    )
    with pytest.raises(DataError, match=message):
        align_channels(read_series(tmp_path))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that opens and cannot be read")
def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^/proc/self/mem: cannot read the data: Input/output error"):
        read_series("/proc/self/mem", format="csv")
    file = write(tmp_path, "secret.csv", TABLE)
    file.chmod(0)
    if os.access(file, os.R_OK):
        return  # nothing is kept from root
    with pytest.raises(DataError, match=r"secret\.csv: cannot read the data: Permission denied"):
        read_series(file)
