"""Readers of recordings: the same series from every format, and refusals that name file and row."""

from __future__ import annotations

import io
import json
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamlstm.errors import DataError
from streamlstm.recordings.reading import Series, read_series

SHARED = Path(__file__).parents[3] / "shared/data"
START_MS = 1_396_310_400_000
"""2014-04-01T00:00:00Z: 16161 days * 86400 s."""

nan = np.nan


def write(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def npz(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "pump7.npz", **arrays)
    return folder / "pump7.npz"


def check(series: Series, stream_id: str, times_ms: list[int], values: list[list[float]], **more: Any) -> None:
    assert series.stream_id == stream_id
    np.testing.assert_array_equal(series.event_time_ms - START_MS, times_ms)
    np.testing.assert_array_equal(series.values, np.array(values, np.float32))
    assert series.values.dtype == np.float32 and series.event_time_ms.dtype == np.int64
    for name, expected in more.items():
        got = getattr(series, name)
        assert (got.tolist() if isinstance(got, np.ndarray) else got) == expected


def test_csv(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "ward.csv",
        "\ufeffTimestamp,stream_id,hr,label,spo2\r\n"
        "2014-04-01 00:00:00,a,71.5,0,97\r\n"
        "2014-04-01T00:00:00Z,b,,1,96\r\n"
        "2014-04-01T02:00:05+02:00,a,NaN,0,-1.5e3\r\n"
        '2014-04-01 00:00:15,"a",1e300,0,98\r\n',
    )
    a, b = read_series(file)
    check(a, "a", [0, 5_000, 15_000], [[71.5, 97], [nan, -1500], [nan, 98]], channels=("hr", "spo2"), rows=[0, 2, 3])
    check(b, "b", [0], [[nan, 96]], rows=[1], period_s=1.0, train_len=None)
    assert a.period_s == 7.5


@pytest.mark.parametrize(("unit", "factor"), [("s", 1e-3), ("ms", 1), ("us", 1e3), ("ns", 1e6)])
def test_csv_with_numeric_time(tmp_path: Path, unit: Any, factor: float) -> None:
    lines = [f"{(START_MS + step) * factor:.6f};{step}" for step in (0, 250, 500)]
    file = write(tmp_path, "pump.csv", "\n".join(["time;flow", *lines]))
    [series] = read_series(file, ts_unit=unit)
    check(series, "pump", [0, 250, 500], [[0], [250], [500]], period_s=0.25)


def test_csv_without_time_or_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [series] = read_series(write(tmp_path, "x.csv", "a,b\n1,2\n\n3,4\n"))
    check(series, "x", [-START_MS, 1_000 - START_MS], [[1, 2], [3, 4]], channels=("a", "b"), period_s=1.0)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\n5\n6\n")))
    [from_stdin] = read_series("-")
    assert (from_stdin.stream_id, from_stdin.values.tolist()) == ("stdin", [[5], [6]])


def test_json_lines(tmp_path: Path) -> None:
    records = [
        {"stream_id": "a", "ts": "2014-04-01T00:00:00Z", "values": {"hr": 71.5, "spo2": None}, "seq": 4},
        [
            {"stream_id": "b", "ts": "2014-04-01T00:00:01Z", "values": [1, 2]},
            {"stream_id": "a", "ts": "2014-04-01T00:00:02Z", "values": {"abp": float("nan"), "hr": 3}},
        ],
        {
            "stream_id": "a",
            "ts": ["2014-04-01T00:00:04Z", "2014-04-01T00:00:06Z"],
            "values": {"hr": [4, None], "spo2": [5.5, 6]},
        },
        {"stream_id": "b", "ts": ["2014-04-01T00:00:07Z"], "values": [[8, None]], "quality": "good"},
        {"stream_id": "b", "ts": "2014-04-01T00:00:08Z", "values": [1, 1], "quality": "bad"},
    ]
    a, b = read_series(write(tmp_path, "ward.jsonl", "\n".join(map(json.dumps, records)) + "\n"))
    expected = [[71.5, nan, nan], [3, nan, nan], [4, 5.5, nan], [nan, 6, nan]]
    check(a, "a", [0, 2_000, 4_000, 6_000], expected, channels=("hr", "spo2", "abp"), rows=[0, 2, 3, 4], period_s=2.0)
    check(b, "b", [1_000, 7_000, 8_000], [[1, 2], [8, nan], [nan, nan]], channels=("ch0", "ch1"), rows=[1, 5, 6])
    numeric = write(tmp_path, "n", '{"stream_id": "n", "ts": 1396310400250, "values": {"x": 1}}')
    check(read_series(numeric, ts_unit="ms")[0], "n", [250], [[1]])


def test_npz(tmp_path: Path) -> None:
    values = np.array([[1, 2], [3, np.nan], [np.inf, 6]])
    [series] = read_series(
        npz(tmp_path, values=values, channels=["x", "y"], period_s=0.5, train_len=2, label=[0, 0, 1])
    )
    expected = [[1, 2], [3, nan], [nan, 6]]
    times = [-START_MS, 500 - START_MS, 1_000 - START_MS]
    check(series, "pump7", times, expected, channels=("x", "y"), period_s=0.5, train_len=2, rows=[0, 1, 2])
    [bare] = read_series(npz(tmp_path, values=np.arange(3), period_s=0.0))
    check(bare, "pump7", [t * 1_000 - START_MS for t in range(3)], [[0], [1], [2]], channels=("ch0",), period_s=1.0)
    [fast] = read_series(npz(tmp_path, values=np.arange(3), period_s=0.0001))
    assert np.diff(fast.event_time_ms).tolist() == [1, 1], "no two samples share a millisecond"


def test_several_files(tmp_path: Path) -> None:
    first, second = write(tmp_path, "a.csv", "x\n1\n"), write(tmp_path, "b.csv", "x\n2\n")
    assert [series.stream_id for series in read_series([first, second])] == ["a", "b"]
    with pytest.raises(DataError, match=r"b\.csv: expected each stream in one file, got 'b', which is in .*b\.csv too"):
        read_series([second, str(second)])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv: expected samples, got an empty file"),
        ("a.csv", "ts,x\n", "a.csv: expected rows below the header, got none"),
        ("a.csv", "1,2\n3,4\n", "a.csv: expected a header with the columns' names, got numbers: 1, 2"),
        ("a.csv", "x,x\n3,4\n", "a.csv: expected a different name for each column, got x"),
        ("a.csv", "ts,x\n1,2\n2\n", "a.csv: row 1: expected 2 cells as in the header, got 1"),
        ("a.csv", "ts,x\n1,2\n2,two\n", "a.csv: row 1, column 'x': expected a number, got 'two'"),
        ("a.csv", "ts\n1\n", "a.csv: expected at least one column of numbers, got only ts"),
        (
            "a.csv",
            "ts,x\n5,1\n6,1\n4,1\n",
            "a.csv: row 2: stream 'a': expected a time not before 1970-01-01T00:00:06",
        ),
        (
            "a.csv",
            "ts,x\n1396310400000,1\n",
            "a.csv: row 0: expected a time in [1970, 2200), got '1396310400000'",
        ),
        ("a.csv", "ts,x\n1,1\nsoon,1\n", "a.csv: row 1: expected a number of s, got 'soon'"),
        ("a.csv", "ts,x\n2014-04-01,1\n,1\n", "a.csv: row 1: expected a time such as 2026-11-21T01:20:30.250Z, got ''"),
        ("a.csv", "ts,stream_id,x\n1,,1\n", "a.csv: row 0, column 'stream_id': expected a stream's name, got nothing"),
        ("a.csv", b"x\n\xff\n", "a.csv:2: expected UTF-8 text, got the byte 0xff"),
        ("a.jsonl", "{}\n", "a.jsonl:1: expected a telemetry record: Object missing required field `stream_id`"),
        ("a.jsonl", '\n{"stream_id"', "a.jsonl:2: expected a telemetry record: "),
        (
            "a.jsonl",
            '{"stream_id": "a", "ts": ["2014-04-01"], "values": {"x": [1, 2]}}',
            "a.jsonl:1: expected a telemetry record: Expected `array` of length 1, got length 2 - at `$.values.x`",
        ),
        (
            "a.jsonl",
            '{"stream_id": "a", "ts": true, "values": [1]}',
            "a.jsonl:1: expected a telemetry record: Expected ",
        ),
        ("a.npz", b"PK\x03\x04 not really", "a.npz: expected an NPZ file (a zip archive of arrays), got other bytes"),
    ],
)
def test_refused(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    file = write(tmp_path, name, content)
    with pytest.raises(DataError) as caught:
        read_series(file)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"data": [1.0]}, "expected an array `values` [T, C]"),
        ({"values": np.zeros((2, 2, 2))}, "values: expected numbers [T, C], got float64 [2, 2, 2]"),
        ({"values": ["a"]}, "values: expected numbers [T, C], got <U1 [1, 1]"),
        ({"values": [1.0], "channels": ["a", "b"]}, "channels: expected 1 different names, got ['a', 'b']"),
        ({"values": [1.0], "train_len": 2}, "train_len: expected a row count from 1 to 1, got 2"),
        ({"values": [1.0], "period_s": -1.0}, "period_s: expected seconds, or 0 for unknown, got -1.0"),
        ({"values": [1.0], "period_s": "x"}, "period_s: expected one number, got <U1 []"),
    ],
)
def test_refused_npz(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_series(npz(tmp_path, **arrays))
    assert str(caught.value) == f"{tmp_path}/pump7.npz: {message}"


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("went-off"),)


