"""The simulated telemetry: deterministic, plausible, and wrong only where it says so; the excerpt is the recording."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from streamlstm.simulation import Telemetry, load_ecg_excerpt, simulate_ecg, simulate_pumps, simulate_vitals

RECORDING = Path(os.environ.get("STREAMLSTM_SHARED", Path(__file__).parents[3] / "shared")) / "data/mitbih/119.npz"


def every(seed: int) -> list[Telemetry]:
    return [*simulate_vitals(seed), *simulate_ecg(seed), *simulate_pumps(seed)]


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    for first, again, other in zip(every(3), every(3), every(4), strict=True):
        assert first.values.tobytes() == again.values.tobytes()
        assert first.faults == again.faults
        assert not np.array_equal(first.values, other.values)


@pytest.mark.parametrize("telemetry", [*every(5), load_ecg_excerpt()], ids=lambda t: t.stream_id)
def test_faults_lie_in_the_live_part_and_time_moves_on(telemetry: Telemetry) -> None:
    assert len(telemetry.faults) >= 3
    assert all(telemetry.live_from < f.start < f.end <= len(telemetry.values) for f in telemetry.faults)
    assert all(a.end <= b.start for a, b in zip(telemetry.faults, telemetry.faults[1:], strict=False))
    assert (np.diff(telemetry.event_time_ms) > 0).all()
    assert telemetry.values.shape == (len(telemetry.event_time_ms), len(telemetry.channels))
    assert np.isfinite(telemetry.values).all()


def test_clean_vital_signs_are_those_of_a_resting_adult() -> None:
    for bed in simulate_vitals(7):
        hr, spo2, resp, abp = bed.values[: bed.live_from].T
        assert 45 < hr.min() < hr.max() < 115
        assert 93 < spo2.min() <= spo2.max() <= 100
        assert 7 < resp.min() < resp.max() < 25
        assert 60 < abp.min() < abp.max() < 120
        assert np.corrcoef(hr, resp)[0, 1] > 0.2
        assert np.corrcoef(hr, abp)[0, 1] > 0.1


def test_each_fault_does_what_its_name_says() -> None:
    for bed in simulate_vitals(7):
        for fault in bed.faults:
            during, before = bed.values[fault.start : fault.end], bed.values[fault.start - 60 : fault.start]
            middle = during[len(during) // 2]
            match fault.name:
                case "desaturation":
                    assert middle[1] < before[:, 1].min() - 3
                case "bradycardia":
                    assert middle[0] < before[:, 0].min() - 10
                case "stuck sensor":
                    assert np.ptp(during[:, 0]) == 0
    for pump in simulate_pumps(7):
        for fault in pump.faults:
            during, before = pump.values[fault.start : fault.end], pump.values[fault.start - 60 : fault.start]
            if fault.name == "blocked cooling":
                assert during[-1, 2] > before[-1, 2] + 4


def test_an_ecg_beats_about_73_times_a_minute() -> None:
    for bed in simulate_ecg(2):
        signal = bed.values[: bed.live_from, 0]
        peaks = np.flatnonzero((signal[1:-1] > 0.7) & (signal[1:-1] >= signal[:-2]) & (signal[1:-1] > signal[2:]))
        beats = 1 + int((np.diff(peaks) > 40).sum())
        assert 65 < beats / (bed.live_from * bed.period_s / 60) < 80


def test_hot_bearings_follow_the_load() -> None:
    for pump in simulate_pumps(2):
        clean = pump.values[: pump.live_from]
        assert np.corrcoef(clean[:, 2], clean[:, 3])[0, 1] > 0.6
        assert np.corrcoef(clean[:, 0], clean[:, 4])[0, 1] > 0.8


def test_the_excerpt_is_small_and_carries_its_licence() -> None:
    data = files("streamlstm.simulation") / "data"
    assert len((data / "mitdb-119.npz").read_bytes()) <= 2_000_000
    licence = (data / "mitdb-119.txt").read_text()
    assert "Open Data Commons Attribution License" in licence
    assert "Moody GB, Mark RG" in licence


@pytest.mark.skipif(not RECORDING.exists(), reason=f"the recording is not at {RECORDING}")
def test_the_excerpt_equals_the_recording() -> None:
    excerpt = load_ecg_excerpt()
    with np.load(RECORDING) as recording:
        rows = len(excerpt.values)
        assert np.abs(excerpt.values - recording["values"][:rows]).max() < 1e-4
        label = np.zeros(rows, bool)
        for beat in excerpt.faults:
            label[beat.start : beat.end] = True
        assert np.array_equal(label[excerpt.live_from :], recording["label"][excerpt.live_from : rows] > 0)
