"""The benchmark's layout as series: which are found, what is read of each, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation.labelled_data import NAB, NAB_FILE, ROWS, WARM_UP, write_series, write_sets

from streamlstm.errors import DataError, UsageError
from streamlstm.evaluation.labelled.layout import find_series, read_labelled


def names(data: Path, *sets: str) -> list[str] | None:
    found = find_series(data, sets)
    return None if found is None else [f"{file.set_name}/{file.name}" for file in found]


def test_a_folder_of_sets_one_set_and_one_file(tmp_path: Path) -> None:
    write_sets(tmp_path)
    shutil.copytree(NAB, tmp_path / "nab")
    (tmp_path / "README.md").write_text("about the sets")
    assert names(tmp_path) == [f"nab/{NAB_FILE}", "pumps/a", "pumps/b", "smap/c"]
    assert names(tmp_path, "smap", "pumps") == ["pumps/a", "pumps/b", "smap/c"]
    assert names(tmp_path / "pumps") == ["pumps/a", "pumps/b"]
    assert names(tmp_path / "pumps" / "b.npz") == ["pumps/b"]
    assert names(NAB) == [f"nab/{NAB_FILE}"]


def test_what_is_in_another_layout_is_left_to_others(tmp_path: Path) -> None:
    assert names(tmp_path) is None
    (tmp_path / "ward.csv").write_text("ts,hr\n0,71\n")
    np.savez(tmp_path / "plain.npz", values=np.zeros((5, 1)))
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    for one in (tmp_path, *tmp_path.iterdir()):
        assert names(one) is None


def test_a_set_that_is_not_there(tmp_path: Path) -> None:
    write_sets(tmp_path)
    with pytest.raises(UsageError, match=r"--set: expected sets among pumps, smap, got kpi"):
        find_series(tmp_path, ["smap", "kpi"])


def test_a_series_is_read_with_its_labels_clock_and_warm_up(tmp_path: Path) -> None:
    write_series(tmp_path / "pumps" / "a.npz", 1, period_s=0.25)
    (file,) = find_series(tmp_path) or []
    one = read_labelled(file)
    assert (one.set_name, one.name, one.train_len, one.inputs) == ("pumps", "a", WARM_UP, ())
    assert (one.series.channels, one.series.period_s) == (("flow", "pressure"), 0.25)
    assert one.series.event_time_ms[:3].tolist() == [0, 250, 500]
    assert np.flatnonzero(one.labels).tolist() == list(range(700, 730))
    assert np.flatnonzero(one.judged_labels).tolist() == list(range(100, 130))
    half = one.head(710)
    assert (len(half.series.values), len(half.series.event_time_ms), len(half.series.rows)) == (710, 710, 710)
    assert half.labels.sum() == 10


def test_a_file_without_a_clock_has_no_period(tmp_path: Path) -> None:
    write_series(tmp_path / "pumps" / "a.npz", 1, period_s=None)
    write_series(tmp_path / "pumps" / "b.npz", 1, period_s=0.0)
    for file in find_series(tmp_path) or []:
        assert read_labelled(file).series.period_s == 0


def test_commands_are_inputs_and_not_scored(tmp_path: Path) -> None:
    write_sets(tmp_path)
    (file,) = find_series(tmp_path, ["smap"]) or []
    one = read_labelled(file)
    assert (one.series.channels, one.inputs) == (("telemetry",), ("command1", "command2"))
    assert one.series.values.shape == (ROWS, 1) and one.series.values.flags.c_contiguous


def test_a_file_of_nab() -> None:
    (file,) = find_series(NAB) or []
    one = read_labelled(file)
    assert (one.set_name, one.name, len(one.labels)) == ("nab", NAB_FILE, 1243)
    assert one.train_len == 186  # 15 %
    assert one.series.period_s == 300
    changes = np.diff(one.labels.astype(int), prepend=0)
    for value, times in ((1, ["10:35", "18:05"]), (-1, ["15:50", "23:20"])):  # the rows after the last
        at_ms = one.series.event_time_ms[changes == value].astype("datetime64[ms]")
        assert [str(at)[:16] for at in at_ms] == [f"2013-10-10T{time}" for time in times]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"label": np.zeros(5)}, r"a\.npz: label: expected 1000 numbers, one a row, got float64 \[5\]"),
        ({"label": np.array(["x"] * ROWS)}, r"a\.npz: label: expected 1000 numbers"),
        ({"train_len": None}, r"a\.npz: train_len: expected a row count from 1 to 999.*, got None"),
        ({"train_len": ROWS}, r"a\.npz: train_len: expected a row count from 1 to 999.*, got 1000"),
        ({"values": None}, r"a\.npz: expected an array `values`"),
    ],
)
def test_a_series_that_is_not_as_it_should_be(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    write_series(tmp_path / "a.npz", 1, **arrays)
    (file,) = find_series(tmp_path) or []
    with pytest.raises(DataError, match=message):
        read_labelled(file)


def test_a_file_of_a_set_that_has_no_labels(tmp_path: Path) -> None:
    write_series(tmp_path / "a.npz", 1)
    write_series(tmp_path / "b.npz", 1, label=None)
    first, second = find_series(tmp_path) or []
    read_labelled(first)
    with pytest.raises(DataError, match=r"b\.npz: expected an array `label` \[T\], as in the other files of the set"):
        read_labelled(second)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([], r"combined_windows\.json: expected NAB's windows by file, got something else"),
        ({"g/f.csv": [["2014-01-01 00:00:00"]]}, r"expected NAB's windows by file"),
        ({"g/none.csv": []}, r"expected a file for each name, got none at .*none\.csv"),
        ({"g/f.csv": [["2014-01-01 00:01:00", "2014-01-01 00:10:00"]]}, r"f\.csv: .*each end of a window, got none at"),
        ({"g/f.csv": [["2014-01-01 00:05:00", "2015-01-01 00:00:00"]]}, r"f\.csv: .*each end of a window, got none at"),
        ({"g/f.csv": [["noon", "2014-01-01 00:10:00"]]}, r"f\.csv: expected windows between times .* got 'noon'"),
    ],
)
def test_a_folder_of_nab_that_is_damaged(tmp_path: Path, windows: Any, message: str) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "data" / "g").mkdir(parents=True)
    rows = [f"2014-01-01 00:{5 * n:02}:00,{n}\n" for n in range(10)]
    (tmp_path / "data" / "g" / "f.csv").write_text("timestamp,value\n" + "".join(rows))
    (tmp_path / "labels" / "combined_windows.json").write_text(json.dumps(windows))
    with pytest.raises(DataError, match=message):
        for file in find_series(tmp_path) or []:
            read_labelled(file)
