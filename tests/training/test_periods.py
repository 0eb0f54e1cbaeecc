"""Periods of signals that are known."""

from pathlib import Path

import numpy as np
import pytest

from streamlstm.training.periods import detect_period

SHARED = Path(__file__).parents[3] / "shared" / "data"


def noise(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=rows)


@pytest.mark.parametrize("period", [7, 24, 96.5, 288])
def test_a_sine_in_noise_has_its_period(period: float) -> None:
    time = np.arange(2000)
    assert detect_period(np.sin(2 * np.pi * time / period + 1) + 0.5 * noise(2000)) == pytest.approx(period, abs=1.5)


def test_a_day_with_two_humps_is_a_day_and_not_half_of_it() -> None:
    day = np.arange(288 * 6) / 288 * 2 * np.pi
    values = 0.6 * np.sin(day) + np.sin(2 * day) + 0.3 * noise(len(day))
    assert detect_period(values) == pytest.approx(288, abs=3)


def test_a_day_in_a_week_is_a_day() -> None:
    rows = np.arange(48 * 28)
    values = np.sin(rows / 48 * 2 * np.pi) - 0.3 * (rows // 48 % 7 >= 5) + 0.2 * noise(len(rows))
    assert detect_period(values) == pytest.approx(48, abs=1)


def test_beats_of_uneven_distance() -> None:
    rng = np.random.default_rng(3)
    beats = np.cumsum(rng.normal(300, 9, 60)).astype(int)
    values = np.zeros(beats[-1] + 200)
    for beat in beats:
        values[beat : beat + 12] += np.hanning(12)
        values[beat + 90 : beat + 150] += 0.3 * np.hanning(60)
    assert detect_period(values + 0.03 * noise(len(values))) == pytest.approx(300, abs=15)


def test_a_day_under_noise_of_more_than_twice_its_size() -> None:
    rows = np.arange(288 * 14)
    values = 0.6 * np.sin(rows / 288 * 2 * np.pi) + noise(len(rows), 3)
    assert detect_period(values) == pytest.approx(288, rel=0.06)
    values[300:340] = np.nan
    assert detect_period(values) == pytest.approx(288, rel=0.06)


def test_trend_spike_gaps_and_a_constant_channel_do_not_hide_it() -> None:
    time = np.arange(1200)
    values = np.stack([0.01 * time + np.sin(2 * np.pi * time / 60), np.full(1200, 3.0), np.full(1200, np.nan)], axis=1)
    values[500, 0] = 900
    values[100:180, 0] = np.nan
    assert detect_period(values) == pytest.approx(60, abs=1)


@pytest.mark.parametrize(
    "values",
    [noise(3000), np.cumsum(noise(3000, 4)), np.zeros(500), np.full(500, np.nan), np.arange(500.0), noise(3)],
    ids=["noise", "walk", "constant", "missing", "ramp", "short"],
)
def test_what_has_no_period_gives_none(values: np.ndarray) -> None:
    assert detect_period(values) == 0


def test_a_period_must_be_seen_three_times() -> None:
    assert detect_period(np.sin(2 * np.pi * np.arange(550) / 200)) == 0


@pytest.mark.skipif(not SHARED.exists(), reason="no recordings beside the repository")
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("mitbih/114", 360, 410),  # 55 beats a minute at 360 Hz
        ("mitbih/116", 260, 290),
        ("mitbih/119", 650, 690),  # every second beat is ectopic, so the signal repeats after two
        ("kpi/301c70d8-1630-35ac-8f96-bc1b6f4359ea", 286, 290),
    ],
)
def test_recordings(name: str, low: int, high: int) -> None:
    series = np.load(SHARED / f"{name}.npz")
    assert low <= detect_period(series["values"][: int(series["train_len"])]) <= high
