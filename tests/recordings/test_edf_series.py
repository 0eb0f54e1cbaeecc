"""EDF recordings: values by the specification, channels at different rates, interrupted records, damage."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings.edf import Signal, write_edf

from streamlstm.errors import DataError
from streamlstm.recordings.reading import read_series

START_MS = datetime(2021, 3, 4, 22, 13, 5, tzinfo=UTC).timestamp() * 1000
nan = np.nan


def signal(label: str, per_record: int, records: int, seed: int, **more: Any) -> Signal:
    digital = np.random.default_rng(seed).integers(-2048, 2048, per_record * records).astype(np.int16)
    return Signal(label, digital, per_record, **more)


def test_signals_of_one_rate(tmp_path: Path) -> None:
    ecg = signal("ECG", 250, 7, 1, unit="mV", physical=(-4.2, 6.3))
    pressure = signal("ABP", 250, 7, 2, unit="mmHg", physical=(300, -20), range=(-2047, 2048))
    file = write_edf(tmp_path / "night.edf", [ecg, pressure])
    [series] = read_series(file)
    assert (series.stream_id, series.channels, series.units) == ("night", ("ECG", "ABP"), ("mV", "mmHg"))
    assert series.period_s == 1 / 250 and series.train_len is None
    np.testing.assert_allclose(series.values, np.stack([ecg.values, pressure.values], 1), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(series.event_time_ms, START_MS + np.arange(1750) * 4)


def test_the_package_wfdb_reads_the_same_to_a_digital_step_or_so(tmp_path: Path) -> None:
    signals = [signal("ECG", 100, 5, 3, physical=(-5, 5)), signal("ABP", 100, 5, 4, unit="mmHg", physical=(-20, 300))]
    file = write_edf(tmp_path / "night.edf", signals)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record = pytest.importorskip("wfdb.io.convert.edf").read_edf(str(file))
    [series] = read_series(file)
    steps = np.abs(series.values - record.p_signal) / [10 / 4095, 320 / 4095]
    assert steps.max() < 1.5 and series.units == tuple(record.units) and 1 / series.period_s == record.fs
    assert series.event_time_ms[0] == record.base_datetime.replace(tzinfo=UTC).timestamp() * 1000


def test_slower_signals_stand_at_or_after_their_time(tmp_path: Path) -> None:
    fast, slow, odd = (signal(name, rate, 3, rate) for name, rate in (("EEG", 10), ("Temp", 1), ("Resp", 4)))
    [series] = read_series(write_edf(tmp_path / "x.edf", [slow, fast, odd], record_s=2))
    expected = np.full((30, 3), nan)
    expected[::10, 0], expected[:, 1] = slow.values, fast.values
    # 4 samples in 10 rows: at 0, 2.5, 5 and 7.5 rows.
    expected[[r * 10 + row for r in range(3) for row in (0, 3, 5, 8)], 2] = odd.values
    np.testing.assert_allclose(series.values, expected, rtol=1e-6)
    assert series.period_s == 0.2 and np.isnan(series.values[:, 0]).sum() == 27


@pytest.mark.parametrize("annotation_first", [False, True])
def test_interrupted_records_keep_their_time(tmp_path: Path, annotation_first: bool) -> None:
    one = signal("ECG", 4, 3, 5)
    onsets = (0.5, 1.5, 60.25)
    file = write_edf(tmp_path / "x.edf", [one], kind="EDF+D", onsets_s=onsets, annotation_first=annotation_first)
    [series] = read_series(file)
    expected = [onset * 1000 + 250 * step for onset in onsets for step in range(4)]
    np.testing.assert_array_equal(series.event_time_ms - START_MS, expected)
    np.testing.assert_allclose(series.values[:, 0], one.values, rtol=1e-6)
    assert series.channels == ("ECG",) and series.period_s == 0.25


def test_names_starts_and_lengths_as_they_come(tmp_path: Path) -> None:
    twice = [signal(" EEG ", 4, 2, 6, unit="µV"), signal("EEG", 4, 2, 7, unit=""), signal("", 4, 2, 8)]
    [series] = read_series(write_edf(tmp_path / "x.edf", twice, records=-1, start="01.01.8500.00.00"))
    assert series.channels == ("EEG", "EEG_2", "ch2") and series.units == ("µV", "", "mV")
    assert len(series.values) == 8 and series.event_time_ms[0] == datetime(1985, 1, 1, tzinfo=UTC).timestamp() * 1000
    fast = signal("EMG", 4000, 2, 9)
    [series] = read_series(write_edf(tmp_path / "y.edf", [fast]))
    assert series.period_s == 1 / 4000 and set(np.diff(series.event_time_ms)) == {1}


def cut(file: Path, at: int) -> None:
    file.write_bytes(file.read_bytes()[:at])


def write_over(file: Path, at: int, text: str) -> None:
    content = bytearray(file.read_bytes())
    content[at : at + len(text)] = text.encode()
    file.write_bytes(content)


# Fields of two signals: labels at 256, physical minima at 256 + 2 * (16 + 80 + 8), digital ones 2 * 16 after them.
_DIGITAL = 256 + 2 * (16 + 80 + 8 + 8 + 8)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: cut(f, 100), "expected an EDF file, got other bytes, or less than a header of them"),
        (lambda f: cut(f, 600), "expected the header of 2 signals, got a truncated file"),
        (lambda f: cut(f, 768 + 45), "expected 3 data records, got 2, and a part of one; the file is truncated"),
        (lambda f: write_over(f, 252, "two "), "number of signals: expected a number, got 'two'"),
        (lambda f: write_over(f, 252, "0   "), "expected signals, got a header of 0"),
        (lambda f: write_over(f, 244, "0       "), "expected data records of some seconds, got 0"),
        (lambda f: write_over(f, 168, "31.02.20"), "expected a start as dd.mm.yy and hh.mm.ss, got '31.02.20' and "),
        (lambda f: write_over(f, _DIGITAL, "9999    "), "signal 'ECG': expected a digital range, got 9999 to 2047"),
        (lambda f: write_over(f, _DIGITAL + 8, "low     "), "digital minimum of signal 'ABP': expected a number, got"),
        (lambda f: write_over(f, 192, "EDF+D"), "record 0: expected the time at which it began (EDF+D), got none"),
        (lambda f: write_over(f, 256, "EDF Annotations EDF Annotations "), "expected signals, got annotations only"),
    ],
)
def test_damage_is_a_sentence(tmp_path: Path, damage: Any, message: str) -> None:
    file = write_edf(tmp_path / "x.edf", [signal("ECG", 6, 3, 1), signal("ABP", 4, 3, 2)])
    read_series(file)
    damage(file)
    with pytest.raises(DataError) as caught:
        read_series(file)
    assert str(caught.value).startswith(f"{file}: {message}")
