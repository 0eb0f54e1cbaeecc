"""A stream unlike those of the training is scored in its own units, and no other stream is."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_models import tiny_model, tiny_series

from streamlstm.errors import BundleError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.usual_windows import usual_windows
from streamlstm.types import GapPolicy, Scores, Status

ROWS = 3000
AGES = (128, 512, 2048)


@pytest.fixture(scope="module")
def model() -> ModelBundle:
    return tiny_model(prototypes=16)


@pytest.fixture(scope="module")
def without(model: ModelBundle) -> ModelBundle:
    """The same model as an earlier release would have made it."""
    return replace(model, calibration=replace(model.calibration, usual={}))


def usual_stream() -> NDArray[np.float32]:
    return tiny_series(1, 4000)[500 : 500 + ROWS]


def foreign_stream() -> NDArray[np.float32]:
    """The same stream twice as lively, 120 l/min and 1 bar higher."""
    return (usual_stream() * [2.0, 2.0] + [70.0, -2.0]).astype(np.float32)


def scored(bundle: ModelBundle, values: NDArray[np.float32], *, detector: Detector | None = None) -> Scores:
    detector = detector or Detector(bundle)
    return detector.score(["s"] * len(values), 1000 * np.arange(len(values)), values)


def test_the_windows_of_the_training(model: ModelBundle) -> None:
    """Against means and differences taken one by one."""
    rng = np.random.default_rng(4)
    series = [rng.normal(0, 1, (700, 2)).cumsum(axis=0).astype(np.float32), rng.normal(5, 2, (300, 2)).astype("f4")]
    series[0][100:250, 1] = np.nan
    standardizer = Standardizer(np.array([1, 2], np.float32), np.array([3, 4], np.float32))
    found = usual_windows(series, standardizer, period_rows=0, warm_up=20)
    assert found["ages"].tolist() == [128]  # fewer than four windows are of 512 rows
    z = [standardizer.apply(one).astype(float) for one in series]
    moves = [np.abs(np.diff(one, axis=0)) for one in z]
    caps = 5 * np.sqrt(np.nanmean(np.concatenate(moves) ** 2, axis=0))
    assert found["caps"] == pytest.approx(caps)
    windows = [one[at : at + 128, 0].mean() for one in z for at in range(0, len(one) - 127, 16)]
    assert found["locations"][0, :, 0] == pytest.approx([min(windows), max(windows)])
    rms = [
        np.sqrt(np.mean(np.minimum(one[at : at + 127, 0], caps[0]) ** 2))
        for one in moves
        for at in range(0, len(one) - 126, 16)
    ]
    assert found["movements"][0, :, 0] == pytest.approx([min(rms), np.median(rms), max(rms)])
    assert model.calibration.usual["ages"].tolist() == list(AGES)


def test_nothing_is_known_of_channels_that_were_never_observed_or_never_moved() -> None:
    values = np.full((600, 2), np.nan, np.float32)
    values[:, 1] = 7
    found = usual_windows([values], Standardizer.fit(values), period_rows=0, warm_up=20)
    assert not found["movements"].any() and not found["caps"].any()
    assert usual_windows([values[:130]], Standardizer.fit(values), period_rows=0, warm_up=20) == {}


def test_a_usual_stream_scores_as_it_always_did(model: ModelBundle, without: ModelBundle) -> None:
    """With a fault in it too: to the bit."""
    values = usual_stream()
    values[100:116, 0] += 25
    values[600:700, 1] += 2
    assert scored(model, values) == scored(without, values)


def test_a_foreign_stream_scores_as_the_usual_one_after_its_second_warm_up(
    model: ModelBundle, without: ModelBundle
) -> None:
    values, usual = foreign_stream(), usual_stream()
    values[1500:1510] += [2 * 25.0, 0.0]  # the same fault in its units
    usual[1500:1510] += [25.0, 0.0]
    expected, before, own = scored(without, usual), scored(without, values), scored(model, values)
    assert (before.score[200:500] >= 1).all()  # until its level has risen so far that nothing alarms any more
    assert np.nanmax(before.score[1500:1530]) < 0.5 * np.nanmax(expected.score[1500:1530])
    assert (own.score[AGES[0] // 2 : AGES[0]] >= 1).any()  # it alarms first
    ready = slice(AGES[0] + model.calibration.warm_up + 64, 1400)
    assert (own.score[ready] >= 1).mean() < 0.02
    assert np.nanmedian(own.score[ready]) < 2.5 * np.nanmedian(expected.score[ready])
    assert np.nanmax(own.score[1500:1530]) == pytest.approx(np.nanmax(expected.score[1500:1530]), rel=0.25)
    assert own.contribution[1503].argmax() == 0
    assert np.abs(own.expected[1000:1400] - values[1000:1400]).mean(axis=0) == pytest.approx(
        np.abs(expected.expected[1000:1400] - usual[1000:1400]).mean(axis=0) * 2.0, rel=0.25
    )


def test_each_change_of_units_is_another_warm_up(model: ModelBundle) -> None:
    own = scored(model, foreign_stream())
    warm_up = model.calibration.warm_up
    assert (own.status[:warm_up] == Status.WARMING).all() and (own.status[warm_up : AGES[0]] == Status.READY).all()
    assert (own.status[AGES[0] : AGES[0] + warm_up] == Status.WARMING).all()
    assert np.isnan(own.score[AGES[0] : AGES[0] + warm_up]).all()
    assert (own.status[AGES[0] + warm_up : AGES[1]] == Status.READY).all()


def test_what_comes_late_in_life_is_not_learnt(model: ModelBundle, without: ModelBundle) -> None:
    """A usual stream that moves away after the last age alarms as it always did."""
    values = usual_stream()
    values[AGES[-1] + 100 :] += [40.0, 0.0]
    own = scored(model, values)
    assert own == scored(without, values)
    assert (own.score[AGES[-1] + 150 :] >= 1).mean() > 0.5


def test_a_stuck_channel_is_not_new(model: ModelBundle, without: ModelBundle) -> None:
    values = usual_stream()
    values[:, 1] = 9.5
    assert scored(model, values) == scored(without, values)


def test_a_fault_among_the_first_samples_is_taken_back(model: ModelBundle) -> None:
    values = usual_stream()
    values[60:120, 0] += 60
    detector = Detector(model)
    own = scored(model, values[: AGES[0]], detector=detector)
    assert np.nanmax(own.score) > 1 and detector.states.pieces["own_units"][0].any()
    values = values[AGES[0] :]
    detector.score(["s"] * len(values), 1000 * np.arange(AGES[0], ROWS), values)
    assert not detector.states.pieces["own_units"][0].any()


@pytest.mark.parametrize("seed", range(4))
def test_batches_change_nothing(model: ModelBundle, seed: int) -> None:
    """Two new streams in one batch, late samples among them, cut anywhere; state goes through export and back."""
    rng = np.random.default_rng(seed)
    streams = rng.permutation(np.repeat([0, 1], ROWS))
    at = np.where(streams == 0, np.cumsum(streams == 0), np.cumsum(streams == 1)) - 1
    values = np.where(streams[:, None] == 0, foreign_stream()[at], usual_stream()[at]).astype(np.float32)
    times = 1000 * at
    late = rng.choice(np.arange(100, len(at)), 200, replace=False)
    times[late] = 5
    ids = ["new" if one == 0 else "known" for one in streams]
    whole = Detector(model).score(ids, times, values)
    detector = Detector(model)
    cuts = [0, *np.sort(rng.choice(len(ids), 25, replace=False)).tolist(), len(ids)]
    parts = []
    for begin, end in pairwise(cuts):
        parts.append(detector.score(ids[begin:end], times[begin:end], values[begin:end]))
        restored = Detector(model)
        restored.states.restore(list(detector.states.slots), detector.states.export())
        detector = restored
    assert np.array_equal(np.concatenate([one.score for one in parts]), whole.score, equal_nan=True)
    assert np.array_equal(np.concatenate([one.status for one in parts]), whole.status)
    assert np.array_equal(np.concatenate([one.expected for one in parts]), whole.expected, equal_nan=True)
    assert not detector.states.pieces["own_pending"].any()


@pytest.mark.parametrize("batch", [1, 7, 5000])
def test_a_gap_keeps_the_units_and_a_stream_that_is_forgotten_is_new(model: ModelBundle, batch: int) -> None:
    gaps = GapPolicy(reset_after_ms=60_000, forget_after_ms=3_600_000)
    values = foreign_stream()[:400]
    times = 1000 * np.arange(400)
    times[200:] += 600_000
    times[300:] += 7_200_000
    detector = Detector(model, gaps=gaps)
    units = []
    for first in range(0, 400, batch):
        part = slice(first, first + batch)
        detector.score(["s"] * len(values[part]), times[part], values[part])
        units.append(bool(detector.states.pieces["own_units"][0].any()))
    assert not units[-1] and detector.states.pieces["own_rows"][0] == 100
    if batch == 1:
        assert units[128:300] == [True] * 172 and not any(units[300:])


def test_only_streams_with_units_of_their_own_are_new_to_another_model(model: ModelBundle) -> None:
    old, new = Detector(model), Detector(tiny_model(weights=5, prototypes=16))
    old.score(["foreign"] * 300, 1000 * np.arange(300), foreign_stream()[:300])
    old.score(["usual"] * 300, 1000 * np.arange(300), usual_stream()[:300])
    assert not new.take_over(old)
    rows = dict(zip(new.states.slots, new.states.pieces["own_rows"][new.states.in_order()].tolist(), strict=True))
    assert rows == {"foreign": 0, "usual": AGES[-1]}


def test_a_bundle_keeps_the_windows_and_refuses_others(model: ModelBundle, tmp_path: Path) -> None:
    model.save(tmp_path / "m.safetensors")
    kept = ModelBundle.load(tmp_path / "m.safetensors")
    assert scored(kept, foreign_stream()[:400]) == scored(model, foreign_stream()[:400])
    usual = model.calibration.usual
    for broken in (
        {name: array for name, array in usual.items() if name != "caps"},
        {**usual, "ages": usual["ages"][::-1].copy()},
        {**usual, "locations": usual["locations"][:, :, :1].copy()},
        {**usual, "movements": usual["movements"] * np.nan},
    ):
        with pytest.raises(BundleError, match="usual windows"):
            Detector(replace(model, calibration=replace(model.calibration, usual=broken)))
