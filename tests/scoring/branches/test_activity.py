"""The branch of activity: fitted where shapes do not repeat, measured as defined, carried from batch to batch."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import lfilter
from scoring.oracle import OracleStream
from tiny_models import least_squares_model, tiny_model, tiny_series

from streamlstm.errors import BundleError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.channels import ChannelRules
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.branches.activity import Activity, fit_activity
from streamlstm.scoring.branches.clean_rows import CalibrationSeries, CleanRows
from streamlstm.scoring.branches.known import branches_of
from streamlstm.scoring.branches.prototypes import do_shapes_repeat
from streamlstm.scoring.continuation import is_continued_by
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.forward import Forward
from streamlstm.types import GapPolicy, Scores

PARTS = ["activity/spread", "activity/trend"]


def load_of(seed: int, rows: int) -> NDArray[np.float32]:
    """Two channels of a server's load: noise that wanders, and bursts of any length, [T, 2]."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (rows, 2)) * np.exp(0.3 * rng.normal(0, 1, (rows, 1)))
    wander = lfilter([0.05], [1, -0.99], rng.normal(0, 1, (rows, 2)), axis=0)
    return (np.array([40, 7]) + np.array([5, 0.8]) * (noise + wander)).astype(np.float32)


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return least_squares_model(
        load_of(1, 4000), weights=12, hidden=24, period_rows=0, channels=("cpu", "wait"), prototypes=24
    )


def score(detector: Detector, values: NDArray[np.float32], start: int = 0) -> Scores:
    times = (start + np.arange(len(values), dtype=np.int64)) * 1000
    return detector.score(["s"] * len(values), times, values)


def same(one: Scores, other: Scores) -> bool:
    names = ("score", "p_value", "status", "expected", "contribution")
    return all(np.array_equal(getattr(one, n), getattr(other, n), equal_nan=n != "status") for n in names)


def test_it_stands_in_for_normalised_windows_where_shapes_do_not_repeat(bundle: ModelBundle) -> None:
    found = bundle.calibration
    assert list(found.branches) == ["network_residuals", "prototypes", "activity"]
    assert list(found.tails)[-4:] == ["prototypes/centred", "prototypes/normalised", *PARTS]
    assert [found.tails[part].weight for part in list(found.tails)[-4:]] == [1.0, 0.0, 1.0, 1.0]
    assert sum(tail.weight for tail in found.tails.values()) == pytest.approx(6.0)
    waves = tiny_model(prototypes=24).calibration
    assert list(waves.branches) == ["network_residuals", "prototypes"]
    assert list(waves.tails)[-2:] == ["prototypes/centred", "prototypes/normalised"]


def test_scores_equal_their_definition(bundle: ModelBundle) -> None:
    values = load_of(5, 260)
    values[60, 0], values[80], values[81, 1] = np.nan, np.nan, np.nan
    values[150:170, 1] += 3
    detector = Detector(bundle)
    found = score(detector, values)
    stream = OracleStream(bundle, detector.budget_surprise)
    expected = [stream.score([float(v) for v in row]) for row in values]
    warm_up = bundle.calibration.warm_up
    wanted = pytest.approx(np.array(expected[warm_up:], float), rel=2e-3, abs=1e-4, nan_ok=True)
    assert warm_up == 64 and found.score[warm_up:] == wanted
    assert len(stream.moves) == 2 and all(stream.moves) and len(stream.distances) == 2


@settings(max_examples=20)
@given(st.lists(st.integers(1, 300), max_size=5), st.booleans())
def test_bits_do_not_depend_on_batches_or_restarts(bundle: ModelBundle, cuts: list[int], restart: bool) -> None:
    values = load_of(6, 300)
    values[200:210, 0] += 40
    whole = score(Detector(bundle), values)
    detector, places = Detector(bundle), sorted({0, 300, *cuts})
    for begin, end in itertools.pairwise(places):
        part = score(detector, values[begin:end], begin)
        for name in ("score", "p_value", "status", "contribution"):
            assert np.array_equal(getattr(part, name), getattr(whole, name)[begin:end], equal_nan=name != "status")
        if restart:
            held = detector.states.export()
            detector = Detector(bundle)
            detector.states.slots_of(["stranger"])
            detector.states.release(["stranger"])
            detector.states.restore(["s"], held)


def test_after_a_gap_the_means_begin_anew(bundle: ModelBundle) -> None:
    values, gaps = load_of(6, 300), GapPolicy(reset_after_ms=5000, forget_after_ms=60_000)
    fresh = score(Detector(bundle, gaps=gaps), values, start=1000)
    used = Detector(bundle, gaps=gaps)
    score(used, 3 * load_of(7, 100))
    assert same(score(used, values, start=1000), fresh)


