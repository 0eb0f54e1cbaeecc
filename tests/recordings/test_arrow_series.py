"""Parquet and Arrow: the same series as from CSV, every type of time and number, refusals with column and row."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamlstm.errors import DataError, UsageError
from streamlstm.recordings.reading import read_series

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")

SHARED = Path(os.environ.get("STREAMLSTM_SHARED", Path(__file__).parents[3] / "shared")) / "data"
START = datetime(2026, 11, 21, 1, 20, 30, 250_000, tzinfo=UTC)
START_MS = 1_795_224_030_250
"""date -u -d 2026-11-21T01:20:30.250Z +%s, and 250 ms."""
nan = np.nan


def write_file(table: Any, path: Path) -> None:
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


def write_stream(table: Any, path: Path) -> None:
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


WRITERS: dict[str, Callable[[Any, Path], None]] = {
    "ward.parquet": lambda table, path: parquet.write_table(table, path, row_group_size=2),
    "ward.arrow": write_file,
    "ward.arrows": write_stream,
    "ward.feather": lambda table, path: feather.write_feather(table, path, compression="zstd"),
    "ward": lambda table, path: parquet.write_table(table, path, compression="gzip"),
    "ward.ipc": write_stream,
}


def times(count: int, step_ms: int = 500) -> list[datetime]:
    return [START + timedelta(milliseconds=step_ms * index) for index in range(count)]


@pytest.mark.parametrize("name", WRITERS)
def test_streams_and_channels(tmp_path: Path, name: str) -> None:
    streams = pa.array(["b", "a", "b", "a", "b"]).dictionary_encode()
    columns = {
        "Time": pa.array(times(5), pa.timestamp("us", "Europe/Berlin")),
        "hr": [71.5, None, 73.25, nan, 1e300],
        "label": [0, 1, 0, 0, 1],
        "stream_id": streams,
        "spo2": pa.array([97, 96, None, 94, -3], pa.int16()),
    }
    WRITERS[name](pa.table(columns), tmp_path / name)
    b, a = read_series(tmp_path / name)
    assert (b.stream_id, a.stream_id, a.channels, a.units) == ("b", "a", ("hr", "spo2"), ())
    np.testing.assert_array_equal(b.values, [[71.5, 97], [73.25, nan], [nan, -3]])
    np.testing.assert_array_equal(a.values, [[nan, 96], [nan, 94]])
    assert (b.event_time_ms - START_MS).tolist() == [0, 1000, 2000] and b.rows.tolist() == [0, 2, 4]
    assert (a.event_time_ms - START_MS).tolist() == [500, 1500] and a.rows.tolist() == [1, 3]
    assert a.values.dtype == np.float32 and a.period_s == 1.0


def test_parts_of_a_table_are_one_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlstm.recordings.formats.arrow_series._BATCH_ROWS", 7)
    values = np.random.default_rng(2).normal(5, 2, 40).astype(np.float32)
    rows = [f"s{index % 3}" for index in range(40)]
    parquet.write_table(pa.table({"x": values, "stream_id": rows}), tmp_path / "x.parquet", row_group_size=16)
    for index, series in enumerate(read_series(tmp_path / "x.parquet")):
        np.testing.assert_array_equal(series.values[:, 0], values[index::3])
        np.testing.assert_array_equal(series.rows, np.arange(40)[index::3])
        np.testing.assert_array_equal(series.event_time_ms, 1000 * series.rows)


NAIVE = [moment.replace(tzinfo=None) for moment in times(3)]
OFFSET = [moment.astimezone(timezone(timedelta(hours=5.5))) for moment in times(3)]


@pytest.mark.parametrize(
    ("column", "unit", "expected"),
    [
        *[(pa.array(NAIVE, pa.timestamp(unit)), "s", [0, 500, 1000]) for unit in ("ms", "us", "ns")],
        (pa.array([START.replace(microsecond=0)] * 3, pa.timestamp("s", "UTC")), "s", [-250] * 3),
        (pa.array([START_MS * 1_000_000 + 499_999, START_MS * 1_000_000 + 500_000], pa.timestamp("ns")), "s", [0, 1]),
        (pa.array([date(2026, 11, 21)] * 2), "s", [-4_830_250] * 2),
        (pa.array([START_MS, START_MS + 7]), "ms", [0, 7]),
        (pa.array([START_MS / 1000, START_MS / 1000 + 2.5]), "s", [0, 2500]),
        (pa.array([moment.isoformat() for moment in OFFSET]), "s", [0, 500, 1000]),
        (pa.array(["2026-11-21T01:20:30.250Z"] * 2).dictionary_encode(), "s", [0, 0]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_every_type_of_time(tmp_path: Path, column: Any, unit: Any, expected: list[int]) -> None:
    table = pa.table({"ts": column, "x": pa.array(range(len(column)))})
    write_stream(table, tmp_path / "x.arrow")
    [series] = read_series(tmp_path / "x.arrow", ts_unit=unit)
    assert (series.event_time_ms - START_MS).tolist() == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([True, False, None]), [1, 0, nan]),
        (pa.array([Decimal("1.25"), None, Decimal("-3.50")]), [1.25, nan, -3.5]),
        (pa.array([None, None, None], pa.null()), [nan, nan, nan]),
        (pa.array([2.5, 2.5, None]).dictionary_encode(), [2.5, 2.5, nan]),
        (pa.array(np.array([1.5, nan, -2], np.float16)), [1.5, nan, -2]),
        (pa.array([2**63 - 1, -(2**53) - 1, 0]), [float(2**63), -(2.0**53), 0]),
        (pa.array([2**64 - 1, 5, None], pa.uint64()), [float(2**64), 5, nan]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_every_type_of_number(tmp_path: Path, column: Any, expected: list[float]) -> None:
    write_file(pa.table({"x": column}), tmp_path / "x.arrow")
    np.testing.assert_array_equal(read_series(tmp_path / "x.arrow")[0].values[:, 0], expected)


def test_the_index_of_pandas_is_the_time_or_nothing(tmp_path: Path) -> None:
    moments = pa.table({"x": [1.5, 2.5], "__index_level_0__": pa.array(times(2), pa.timestamp("ns"))})
    parquet.write_table(moments, tmp_path / "moments.parquet")
    numbers = pa.table({"x": [1.5, 2.5], "__index_level_0__": [10, 20]})
    parquet.write_table(numbers, tmp_path / "numbers.parquet")
    first, second = read_series([tmp_path / "moments.parquet", tmp_path / "numbers.parquet"])
    assert first.channels == second.channels == ("x",)
    assert (first.event_time_ms - START_MS).tolist() == [0, 500] and second.event_time_ms.tolist() == [0, 1000]


def test_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for write in (parquet.write_table, feather.write_feather):
        buffer = io.BytesIO()
        write(pa.table({"ts": [1.0, 2.0], "x": [3.5, 4.5]}), buffer)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(buffer.getvalue())))
        [series] = read_series("-")
        assert (series.stream_id, series.values.tolist()) == ("stdin", [[3.5], [4.5]])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"ts": [1, 2], "note": ["a", "b"]}, "column 'note': expected numbers, got string"),
        ({"ts": [1, 2], "x": [[1.0], [2.0]]}, "column 'x': expected numbers, got list<"),
        ({"x": [{"a": 1}, {"a": 2}]}, "column 'x': expected numbers, got struct<a: int64>"),
        ({"x": pa.array(times(2)), "ts": pa.array(times(2)), "y": [1, 2]}, "column 'x': expected numbers, got timest"),
        ({"ts": pa.array(times(2))}, "expected at least one column of numbers, got only ts"),
        ({"begun": pa.array(times(2))}, "expected at least one column of numbers, got only begun"),
        ({"ts": pa.array([START, None]), "x": [1, 2]}, "row 1, column 'ts': expected a time, got null"),
        (
            {"ts": pa.array(times(2)[::-1]), "x": [1, 2]},
            "row 1: stream 'x': expected a time not before 2026-11-21T01:20",
        ),
        (
            {"ts": pa.array([2**62, 0], pa.timestamp("ms")), "x": [1, 2]},
            "row 0, column 'ts': expected a time in [1970,",
        ),
        (
            {"ts": [START_MS, 5], "x": [1, 2]},
            f"row 0: expected a time in [1970, 2200), got {START_MS}; are these really",
        ),
        ({"ts": ["now", "then"], "x": [1, 2]}, "row 0: expected a time such as 2026-11-21T01:20:30.250Z, got 'now'"),
        ({"ts": [timedelta(1), timedelta(2)], "x": [1, 2]}, "column 'ts': expected time stamps, got duration[us]"),
        ({"stream_id": ["a", None], "x": [1, 2]}, "row 1, column 'stream_id': expected a stream's name, got nothing"),
        ({"stream_id": ["a", ""], "x": [1, 2]}, "row 1, column 'stream_id': expected a stream's name, got nothing"),
        ({"stream_id": [1.5, 2.5], "x": [1, 2]}, "column 'stream_id': expected streams' names, got double"),
        ({"x": pa.array([], pa.float64())}, "expected rows, got none"),
    ],
)
@pytest.mark.parametrize("write", [parquet.write_table, write_stream])
def test_refused(tmp_path: Path, write: Callable[[Any, Path], None], columns: dict[str, Any], message: str) -> None:
    write(pa.table(columns), tmp_path / "x")
    with pytest.raises(DataError) as caught:
        read_series(tmp_path / "x")
    assert str(caught.value).startswith(f"{tmp_path}/x: {message}")


def test_columns_of_one_name(tmp_path: Path) -> None:
    write_file(pa.table([[1.0], [2.0]], names=["x", "x"]), tmp_path / "x.arrow")
    with pytest.raises(DataError, match=r"x\.arrow: expected a different name for each column, got x more than once"):
        read_series(tmp_path / "x.arrow")


@pytest.mark.parametrize("name", [name for name in WRITERS if "." in name])
def test_damage_is_a_sentence_or_another_table(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    WRITERS[name](pa.table({"ts": pa.array(times(9)), "stream_id": list("abcabcabc"), "x": range(9)}), file)
    content, rng = file.read_bytes(), np.random.default_rng(5)
    for _ in range(60):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= int(rng.integers(1, 256))
        for part in (bytes(damaged), content[: rng.integers(1, len(content) // 2)]):
            file.write_bytes(part)
            try:
                read_series(file)
            except DataError as error:
                said = str(error)
            else:
                said = f"{file} is another table"
                assert len(part) == len(content), "half a table is not a table"
            assert said.startswith(str(file))


def test_old_feather_and_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old.feather").write_bytes(b"FEA1" + bytes(40) + b"FEA1")
    with pytest.raises(DataError, match=r"old\.feather: expected Feather version 2, got version 1"):
        read_series(tmp_path / "old.feather")
    parquet.write_table(pa.table({"x": [1.0]}), tmp_path / "x.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r'x\.parquet: .* pip install "streamlstm\[arrow\]"'):
        read_series(tmp_path / "x.parquet")


@pytest.mark.skipif(not SHARED.exists(), reason="the recordings are not beside the repository")
def test_real_recordings_are_the_same_from_csv_and_from_parquet(tmp_path: Path) -> None:
    csv = pytest.importorskip("pyarrow.csv")
    for source in sorted((SHARED / "nab/data").glob("*/*.csv"))[::5]:
        parquet.write_table(csv.read_csv(source), tmp_path / f"{source.stem}.parquet")
        [from_csv], [from_parquet] = read_series(source), read_series(tmp_path / f"{source.stem}.parquet")
        np.testing.assert_array_equal(from_csv.values, from_parquet.values)
        np.testing.assert_array_equal(from_csv.event_time_ms, from_parquet.event_time_ms)
        assert (from_csv.stream_id, from_csv.period_s) == (from_parquet.stream_id, from_parquet.period_s)
