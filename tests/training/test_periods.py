"""Periods of signals that are known, and of drawn ones against the definition, written out lag by lag."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.training.periods import detect_period

SHARED = Path(__file__).parents[3] / "shared" / "data"
Doubles = NDArray[np.float64]


def noise(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=rows)


@pytest.mark.parametrize("period", [7, 24, 96.5, 288])
def test_a_sine_in_noise_has_its_period(period: float) -> None:
    time = np.arange(2000)
    assert detect_period(np.sin(2 * np.pi * time / period + 1) + 0.5 * noise(2000)) == pytest.approx(period, abs=1.5)


@pytest.mark.parametrize("period", [20, 48, 125, 288])
def test_a_clean_sine_has_its_period(period: int) -> None:
    assert detect_period(np.sin(2 * np.pi * np.arange(4000) / period)) == pytest.approx(period, abs=1)


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


def ecg(rng: np.random.Generator, distances: NDArray[np.float64], ectopic: NDArray[np.bool_]) -> Doubles:
    """Beats of a sharp and a broad wave on a wandering line; ectopic ones are broad and upside down."""
    beats = np.cumsum(distances).astype(int)
    time = np.arange(beats[-1] + 300)
    values = np.interp(time, time[::400], 0.15 * rng.normal(size=len(time[::400])))
    for beat, is_ectopic in zip(beats, ectopic, strict=True):
        if is_ectopic:
            values[beat : beat + 50] -= 1.2 * np.hanning(50)
        else:
            values[beat : beat + 24] += np.hanning(24)
        values[beat + 80 : beat + 140] += 0.12 * np.hanning(60)
    return values + 0.03 * rng.normal(size=len(values))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("jitter", "rows"), [(0.03, 300), (0.1, 300), (0.15, 240), (0.06, 400)])
def test_beats_that_come_unevenly_have_the_median_distance(seed: int, jitter: float, rows: int) -> None:
    rng = np.random.default_rng(seed)
    distances = rows * (1 + jitter * np.clip(rng.normal(size=250), -2, 2))
    values = ecg(rng, distances, rng.random(250) < 0.03)
    assert detect_period(values) == pytest.approx(rows, rel=0.08)


def test_where_every_second_beat_is_ectopic_for_minutes_the_beat_is_still_one() -> None:
    rng = np.random.default_rng(5)
    beats = np.arange(200)
    values = ecg(rng, 300 * (1 + 0.03 * rng.normal(size=200)), (beats % 2 == 0) & (beats // 20 % 2 == 0))
    assert detect_period(values) == pytest.approx(300, rel=0.08)


def test_a_sine_s_slope_comes_twice_a_period_and_is_not_its_beat() -> None:
    values = np.sin(2 * np.pi * np.arange(6000) / 96) + 0.02 * noise(6000)
    assert detect_period(values) == pytest.approx(96, abs=1)


def test_what_comes_again_after_three_rows_is_no_wave() -> None:
    values = np.tile([0.0, 0.1, 1.0], 300) + 0.3 * noise(900)
    assert detect_period(values) % 3 == 0 and detect_period(values) != 3


def test_a_day_under_noise_of_more_than_twice_its_size() -> None:
    rows = np.arange(288 * 14)
    values = 0.6 * np.sin(rows / 288 * 2 * np.pi) + noise(len(rows), 3)
    assert detect_period(values) == pytest.approx(288, rel=0.06)
    values[300:340] = np.nan
    assert detect_period(values) == pytest.approx(288, rel=0.06)


def test_a_period_that_is_seen_only_in_means_too_wide_for_it_is_seen_twice_as_long() -> None:
    """On the slope behind its top, where lags are first looked at, there is no period."""
    values = np.sin(2 * np.pi * np.arange(2000) / 11.4) + 1.4 * noise(2000)
    assert detect_period(values) == pytest.approx(2 * 11.4, abs=1)


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
        ("mitbih/119", 310, 350),  # for minutes every second beat is ectopic, and the signal repeats after two
        ("mitbih/101", 300, 320),  # 69 beats a minute, too uneven for an autocorrelation of five minutes
        ("mitbih/201", 235, 260),  # atrial fibrillation
        ("mitbih/205", 238, 242),
        ("ucr/apneaecg", 96, 101),
        ("ucr/apneaecg4", 96, 101),  # ten beats correlate best
        ("skab/valve1-6", 0, 0),  # a valve that is sampled in threes
        ("ucr/resperation1", 465, 475),
        ("ucr/PowerDemand1", 24, 24),
        ("kpi/431a8542-c468-3988-a508-3afd06a218da", 1430, 1450),
        ("kpi/301c70d8-1630-35ac-8f96-bc1b6f4359ea", 286, 290),
    ],
)
def test_recordings(name: str, low: int, high: int) -> None:
    series = np.load(SHARED / f"{name}.npz")
    assert low <= detect_period(series["values"][: int(series["train_len"])]) <= high


def test_rare_beats_on_a_flat_line_are_no_spikes_to_be_cut() -> None:
    values = np.zeros(1250)
    values[60::125] = 1  # fewer than one row in a hundred
    assert detect_period(values) == 125


def test_only_the_latest_quarter_of_a_million_rows_count() -> None:
    values = np.zeros(2 * (1 << 18))
    values[: 1 << 18] = np.sin(2 * np.pi * np.arange(1 << 18) / 5000)
    assert detect_period(values) == 0
    assert detect_period(values[::-1]) == pytest.approx(5000, rel=0.01)


def averaged(x: Doubles, width: int) -> Doubles:
    """Means of `width` rows around each, mirrored at the ends; an even width reaches one row further back."""
    padded, first = np.pad(x, width, mode="symmetric"), width - width // 2
    return np.array([padded[first + row : first + row + width].mean() for row in range(len(x))])


def autocorrelation(x: Doubles, longest: int, width: int) -> Doubles | None:
    is_seen = np.isfinite(x)
    if is_seen.sum() < 2 * longest:
        return None
    low, high = np.quantile(x[is_seen], (0.01, 0.99))
    if high > low:
        x = np.clip(x, 2 * low - high, 2 * high - low)
    line = np.column_stack([np.arange(len(x)) / len(x), np.ones(len(x))])
    trend, *_ = np.linalg.lstsq(line[is_seen], x[is_seen], rcond=None)
    x = np.where(is_seen, x - line @ trend, 0.0)
    if np.sqrt(np.square(x[is_seen]).mean()) <= 1e-6 * np.abs(trend).sum():
        return None
    x, seen = averaged(x, width), is_seen.astype(float)
    pairs = [(x[: len(x) - lag] @ x[lag:], seen[: len(x) - lag] @ seen[lag:]) for lag in range(longest + 1)]
    means = np.array([product / max(count, 1) for product, count in pairs])
    return means / means[0]


def expected_period(values: Doubles) -> int:
    columns = values.reshape(len(values), -1)
    longest = len(columns) // 3
    for width in (1, 4, 16):
        if longest < 4 * width:
            return 0
        each = [autocorrelation(column, longest, width) for column in columns.T]
        if not (found := [one for one in each if one is not None]):
            continue
        r = np.mean(found, axis=0)
        least = max(0.25, 5 / np.sqrt(len(columns) / width))
        peaks = [
            lag
            for lag in range(max(6, 3 * width), longest)
            if r[lag - 1] <= r[lag] > r[lag + 1] and r[lag] >= least and r[lag] - r[: lag + 1].min() >= 0.15
        ]
        if peaks:
            first = next(lag for lag in peaks if r[lag] >= 0.75 * max(r[peak] for peak in peaks))
            smooth = averaged(r, first // 8 // 2 * 2 + 1)
            return max(range(first, min(int(1.25 * first), longest - 1) + 1), key=lambda lag: smooth[lag])
    return 0


def drawn(seed: int) -> Doubles:
    """Waves, with a second hump, on a walk or beside other channels; in noise, on a slope, with gaps and spikes."""
    rng, kind = np.random.default_rng(seed), seed % 4
    rows = int(rng.integers(6, (300, 900)[seed % 3 == 0]))
    time = np.arange(rows)
    cycle = 2 * np.pi * time / rng.uniform(3, 3 + rows / 2.2)
    x = np.sin(cycle + rng.uniform(0, 6)) + rng.uniform(0, 2) * rng.normal(size=rows) + rng.uniform(-3, 3) * time / rows
    x += rng.choice([0.0, 90.0])
    if kind == 1:
        x += rng.uniform(0, 1.5) * np.sin(2 * cycle)
    if kind == 2:
        x += rng.uniform(0, 0.3) * np.cumsum(rng.normal(size=rows))
    if kind == 3:
        x = np.stack([x, rng.normal(size=rows), np.full(rows, 2.0)], axis=1)
    x[rng.random(x.shape) < rng.choice([0, 0.1, 0.3, 0.4])] = np.nan
    if rng.random() < 0.3:
        x[rng.integers(rows)] = 50
    return x


def test_the_top_of_a_hump_may_lie_a_quarter_of_the_lag_behind_its_first_peak() -> None:
    values = np.sin(2 * np.pi * np.arange(222) / 13.8) + 0.9 * noise(222, 330)  # the first peak is at a lag of 12
    assert detect_period(values) == expected_period(values) == 15


def test_drawn_signals_have_the_period_that_the_definition_gives() -> None:
    expected = [expected_period(drawn(seed)) for seed in range(200)]
    assert [detect_period(drawn(seed)) for seed in range(200)] == expected
    assert 40 < np.count_nonzero(expected) < 160
