"""CSV read in parts, at once where it can be: the same cells whichever way, and refusals with the row of the file."""

from __future__ import annotations

import csv
import io
import tracemalloc
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlstm.errors import DataError
from streamlstm.recordings.formats import csv_series
from streamlstm.recordings.reading import read_series
from streamlstm.recordings.times import TimeReader

PART = 8
nan = np.nan


@pytest.fixture
def _short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_series, "_PART_ROWS", PART)


def read(text: str) -> list[Any]:
    return csv_series.read_csv("x.csv", io.BufferedReader(io.BytesIO(text.encode())), "x", "s")  # type: ignore[arg-type]


NUMBERS = st.one_of(
    st.floats(width=32).map(repr),
    st.integers(-(10**12), 10**12).map(str),
    st.sampled_from(["", " 7.25 ", "NaN", "nan", "NA", "null", "1e300", "-inf", "+3", ".5", "5."]),
)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=70).filter(str.strip)
ROWS = st.lists(st.tuples(st.one_of(st.sampled_from("ab"), NAMES), NUMBERS, NUMBERS), min_size=1, max_size=40)


@given(ROWS, st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]))
def test_every_cell_is_what_was_written(rows: list[tuple[str, str, str]], delimiter: str, end: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerows([["ts", "x", "stream_id", "y"], *([t, x, s, y] for t, (s, x, y) in enumerate(rows))])
    expected: dict[str, list[tuple[int, float, float]]] = {}
    for t, (stream, *cells) in enumerate(rows):
        missing = ("", "na", "null")
        numbers = [nan if cell.strip().lower() in missing else float(cell) for cell in cells]
        expected.setdefault(stream, []).append((t, *[n if abs(n) < 3.5e38 else nan for n in numbers]))
    part_rows, csv_series._PART_ROWS = csv_series._PART_ROWS, PART
    try:
        found = read(text.getvalue())
    finally:
        csv_series._PART_ROWS = part_rows
    assert [one.stream_id for one in found] == list(expected)
    for one in found:
        times, *columns = map(list, zip(*expected[one.stream_id], strict=True))
        assert one.event_time_ms.tolist() == [1000 * t for t in times] and one.rows.tolist() == times
        np.testing.assert_array_equal(one.values, np.array(columns, np.float32).T)


@pytest.mark.usefixtures("_short_parts")
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("19,1,x", "x.csv: row 19, column 'b': expected a number, got 'x'"),
        ("19,1", "x.csv: row 19: expected 3 cells as in the header, got 2"),
        ("19,1,2,3", "x.csv: row 19: expected 3 cells as in the header, got 4"),
        ("x,1,2", "x.csv: row 19: expected a number of s, got 'x'"),
        (
            "3,1,2",
            "x.csv: row 19: stream 'x': expected a time not before 1970-01-01T00:00:18.000Z, got 1970-01-01T00:00:03",
        ),
        ('19,"1,2', "x.csv: row 19: expected 3 cells as in the header, got 2"),
        (" ", "x.csv: row 19: expected 3 cells as in the header, got 1"),
    ],
)
def test_the_row_of_the_file_is_named(bad: str, message: str) -> None:
    lines = ["ts,a,b", *(f"{t},{t}.5,{-t}" for t in range(30))]
    [whole] = read("\n".join(lines))
    assert len(whole.values) == 30
    lines[20] = bad
    with pytest.raises(DataError) as caught:
        read("\n".join(lines))
    assert str(caught.value).startswith(message)