def test_a_bundle_keeps_the_branch(bundle: ModelBundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "with.safetensors")
    loaded = ModelBundle.load(tmp_path / "with.safetensors")
    assert loaded.digest == bundle.digest
    assert list(loaded.calibration.tails) == list(bundle.calibration.tails)
    assert same(score(Detector(loaded), load_of(9, 200)), score(Detector(bundle), load_of(9, 200)))


@pytest.mark.parametrize(
    ("name", "numbers", "message"),
    [
        ("scales", np.ones((2, 3), np.float32), "scales: expected"),
        ("scales", np.zeros((2, 2), np.float32), "scales above 0"),
        ("widths", np.array([8, 4], np.float32), "that do not fall"),
        ("widths", np.array([8], np.float32), "widths: expected"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(
    bundle: ModelBundle, name: str, numbers: NDArray[np.float32], message: str
) -> None:
    c = bundle.calibration
    wrong = dict(c.branches) | {"activity": dict(c.branches["activity"]) | {name: numbers}}
    with pytest.raises(BundleError, match=message):
        branches_of(dataclasses.replace(bundle, calibration=dataclasses.replace(c, branches=wrong)))


def test_what_moves_more_is_found_by_it_and_names_its_channel(bundle: ModelBundle) -> None:
    """A channel that becomes three times as restless."""
    values = load_of(11, 900)
    centre = np.float32(7)
    values[600:640, 1] = centre + 3 * (values[600:640, 1] - centre)
    detector = Detector(bundle)
    scores, said = detector.score_by_part(["s"] * 900, np.arange(900) * 1000, values)
    spread = said[:, list(bundle.calibration.tails).index(PARTS[0])]
    assert np.median(spread[610:640]) > 4 > np.quantile(spread[100:600], 0.9)
    assert np.median(scores.contribution[610:640, 1]) > 0.7


def test_states_go_on_only_where_the_pieces_are_the_same(bundle: ModelBundle) -> None:
    without = dataclasses.replace(
        bundle,
        training={"start": bundle.label},
        version=2,
        calibration=dataclasses.replace(
            bundle.calibration,
            branches={k: v for k, v in bundle.calibration.branches.items() if k != "activity"},
            tails={k: v for k, v in bundle.calibration.tails.items() if k not in PARTS},
        ),
    )
    assert not is_continued_by(bundle, without) and is_continued_by(bundle, bundle)
    assert branches_of(bundle)[2].state["activity"].shape == (3, 2)


def clean_rows(series: list[CalibrationSeries], prototypes: int) -> CleanRows:
    """Rows of two channels in units of their own."""
    units = Standardizer(np.zeros(2, np.float32), np.ones(2, np.float32))
    rules = ChannelRules.of({}, ["", ""], units)
    return CleanRows(Forward(tiny_model().network, units), series, 0, rules, prototypes)


def test_scales_are_what_is_usual_before_the_calibration_rows() -> None:
    rows = np.random.default_rng(3).normal(0, [1, 3], (6000, 2)).astype(np.float32)
    rows[5000:] *= 9

    def fitted(prototypes: int = 8, start: int = 5000) -> Activity | None:
        series = [CalibrationSeries(rows, start), CalibrationSeries(rows[:30], 30)]
        return fit_activity(clean_rows(series, prototypes))

    found = fitted()
    assert found is not None
    # Of white noise of variance 1: means at rates a and b have variances of a / (2 - a) and b / (2 - b), here 1 / 8 and
    # 1 / 64, and the covariance ab / (a + b - ab).
    assert found.scales[0] == pytest.approx([7 / 8, 9 * 7 / 8], rel=0.1)
    assert found.scales[1] == pytest.approx([0.0851, 9 * 0.0851], rel=0.15)
    assert fitted(prototypes=0) is None, "nothing says whether shapes repeat"
    assert fitted(start=127) is None and fitted(start=128) is not None
    flat = fit_activity(clean_rows([CalibrationSeries(0 * rows, 5000)], 8))
    assert flat is not None and (flat.scales == np.float32(1e-4)).all()


def test_shapes_repeat_where_most_windows_have_one_like_them() -> None:
    waves = np.array([0.1] * 60 + [0.9] * 40, np.float32)
    assert do_shapes_repeat(waves) and not do_shapes_repeat(1 - waves)


def test_a_model_of_waves_says_what_it_said_before_there_was_activity() -> None:
    """Its branches and rows are those of residuals and prototypes alone."""
    found = tiny_model(prototypes=24).calibration
    assert (found.warm_up, found.burn_in, found.rows) == (48, 16, 2000)
    assert len(tiny_series(1, 4000)) - 2000 == found.rows