def test_npz_is_never_unpickled_and_damage_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="plain arrays"):
        read_series(npz(tmp_path, values=np.array([_Bomb()], dtype=object)))
    with zipfile.ZipFile("raw.npz", "w") as archive:
        archive.writestr("values.npy", pickle.dumps(_Bomb()))
    with pytest.raises(DataError, match="plain arrays"):
        read_series("raw.npz")
    assert not Path("went-off").exists()

    np.savez_compressed("good.npz", values=np.random.default_rng(3).normal(size=(50, 2)))
    good = Path("good.npz").read_bytes()
    for at in range(40, len(good), 7):
        damaged = bytearray(good)
        damaged[at] ^= 0x5A
        write(tmp_path, "damaged.npz", bytes(damaged))
        try:
            read_series("damaged.npz")
        except DataError:
            continue


@pytest.mark.skipif(not SHARED.exists(), reason="the recordings are not beside the repository")
def test_recordings() -> None:
    [ecg] = read_series(SHARED / "mitbih/119.npz")
    assert ecg.values.shape == (650_000, 2) and ecg.channels == ("MLII", "V1") and ecg.train_len == 108_000
    assert ecg.period_s == pytest.approx(1 / 360) and ecg.event_time_ms[-1] == round(649_999 / 0.36)
    servers = read_series(sorted((SHARED / "smd").glob("*.npz")))
    assert {series.values.shape[1] for series in servers} == {38}
    taxis = read_series(sorted((SHARED / "nab").glob("data/**/*.csv")))
    assert len(taxis) == 38 and all(series.channels == ("value",) for series in taxis)
    assert {series.period_s for series in taxis} <= {300.0, 1800.0, 3600.0, 301.0}
