"""The CSV of labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamlstm.errors import DataError
from streamlstm.recordings.labels import Span, labelled_spans
from streamlstm.recordings.time_unit import TimeUnit


def written(tmp_path: Path, *rows: str, header: str = "stream_id,start,end") -> Path:
    path = tmp_path / "labels.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_times_with_a_zone_without_one_and_other_columns(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "1970-01-01T00:01:00Z,lead off,ward/bed1,1970-01-01 00:00:01.5",
        "1970-01-01T02:00:00+02:00,,bed2,1970-01-01T00:00",
        header="end,note,stream_id,start",
    )
    assert labelled_spans(path) == [Span("ward/bed1", 1500, 60_000), Span("bed2", 0, 0)]


@pytest.mark.parametrize(("unit", "end_ms"), [("s", 2500), ("ms", 2)])
def test_numbers_are_of_the_unit_that_is_declared(tmp_path: Path, unit: TimeUnit, end_ms: int) -> None:
    path = written(tmp_path, "a,1,2.5", "b,0,1970-01-01T00:00:02Z")
    assert labelled_spans(path, ts_unit=unit) == [
        Span("a", 1000 if unit == "s" else 1, end_ms),
        Span("b", 0, 2000),
    ]


@pytest.mark.parametrize(
    ("row", "unit", "message"),
    [
        ("a,1,2", None, r"row 0, column 'start': expected a time such as 2026-11-21T01:20:30Z, got '1'"),
        ("a,soon,2", "s", r"row 0, column 'start': expected a time such as \S+, or a number of s, got 'soon'"),
        ("a,1,nan", "s", r"row 0, column 'end': expected"),
        ("a,1,1e999", "s", r"row 0, column 'end': expected"),
        ("a,1", "s", r"row 0, column 'end': expected .* got None"),
        (",1,2", "s", r"row 0: expected a stream id, got nothing"),
        ("a,3,2", "s", r"row 0: expected an end not before 3, got 2"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_row(tmp_path: Path, row: str, unit: TimeUnit | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        labelled_spans(written(tmp_path, row), ts_unit=unit)


def test_a_header_without_its_columns_and_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a header with stream_id, start and end, got none of end"):
        labelled_spans(written(tmp_path, header="stream_id,start"))
    with pytest.raises(DataError, match=r"none\.csv: the labels cannot be read \(No such file"):
        labelled_spans(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(b"stream_id,start,end\n\xe4,1,2\n")
    with pytest.raises(DataError, match=r"latin\.csv: the labels cannot be read \(not UTF-8 text\)"):
        labelled_spans(tmp_path / "latin.csv")