@pytest.mark.usefixtures("_short_parts")
def test_quotes_hold_ends_of_lines_and_blank_lines_are_none() -> None:
    lines = ["ts,stream_id,a", *(f"{t},s,{t}" for t in range(6)), "", '6,"two\nlines",7.5', "", *["7,s,8"] * 12, ""]
    s, two = read("\n".join(lines))
    assert (two.stream_id, two.values.tolist(), two.rows.tolist()) == ("two\nlines", [[7.5]], [6])
    assert s.rows.tolist() == [*range(6), *range(7, 19)] and s.values[-1] == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n \n\n", "x.csv: expected samples, got an empty file"),
        (",hr\n0,71\n", "x.csv: expected a different name for each column, got (no name); name it in the header, or"),
        ("ts,hr,spo2,hr\n0,71,97,70\n", "x.csv: expected a different name for each column, got hr more than once"),
        (
            "ts,label,stream_id\n0,1,a\n",
            "x.csv: expected at least one column of numbers, got only ts, label, stream_id",
        ),
        ("ts,hr\n\n\n", "x.csv: expected rows below the header, got none"),
        ("hr\nyes\nno\n", "x.csv: row 0, column 'hr': expected a number, got 'yes'"),
        ("ts,hr\n2026-02-30,1\n", "x.csv: row 0: expected a time such as 2026-11-21T01:20:30.250Z, got '2026-02-30'"),
        ("ts,hr\n1969-12-31 23:59:59,1\n", "x.csv: row 0: expected a time in [1970, 2200), got '1969-12-31 23:59:59'"),
        ("a;b\n" + '"' + "x" * 200_000, "x.csv: expected CSV, got: field larger than field limit (131072)"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(text)
    assert str(caught.value).startswith(message)


def test_a_missing_column_and_equal_times_are_kept() -> None:
    [series] = read("ts,a,b\n5,1,\n5,2,NaN\n7,3,n/a\n")
    assert np.isnan(series.values[:, 1]).all() and series.event_time_ms.tolist() == [5000, 5000, 7000]
    assert series.period_s == 2.0 and series.units == ()


LAYOUTS = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%f+05:30", "%Y-%m-%d %H:%M:%S,%f", "%Y-%m-%d"]
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30))


@given(st.lists(MOMENTS, min_size=1, max_size=20), st.sampled_from([*LAYOUTS, None]))
def test_times_are_those_of_the_standard_library(moments: list[datetime], layout: str | None) -> None:
    cells = [moment.isoformat() if layout is None else moment.strftime(layout) for moment in moments]
    read_at_once = TimeReader("x", "s").read(cells, range(len(cells)))
    for cell, got in zip(cells, read_at_once.tolist(), strict=True):
        moment = datetime.fromisoformat(cell if cell[-1] == "Z" or "+" in cell else f"{cell}Z" if ":" in cell else cell)
        seconds = (moment.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds()
        offset = moment.utcoffset()
        assert abs(got - (seconds - (offset.total_seconds() if offset else 0)) * 1000) <= 0.5 + 1e-3


@pytest.mark.parametrize(
    "cell",
    [
        "2026-13-01 00:00:00",
        "2026-00-01 00:00:00",
        "2026-02-29 00:00:00",
        "2026-01-01 24:00:00",
        "2026-01-01 00:60:00",
        "2026-01-01 00:00:60",
        "2026-01-01 00:00:0x",
        "2026/01/01 00:00:00",
        "2O26-01-01 00:00:00",
    ],
)
def test_no_time_of_one_layout_is_guessed(cell: str) -> None:
    with pytest.raises(DataError, match=f"row 8: expected a time such as .*, got '{cell}'"):
        TimeReader("x", "s").read(["2026-01-01 00:00:00", cell], [7, 8])


def test_memory_holds_the_values_and_not_the_text(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    rows = np.random.default_rng(4).normal(50, 8, (60_000, 4)).round(3).tolist()
    file.write_text("ts,a,b,c,d\n" + "".join(f"{t},{a},{b},{c},{d}\n" for t, (a, b, c, d) in enumerate(rows)))
    tracemalloc.start()
    try:
        [series] = read_series(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The series itself is 1.9 MB, held twice while it is joined, a part 3 MB; read whole, the cells alone are 17 MB.
    assert len(series.values) == 60_000 and peak < 10e6
