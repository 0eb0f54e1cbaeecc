"""The branch of beats: where it is fitted, what it sees of a beat, and that its state is a stream's own."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scoring.oracle import OracleStream
from tiny_models import least_squares_model

from streamlstm.errors import BundleError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.branches.beats import fit_beats, is_wave
from streamlstm.scoring.branches.known import branches_of, state_of
from streamlstm.scoring.calibration import CalibrationSeries, calibrate
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.odd_rows import odd_level

SHARED = Path(__file__).parents[4] / "shared" / "data"
BEAT = 200
UNITS = Standardizer(np.zeros(1, np.float32), np.ones(1, np.float32))


def beats(seed: int, count: int, odd: tuple[int, ...] = ()) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """An ECG of one channel, and where its beats are; odd ones are upside down, as high as the others."""
    rng = np.random.default_rng(seed)
    places = (BEAT * (1 + np.arange(count)) + rng.normal(0, 4, count)).astype(np.int64)
    values = 0.02 * rng.normal(size=BEAT * (count + 2))
    values = np.convolve(values, np.hanning(7) / np.hanning(7).sum(), mode="same")
    for beat, place in enumerate(places.tolist()):
        values[place : place + 40] += (-1 if beat in odd else 1) * np.hanning(40)
        values[place + 70 : place + 130] += 0.4 * np.hanning(60)
        values[place - 50 : place - 20] -= 0.3 * np.hanning(30)
    return values.astype(np.float32)[:, None], places


@pytest.fixture(scope="module")
def wave() -> ModelBundle:
    values, _ = beats(1, 60)
    return least_squares_model(values, weights=0, hidden=3, period_rows=BEAT, channels=("ecg",), prototypes=16)


def score(bundle: ModelBundle, values: NDArray[np.float32]) -> NDArray[np.float64]:
    times = np.arange(len(values), dtype=np.int64) * 4
    return np.asarray(Detector(bundle).score(["s"] * len(values), times, values).score)


def test_a_wave_has_beats_and_weights_of_its_own(wave: ModelBundle) -> None:
    calibration = wave.calibration
    assert list(calibration.branches) == ["network_residuals", "prototypes", "beats"]
    # 133 samples are two thirds of 200; every third of them is taken.
    assert calibration.branches["beats"]["centres"].shape == (2, 16, 44, 1)
    assert calibration.branches["beats"]["stride"].tolist() == [3]
    weights = {part: tail.weight for part, tail in calibration.tails.items()}
    assert sum(weights.values()) == pytest.approx(4)
    assert (weights["beats/centred"], weights["beats/normalised"]) == (1.5, 0.5)
    assert (weights["prototypes/centred"], weights["prototypes/normalised"]) == (0.5, 0.5)
    assert calibration.warm_up >= 43 * 3 + 1
    assert calibration.horizon == 300 * BEAT
    assert state_of(branches_of(wave))["beat_windows"].shape == (43 * 3 + 1, 1)


def test_what_is_no_wave_is_scored_as_before() -> None:
    """Slopes of noise and of a walk do not go on, and a period of 96 samples is a window of 64 already."""
    rng = np.random.default_rng(0)
    sine = np.sin(2 * np.pi * np.arange(4000) / BEAT)[:, None].astype(np.float32)
    noisy = sine + 0.3 * rng.normal(size=sine.shape).astype(np.float32)
    walk = np.cumsum(rng.normal(size=(4000, 2)), axis=0).astype(np.float32)
    assert is_wave([sine], BEAT) and is_wave([beats(3, 30)[0]], BEAT)
    assert not is_wave([noisy], BEAT) and not is_wave([walk], BEAT)
    assert not is_wave([sine], 96) and not is_wave([sine[:200]], BEAT) and not is_wave([], BEAT)
    assert not is_wave([np.full((2000, 1), np.nan, np.float32), np.zeros((2000, 1), np.float32)], BEAT)
    assert fit_beats([noisy], UNITS, period_rows=BEAT, count=8) is None
    with_hole = np.where(np.arange(4000)[:, None] // 100 == 7, np.float32(np.nan), sine)
    assert is_wave([with_hole], BEAT)


def test_many_channels_have_shorter_windows_until_these_show_no_beat() -> None:
    sine = np.sin(2 * np.pi * np.arange(3000) / 300)[:, None].astype(np.float32)
    for channels, span in ((1, 200), (4, 200), (16, 128), (32, None)):
        units = Standardizer(np.zeros(channels, np.float32), np.ones(channels, np.float32))
        found = fit_beats([np.repeat(sine, channels, axis=1)], units, period_rows=300, count=4)
        if span is None:
            assert found is None
        else:
            assert found is not None
            assert found.stride * found.taps == pytest.approx(span, abs=found.stride)
            assert found.taps * channels <= 1024 and found.span * channels <= 2048


def test_scores_equal_their_definition(wave: ModelBundle) -> None:
    values, _ = beats(5, 6, odd=(4,))
    values[700], values[701:704] = np.nan, np.nan
    detector = Detector(wave)
    found = detector.score(["s"] * len(values), np.arange(len(values), dtype=np.int64) * 1000, values).score
    stream = OracleStream(wave, detector.budget_surprise)
    expected = [stream.score([float(v) for v in row]) for row in values]
    warm_up = wave.calibration.warm_up
    wanted = pytest.approx(np.array(expected[warm_up:], float), rel=2e-3, abs=1e-4, nan_ok=True)
    assert found[warm_up:] == wanted
    assert len(stream.distances) == 4 and all(stream.distances)


def test_a_beat_upside_down_stands_out_by_its_shape(wave: ModelBundle) -> None:
    values, places = beats(7, 40, odd=(20,))
    found = score(wave, values)
    odd = found[places[20] : places[20] + BEAT].max()
    usual = [found[place : place + BEAT].max() for beat, place in enumerate(places.tolist()) if beat > 5]
    assert odd >= 1 and odd > 1.5 * sorted(usual)[-3]  # the odd beat is also in the window of the next


def test_bits_do_not_depend_on_batches_or_restarts(wave: ModelBundle) -> None:
    values, _ = beats(8, 8, odd=(6,))
    whole, detector = score(wave, values), Detector(wave)
    places = [0, 1, 130, 500, 777, len(values)]
    for begin, end in itertools.pairwise(places):
        times = np.arange(begin, end, dtype=np.int64) * 4
        part = detector.score(["s"] * (end - begin), times, values[begin:end]).score
        assert np.array_equal(part, whole[begin:end], equal_nan=True)
        held = detector.states.export()
        detector = Detector(wave)
        detector.states.restore(["s"], held)


def test_a_bundle_keeps_its_beats(wave: ModelBundle, tmp_path: Path) -> None:
    wave.save(tmp_path / "wave.safetensors")
    loaded = ModelBundle.load(tmp_path / "wave.safetensors")
    values, _ = beats(9, 10)
    assert loaded.digest == wave.digest
    assert np.array_equal(score(loaded, values), score(wave, values), equal_nan=True)


def test_a_stride_that_cannot_be_is_refused_with_a_sentence(wave: ModelBundle) -> None:
    for stride in (np.array([0], np.int32), np.array([3], np.int64), np.array([3, 3], np.int32)):
        held = wave.calibration.branches | {"beats": wave.calibration.branches["beats"] | {"stride": stride}}
        crafted = dataclasses.replace(wave, calibration=dataclasses.replace(wave.calibration, branches=held))
        with pytest.raises(BundleError, match=r"a branch does not fit the network \(stride: expected"):
            branches_of(crafted)


def test_odd_beats_in_the_calibration_are_no_measure_of_what_is_usual(
    wave: ModelBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of 30 beats that calibrate are odd: if they count, a later one is as likely as they are, and no alarm."""
    values, _ = beats(1, 60, odd=(38, 44, 53))
    later, places = beats(7, 40, odd=(20,))

    def calibrated() -> ModelBundle:
        series = [CalibrationSeries(values, len(values) // 2)]
        found = calibrate(wave.network, wave.standardizer, series, period_rows=BEAT, prototypes=16)
        return dataclasses.replace(wave, calibration=found)

    def peak(bundle: ModelBundle) -> float:
        return float(score(bundle, later)[places[20] : places[20] + BEAT].max())

    apart = calibrated()
    assert apart.calibration.rows < wave.calibration.rows - 3 * 43 * 3
    monkeypatch.setattr("streamlstm.scoring.calibration.odd_level", lambda *_: np.inf)
    assert peak(apart) > 1 > peak(calibrated())


def test_the_farthest_of_each_beat_leap_where_odd_ones_begin() -> None:
    rng = np.random.default_rng(0)

    def distances(odd: int) -> NDArray[np.float64]:
        beats = rng.uniform(0.5, 1, (60, 100)) * rng.lognormal(0, 0.1, (60, 1))
        for beat in rng.choice(60, odd, replace=False):
            beats[beat, 30:70] *= 4
        return beats.reshape(-1)

    for odd in (1, 3, 15):
        found = distances(odd)
        assert 40 * odd * 0.8 <= (found > odd_level(found, 100)).sum() <= 40 * odd
    assert odd_level(distances(0), 100) == np.inf
    assert odd_level(distances(25), 100) == np.inf, "two fifths are another normal kind"
    assert odd_level(distances(1)[:900], 100) == np.inf, "of nine beats none is known to be odd"
    assert odd_level(np.zeros(2000), 100) == odd_level(np.empty(0), 100) == np.inf


@pytest.mark.skipif(not SHARED.exists(), reason="no recordings beside the repository")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("mitbih/116", True), ("mitbih/205", True), ("ucr/gait1", True), ("ucr/apneaecg", True)),
        *(("kpi/301c70d8-1630-35ac-8f96-bc1b6f4359ea", False), ("smap/E-1", False), ("smap/P-1", False)),
    ],
)
def test_waves_among_recordings(name: str, expected: bool) -> None:
    """Of the metrics that have a period too, daily ones and those of commands, none is a wave."""
    series = np.load(SHARED / f"{name}.npz")
    values = series["values"][: int(series["train_len"]), :2].astype(np.float32)
    assert is_wave([values[:20_000, :1] if name.startswith("smap") else values[:20_000]], 240) is expected
