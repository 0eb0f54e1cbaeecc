"""The branch of prototypes: fitted before the calibration rows, measured as defined, carried from batch to batch."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.prototype_oracle import OracleWindow
from numpy.typing import NDArray
from scoring.oracle import OracleStream
from tiny_models import tiny_model, tiny_series

from streamlstm.errors import SnapshotError
from streamlstm.kernels import NEVER, admit
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.branches.known import branches_of, state_of
from streamlstm.scoring.branches.prototypes import Prototypes, fit_prototypes, taps_for
from streamlstm.scoring.calibration import CalibrationSeries, calibrate
from streamlstm.scoring.clustering import cluster
from streamlstm.scoring.continuation import is_continued_by
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.forward import INPUT_LIMIT
from streamlstm.types import GapPolicy, Scores

TAPS = 40
PARTS = ["prototypes/centred", "prototypes/normalised"]
UNITS = Standardizer(np.zeros(2, np.float32), np.ones(2, np.float32))


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return tiny_model(prototypes=24)


def score(detector: Detector, values: NDArray[np.float32], start: int = 0) -> Scores:
    times = (start + np.arange(len(values), dtype=np.int64)) * 1000
    return detector.score(["s"] * len(values), times, values)


def same(one: Scores, other: Scores) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name != "status")
        for name in ("score", "p_value", "status", "expected", "contribution")
    )


def test_scores_equal_their_definition(bundle: ModelBundle) -> None:
    values = tiny_series(5, 200)
    values[60, 0], values[80] = np.nan, np.nan
    values[120:126, 1] += 0.9
    detector = Detector(bundle)
    found = score(detector, values)
    stream = OracleStream(bundle, detector.budget_surprise)
    expected = [stream.score([float(v) for v in row]) for row in values]
    warm_up = bundle.calibration.warm_up
    wanted = pytest.approx(np.array(expected[warm_up:], float), rel=2e-3, abs=1e-4, nan_ok=True)
    assert found.score[warm_up:] == wanted
    assert len(stream.distances) == 2 and all(stream.distances)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 300), max_size=5), st.booleans())
def test_bits_do_not_depend_on_batches_or_restarts(bundle: ModelBundle, cuts: list[int], restart: bool) -> None:
    values = tiny_series(6, 300)
    values[200:210, 0] += 4
    whole = score(Detector(bundle), values)
    detector, places = Detector(bundle), sorted({0, 300, *cuts})
    for begin, end in itertools.pairwise(places):
        part = score(detector, values[begin:end], begin)
        for name in ("score", "p_value", "status"):
            assert np.array_equal(getattr(part, name), getattr(whole, name)[begin:end], equal_nan=name != "status")
        if restart:
            held = detector.states.export()
            detector = Detector(bundle)
            detector.states.slots_of(["stranger"])
            detector.states.release(["stranger"])
            detector.states.restore(["s"], held)


def test_after_a_gap_a_window_begins_anew(bundle: ModelBundle) -> None:
    values, gaps = tiny_series(6, 300), GapPolicy(reset_after_ms=5000, forget_after_ms=60_000)
    fresh = score(Detector(bundle, gaps=gaps), values, start=1000)
    used = Detector(bundle, gaps=gaps)
    score(used, tiny_series(7, 100))
    assert same(score(used, values, start=1000), fresh)


def test_a_bundle_keeps_its_prototypes(bundle: ModelBundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "with.safetensors")
    loaded = ModelBundle.load(tmp_path / "with.safetensors")
    assert loaded.digest == bundle.digest
    assert list(loaded.calibration.branches) == ["network_residuals", "prototypes"]
    assert list(loaded.calibration.tails)[-2:] == PARTS
    assert loaded.calibration.branches["prototypes"]["centres"].shape == (2, 24, TAPS, 2)
    assert same(score(Detector(loaded), tiny_series(9, 200)), score(Detector(bundle), tiny_series(9, 200)))


def test_without_prototypes_the_calibration_is_what_it_was(bundle: ModelBundle, tiny_bundle: ModelBundle) -> None:
    assert list(tiny_bundle.calibration.branches) == ["network_residuals"]
    for name, tail in tiny_bundle.calibration.tails.items():
        assert np.array_equal(tail.statistic, bundle.calibration.tails[name].statistic), "parts have tails of their own"


def test_a_shape_that_training_never_saw_is_far_from_all(bundle: ModelBundle) -> None:
    """One beat upside down, of the usual size: no value is unusual."""
    values = tiny_series(11, 600)
    odd = values.copy()
    odd[300:320, 0] = 2 * 50 - odd[300:320, 0]
    assert values[:, 0].min() < odd[300:320, 0].min() and odd[300:320, 0].max() < values[:, 0].max()
    branch = next(one for one in branches_of(bundle) if one.name == "prototypes")
    oracle = OracleWindow(branch.arrays["centres"], branch.arrays["floors"])
    found = np.array([oracle.measure(row)[0] for row in bundle.standardizer.apply(odd)])
    for part, name in enumerate(PARTS):
        assert found[310:330, part].max() > 5 * bundle.calibration.tails[name].statistic[-1]
        assert found[100:300, part].max() < 3 * bundle.calibration.tails[name].statistic[-1]


def test_states_go_on_only_where_the_pieces_are_the_same(bundle: ModelBundle, tiny_bundle: ModelBundle) -> None:
    """A model fine-tuned from one without prototypes has windows that its predecessor never filled."""
    tuned = dataclasses.replace(bundle, training={"start": tiny_bundle.label}, version=2)
    assert not is_continued_by(tiny_bundle, tuned) and not is_continued_by(tuned, tiny_bundle)
    other = dataclasses.replace(bundle, calibration=tiny_model(data=2, prototypes=16).calibration)
    assert is_continued_by(bundle, other), "other prototypes of as many samples"
    old, new = Detector(tiny_bundle), Detector(tuned)
    score(old, tiny_series(5, 100))
    assert not new.take_over(old)
    assert list(new.states.slots) == ["s"] and not new.states.pieces["prototype_windows"].any()
    with pytest.raises(SnapshotError, match="prototype_windows: expected float32"):
        Detector(tuned).states.restore(["s"], old.states.export())


def test_prototypes_rest_on_the_rows_before_those_that_calibrate(bundle: ModelBundle) -> None:
    values = tiny_series(1, 1200)
    changed = values.copy()
    changed[800:] += 3

    def centres(given: NDArray[np.float32], start: int) -> NDArray[np.float32]:
        found = calibrate(
            bundle.network, bundle.standardizer, [CalibrationSeries(given, start)], period_rows=40, prototypes=8
        )
        held: NDArray[np.float32] = found.branches["prototypes"]["centres"]
        return held

    assert np.array_equal(centres(values, 800), centres(changed, 800))
    assert not np.array_equal(centres(values, 801), centres(changed, 801))


def test_too_few_windows_make_no_branch(bundle: ModelBundle) -> None:
    values = tiny_series(3, TAPS + 99)
    found = fit_prototypes([values, values[: TAPS - 1]], bundle.standardizer, taps=TAPS, count=64)
    assert found is not None and found.centres.shape == (2, 100 // 4, TAPS, 2)
    for short in ([], [values[: TAPS - 1]], [values[:-1]]):
        assert fit_prototypes(short, bundle.standardizer, taps=TAPS, count=64) is None
    without = calibrate(
        bundle.network, bundle.standardizer, [CalibrationSeries(values, 60)], period_rows=40, prototypes=64
    )
    assert list(without.branches) == ["network_residuals"]


def test_a_window_longer_than_the_means_makes_the_warm_up_longer(bundle: ModelBundle) -> None:
    data = [CalibrationSeries(tiny_series(1, 1000), 600)]
    for prototypes, warm_up in ((0, 63), (8, 64)):
        found = calibrate(bundle.network, bundle.standardizer, data, period_rows=64, prototypes=prototypes)
        assert (found.burn_in, found.warm_up) == (21, warm_up)


def test_windows_of_a_recording_and_floors() -> None:
    """Channel 0 is a wave of deviation 1, channel 1 is constant; both of one series that is long enough for itself."""
    wave = np.sqrt(2) * np.sin(np.arange(900) * 2 * np.pi / TAPS)
    values = np.stack([wave, np.full(900, 7.0)], axis=1).astype(np.float32)
    branch = fit_prototypes([values], UNITS, taps=TAPS, count=TAPS)
    assert branch is not None
    assert branch.floors == pytest.approx([0.1, 0.01], rel=1e-4)
    centred, normalised = branch.centres
    assert np.square(centred).mean(axis=1) == pytest.approx(np.tile([1.0, 0.0], (TAPS, 1)), abs=2e-2)
    assert np.square(normalised).mean(axis=1) == pytest.approx(np.tile([1 / 1.01, 0.0], (TAPS, 1)), abs=2e-2)
    assert np.abs(centred.mean(axis=1)).max() < 1e-5


def test_training_rows_are_as_they_will_be_when_they_are_scored() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(0, 30, (300, 2)).astype(np.float32)
    values[rng.random((300, 2)) < 0.2] = np.nan
    values[0, 0], values[40, 1] = np.nan, np.inf
    units = Standardizer(np.array([3, -5], np.float32), np.array([2, 7], np.float32))
    x = np.empty_like(values)
    admit(
        np.zeros(300, np.int64),
        event_time_ms=np.arange(300),
        values=values,
        mean=units.mean,
        scale=units.scale,
        reset_after_ms=0,
        forget_after_ms=0,
        hole_rows=64,
        settle_rows=16,
        limit=INPUT_LIMIT,
        last_time=np.array([NEVER]),
        last=np.zeros((1, 2), np.float32),
        ages=np.zeros(1, np.int64),
        holes=np.zeros(1, np.int64),
        status=np.empty(300, np.uint8),
        reset=np.empty(300, np.uint8),
        observed=np.empty((300, 2), np.uint8),
        measured=np.empty(300, np.uint8),
        x=x,
        row_ages=np.empty(300, np.int64),
    )
    assert (x[0, 0], np.abs(x).max()) == (0, INPUT_LIMIT)
    as_scored = fit_prototypes([x], UNITS, taps=8, count=9)
    found = fit_prototypes([values], units, taps=8, count=9)
    assert found is not None and as_scored is not None
    assert np.array_equal(found.centres, as_scored.centres) and np.array_equal(found.floors, as_scored.floors)


def test_many_series_are_taken_from_evenly() -> None:
    """Of 60,000 windows a third are clustered: neither the first series alone nor the longest."""
    flat = [np.full((rows, 1), level, np.float32) for rows, level in ((30_000, 0), (20_000, 0), (10_000, 0))]
    for one, cycle in zip(flat, (5, 7, 11), strict=True):
        one[:, 0] = np.arange(len(one)) % cycle
    units = Standardizer(np.zeros(1, np.float32), np.ones(1, np.float32))
    branch = fit_prototypes(flat, units, taps=8, count=32)
    assert branch is not None
    window = np.lib.stride_tricks.sliding_window_view
    for one in flat:
        windows = window(one[:100, 0], 8)
        centred = windows - windows.mean(axis=1, keepdims=True)
        away = np.square(centred[:, None] - branch.centres[0][None, :, :, 0]).mean(axis=2).min(axis=1)
        assert away.max() < 1e-6


@pytest.mark.parametrize(
    ("period_rows", "channels", "taps"),
    [(0, 1, 64), (3, 1, 8), (20, 38, 20), (64, 16, 64), (65, 1, 64), (1440, 2, 64), (64, 38, 26), (64, 500, 8)],
)
def test_the_window_is_the_period_within_bounds(period_rows: int, channels: int, taps: int) -> None:
    assert taps_for(period_rows, channels) == taps


def test_a_stream_s_window_takes_its_samples() -> None:
    branch = Prototypes(np.zeros((2, 3, 64, 2), np.float32), np.ones(2, np.float32))
    piece = state_of([branch])["prototype_windows"]
    assert (piece.shape, branch.taps) == ((64, 2), 64)
    assert np.dtype(piece.dtype).itemsize * 64 * 2 == 512


def test_centres_of_what_lies_apart_are_the_means_of_each() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 10, (12, 6)).astype(np.float32)
    points = (np.repeat(true, 50, axis=0) + rng.normal(0, 0.1, (600, 6))).astype(np.float32)
    centres = cluster(points, 12)
    means = points.reshape(12, 50, 6).mean(axis=1)
    nearest = np.square(means[:, None] - centres[None]).sum(axis=2).argmin(axis=1)
    assert sorted(nearest.tolist()) == list(range(12))
    assert centres[nearest] == pytest.approx(means, abs=1e-4)
    assert np.array_equal(cluster(points, 12), centres)


def test_fewer_different_points_than_centres() -> None:
    points = np.repeat(np.array([[1.0, 2.0], [5.0, 6.0]], np.float32), 10, axis=0)
    centres = cluster(points, 5)
    assert {tuple(centre) for centre in centres.tolist()} == {(1.0, 2.0), (5.0, 6.0)}
    assert np.array_equal(cluster(points[:1], 3), np.repeat(points[:1], 3, axis=0))
