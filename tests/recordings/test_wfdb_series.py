"""WFDB records, written by the package wfdb: one segment and several, rates, gaps, dates, damage."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.errors import DataError, UsageError
from streamlstm.recordings.reading import read_series

wfdb = pytest.importorskip("wfdb")

SHARED = Path(os.environ.get("STREAMLSTM_SHARED", Path(__file__).parents[3] / "shared")) / "data"
nan = np.nan


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)  # wfdb writes into the folder it stands in
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # of pandas, for what wfdb does when it writes
        yield


def write(name: str, columns: list[NDArray[np.float64]], *, names: list[str], units: list[str], **more: Any) -> None:
    """Write a record with steps of a thousandth of a unit, which rounding to a thousandth therefore undoes."""
    rates = more.pop("rates", [1] * len(columns))
    wfdb.wrsamp(
        name,
        units=units,
        sig_name=names,
        e_p_signal=columns,
        samps_per_frame=rates,
        fmt=["16"] * len(columns),
        adc_gain=[1000.0] * len(columns),
        baseline=[7 * index for index in range(len(columns))],
        **more,
    )


def noise(rows: int, seed: int) -> NDArray[np.float64]:
    return np.round(np.random.default_rng(seed).uniform(-9, 9, rows), 3)


@pytest.mark.parametrize("named", ["rec.hea", "rec", "rec.dat", "./rec", "*.hea", "."])
def test_a_record_by_any_of_its_names(named: str) -> None:
    lead, pressure = noise(720, 1), noise(720, 2)
    when = {"base_date": date(2020, 2, 1), "base_time": time(10, 20, 30)}
    write("rec", [lead, pressure], names=["II", "ABP"], units=["mV", "mmHg"], fs=360, **when)
    [series] = read_series(named)
    assert (series.stream_id, series.channels, series.units) == ("rec", ("II", "ABP"), ("mV", "mmHg"))
    np.testing.assert_array_equal(series.values, np.stack([lead, pressure], 1).astype(np.float32))
    start_ms = datetime(2020, 2, 1, 10, 20, 30, tzinfo=UTC).timestamp() * 1000
    np.testing.assert_array_equal(series.event_time_ms, start_ms + np.rint(np.arange(720) / 0.36))
    assert series.period_s == 1 / 360


def test_long_records_are_read_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlstm.recordings.formats.wfdb_series._BLOCK_FRAMES", 100)
    columns = [noise(4 * 451, 3), noise(451, 4)]
    write("rec", columns, names=["II", "Temp"], units=["mV", "degC"], fs=2.5, rates=[4, 1])
    [series] = read_series("rec")
    np.testing.assert_array_equal(series.values[:, 0], columns[0].astype(np.float32))
    expected = np.full((451, 4), nan)
    expected[:, 0] = columns[1]
    np.testing.assert_array_equal(series.values[:, 1], expected.ravel().astype(np.float32))
    assert series.period_s == 0.1 and series.event_time_ms[0] == 0 and series.event_time_ms[-1] == 180_300


def test_segments_and_the_gap_between_them() -> None:
    first, second = [noise(50, 5), noise(50, 6)], [noise(80, 7)]
    write("seg1", first, names=["a", "b"], units=["mV", "bpm"], fs=10)
    write("seg2", second, names=["b"], units=["bpm"], fs=10)
    Path("layout.hea").write_text("layout 2 10 0\n~ 0 1000/mV 16 0 0 0 0 a\n~ 0 1000/bpm 16 0 0 0 0 b\n")
    Path("ward.hea").write_text("ward/4 2 10 150 10:00:00 01/02/2205\nlayout 0\nseg1 50\n~ 20\nseg2 80\n")
    [series] = read_series(".")  # the segments are no records of their own
    assert (series.stream_id, series.channels, series.units) == ("ward", ("a", "b"), ("mV", "bpm"))
    expected = np.full((150, 2), nan)
    expected[:50], expected[70:, 1] = np.stack(first, 1), second[0]
    np.testing.assert_array_equal(series.values, expected.astype(np.float32))
    np.testing.assert_array_equal(series.event_time_ms, np.arange(150) * 100)  # a date after 2200 is made up


def test_names_that_come_twice_and_samples_that_are_missing() -> None:
    gaps = noise(40, 8)
    gaps[[3, 17]] = nan
    write("rec", [gaps, noise(40, 9)], names=["ECG", "EKG"], units=["mV", "mV"], fs=100)
    header = Path("rec.hea")
    header.write_text(header.read_text().replace("EKG", "ECG"))  # as in many databases; wfdb itself does not write it
    [series] = read_series("rec")
    assert series.channels == ("ECG", "ECG_2")
    assert np.flatnonzero(np.isnan(series.values[:, 0])).tolist() == [3, 17]


@pytest.mark.skipif(not SHARED.exists(), reason="the recordings are not beside the repository")
def test_a_real_ecg_is_the_same_from_npz_and_from_wfdb() -> None:
    [npz] = read_series(SHARED / "mitbih/119.npz")
    values = npz.values[:20_000].astype(np.float64)
    more = {"names": list(npz.channels), "units": ["mV", "mV"], "fs": 360}
    write("119", [values[:, 0], values[:, 1]], **more)
    [series] = read_series("119.hea")
    assert np.abs(series.values - values).max() <= 0.0005 + 1e-6 and series.channels == npz.channels
    np.testing.assert_array_equal(series.event_time_ms, npz.event_time_ms[:20_000])


def cut(name: str, at: int) -> None:
    Path(name).write_bytes(Path(name).read_bytes()[:at])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda: Path("rec.dat").unlink(), "rec.hea: cannot read the data of rec.dat, which its header names: No such"),
        (lambda: cut("rec.dat", 150), "rec.hea: expected a whole WFDB record, got a damaged or truncated one: "),
        (lambda: cut("rec.hea", 15), "rec.hea: expected a whole WFDB record, got a damaged or truncated one: "),
        (lambda: cut("rec.hea", 0), "rec.hea: expected a whole WFDB record, got a damaged or truncated one: "),
        (lambda: Path("rec.hea").write_text("rec 0 360 0\n"), "rec.hea: expected signals, got a header without any"),
        (lambda: Path("rec.hea").write_text("rec/2 1 10 20\nseg1 10\nseg2 10\n"), "rec.hea: cannot read the data of s"),
        (lambda: Path("rec.hea").write_text("rec 1 1 99999999\nrec.dat 16 1 0 0 0 0 x\n"), "rec.hea: expected a whole"),
    ],
)
def test_damage_is_a_sentence(damage: Any, message: str) -> None:
    write("rec", [noise(50, 1), noise(50, 2)], names=["a", "b"], units=["mV", "mV"], fs=10)
    damage()
    with pytest.raises(DataError) as caught:
        read_series("rec.hea")
    assert str(caught.value).startswith(message)


def test_signals_without_their_header() -> None:
    Path("rec.dat").write_bytes(b"1234")
    with pytest.raises(DataError, match=r"rec\.dat: expected the header of the WFDB record beside it, rec\.hea, got"):
        read_series("rec.dat")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    write("rec", [noise(50, 1)], names=["a"], units=["mV"], fs=10)
    monkeypatch.setitem(sys.modules, "wfdb", None)
    with pytest.raises(UsageError, match=r'rec\.hea: WFDB .* pip install "streamlstm\[medical\]"'):
        read_series("rec")
