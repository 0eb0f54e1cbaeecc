"""Whole-window models in training and scoring: what counts, repeatable, learns, finds a fault, and knows gaps.

The recordings were chosen with their results in view: they guard what was reached, and say nothing of others.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamlstm.errors import DataError, UsageError
from streamlstm.kernels import CELL_FIELDS, CellKind, CellWeights
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.model.windows.batch import WindowBatch, without_holes
from streamlstm.model.windows.network import WindowArchitecture, WindowNetwork
from streamlstm.scoring.windows.detector import WindowDetector
from streamlstm.scoring.windows.errors import Estimates, statistics_of, width_for
from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import Parameters
from streamlstm.training.segments import Segment
from streamlstm.training.trainer import TrainingProgress, ValidationPoint, fit
from streamlstm.training.windows.fit import train_window_model
from streamlstm.training.windows.trainable import WindowTraining, differentiate_windows, initial_window_parameters
from streamlstm.types import GapPolicy, Status

DATA = Path(os.environ.get("STREAMLSTM_SHARED", Path(__file__).parents[4] / "shared")) / "data"
ARRANGEMENTS = ["bidirectional", "encoder_decoder"]
ROWS, LIVE, FAULT = 2900, 2400, slice(2650, 2690)


def pump() -> NDArray[np.float32]:
    """Flow and pressure of a pump, pressure out of step within FAULT."""
    rng, phase = np.random.default_rng(11), np.arange(ROWS) / 36 * 2 * np.pi
    flow = 50 + 8 * np.sin(phase) + rng.normal(0, 0.4, ROWS)
    lag = np.full(ROWS, 0.7)
    lag[FAULT] = -1.3
    pressure = 3 + 0.4 * np.cos(phase - lag) + rng.normal(0, 0.03, ROWS)
    return np.stack([flow, pressure], axis=1).astype(np.float32)


def network_of(a: WindowArchitecture, p: Parameters) -> WindowNetwork:
    layers = [
        CellWeights(CellKind(cell), **{f: p[key] for f in CELL_FIELDS if (key := f"{name}.{f}") in p})
        for name, cell, _ in a.layers
    ]
    return WindowNetwork(a, tuple(layers), p["head.weight"], p["head.bias"])


def random_batch(lengths: list[int], seed: int) -> WindowBatch:
    rng = np.random.default_rng(seed)
    shape = (max(lengths), len(lengths), 2)
    observed = (rng.random(shape) > 0.2) & (np.arange(shape[0])[:, None, None] < np.array(lengths)[:, None])
    x = np.where(observed, rng.normal(0.2, 1, shape), 0)
    return WindowBatch(x.astype(np.float32), observed.astype(np.float32), np.array(lengths))


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
@settings(max_examples=10)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4), seed=st.integers(0, 999))
def test_loss_and_gradients_of_a_padded_batch_are_those_of_its_windows(
    arrangement: str, lengths: list[int], seed: int
) -> None:
    a = WindowArchitecture(arrangement, 2, 5, ("lstm", "gru"), 12)
    network = network_of(a, initial_window_parameters(a, np.random.default_rng(seed)))
    batch, phase = random_batch(lengths, seed), np.random.default_rng(seed).integers(0, 12, len(lengths))
    counted = batch.observed * (a.blanked(batch, phase) if arrangement == "bidirectional" else 1)
    of_lane = counted.sum(axis=(0, 2))
    batch.x[batch.observed == 0] = 5.0  # what is missing or padding is not looked at
    loss, gradients = differentiate_windows(network, batch, phase)
    total, sums = 0.0, {name: np.zeros_like(array) for name, array in gradients.items()}
    for lane, length in enumerate(lengths):
        one = slice(lane, lane + 1)
        alone = WindowBatch(batch.x[:length, one].copy(), batch.observed[:length, one].copy(), batch.lengths[one])
        part, found = differentiate_windows(network, alone, phase[one])
        share = float(of_lane[lane]) / max(float(of_lane.sum()), 1.0)
        total += share * part
        for name in sums:
            sums[name] += np.float32(share) * found[name]
    assert loss == pytest.approx(total, rel=1e-5, abs=1e-7)
    for name, array in gradients.items():
        np.testing.assert_allclose(array, sums[name], rtol=1e-4, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_the_gradient_is_that_of_the_loss(arrangement: str) -> None:
    a = WindowArchitecture(arrangement, 2, 5, ("gru", "lstm"), 12)
    parameters = initial_window_parameters(a, np.random.default_rng(1))
    for array in parameters.values():
        array += np.random.default_rng(array.size).normal(0, 0.2, array.shape).astype(np.float32)
    batch, phase = random_batch([12, 12, 7], 2), np.array([0, 5, 10])
    _, gradients = differentiate_windows(network_of(a, parameters), batch, phase)
    rng = np.random.default_rng(3)
    for name in parameters:
        direction = rng.normal(0, 1, parameters[name].shape)
        losses = []
        for step in (1e-2, -1e-2):
            moved = parameters | {name: (parameters[name] + step * direction).astype(np.float32)}
            losses.append(differentiate_windows(network_of(a, moved), batch, phase)[0])
        wanted = (losses[0] - losses[1]) / 2e-2
        assert float((gradients[name] * direction).sum()) == pytest.approx(wanted, rel=2e-2, abs=2e-3), name


def sines(rows: int) -> Segment:
    time = np.arange(rows)
    x = np.stack([np.sin(time / 3.1), 0.7 * np.cos(time / 5.3)], axis=1).astype(np.float32)
    return Segment(x, np.ones(x.shape, bool))


OPTIONS = TrainerOptions(batch=8, max_updates=60, validate_every=10, seed=3)


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_the_same_seed_gives_the_same_bits_and_training_keeps_the_best(arrangement: str) -> None:
    a = WindowArchitecture(arrangement, 2, 12, ("lstm",), 24)
    parts, later = [sines(500), sines(90), sines(11)], [sines(200)]
    one, same = (fit(WindowTraining(parts, later, a, OPTIONS)) for _ in range(2))
    other = fit(WindowTraining(parts, later, a, dataclasses.replace(OPTIONS, seed=4)))
    assert one.history == same.history
    assert one.network.head_weight.tobytes() == same.network.head_weight.tobytes()
    assert one.network.layers[0].w_hh.tobytes() == same.network.layers[0].w_hh.tobytes()
    assert one.network.head_weight.tobytes() != other.network.head_weight.tobytes()
    assert one.best_validation_loss == min(point.validation_loss for point in one.history)
    long = fit(WindowTraining(parts, later, a, dataclasses.replace(OPTIONS, max_updates=300, validate_every=30)))
    assert long.best_validation_loss < 0.1  # the mean alone gives 0.37


class Stopped(Exception):
    pass


def arrays(network: WindowNetwork) -> list[NDArray[np.float32]]:
    layers = [getattr(layer, name) for layer in network.layers for name in CELL_FIELDS]
    return [*(array for array in layers if array is not None), network.head_weight, network.head_bias]


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    a, file = WindowArchitecture("bidirectional", 2, 4, ("lstm",), 16), tmp_path / "run.checkpoint"
    options = dataclasses.replace(OPTIONS, max_updates=4, validate_every=2)
    parts = [sines(60)]
    fit(WindowTraining(parts, parts, a, options), checkpoint=file)
    before = file.read_bytes()
    for others, architecture, o in (
        (parts, a, dataclasses.replace(options, seed=9)),
        (parts, dataclasses.replace(a, rows=12), options),
        (parts, dataclasses.replace(a, arrangement="encoder_decoder"), options),
        ([sines(61)], a, options),
    ):
        with pytest.raises(DataError, match="of other data or options; train as before to go on with it, or delete it"):
            fit(WindowTraining(others, parts, architecture, o), checkpoint=file, resume=True)
    for others in ([sines(61)], [*parts, *parts], []):
        with pytest.raises(DataError, match="of other data or options"):
            fit(WindowTraining(parts, others, a, options), checkpoint=file, resume=True)
    unrelated = dataclasses.replace(options, bptt_steps=77, loss="huber")  # whole-window models have no such options
    assert fit(WindowTraining(parts, parts, a, unrelated), checkpoint=file, resume=True).updates == 4
    assert file.read_bytes() == before


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_resumed_runs_end_in_the_same_bits(arrangement: str, tmp_path: Path) -> None:
    a = WindowArchitecture(arrangement, 2, 8, ("lstm",), 24)
    options = dataclasses.replace(OPTIONS, max_updates=40, validate_every=3, schedule="plateau")
    parts, later, file = [sines(300), sines(90), sines(11)], [sines(200)], tmp_path / "run.checkpoint"

    unbroken = fit(WindowTraining(parts, later, a, options))
    for stop_at in (3, 18, 27):

        def stop(point: ValidationPoint, stop_at: int = stop_at) -> None:
            if point.update == stop_at:
                raise Stopped

        with pytest.raises(Stopped):
            fit(WindowTraining(parts, later, a, options), checkpoint=file, resume=True, on_validation=stop)
    progress, points = list[TrainingProgress](), list[ValidationPoint]()
    resumed = fit(
        WindowTraining(parts, later, a, options),
        checkpoint=file,
        resume=True,
        on_progress=progress.append,
        on_validation=points.append,
    )
    assert progress[0].update == 28
    assert resumed.history == unbroken.history == tuple(points)
    assert (resumed.updates, resumed.best_update) == (unbroken.updates, unbroken.best_update)
    for one, two in zip(arrays(resumed.network), arrays(unbroken.network), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_training_has_met_missing_values(arrangement: str) -> None:
    """Each third value missing costs little, beside a network that was shown everything and scores everything."""
    a = WindowArchitecture(arrangement, 2, 16, ("lstm",), 24)
    options = dataclasses.replace(OPTIONS, max_updates=400, validate_every=40)
    network = fit(WindowTraining([sines(900)], [sines(200)], a, options)).network
    x = np.repeat(sines(24).x[:, None], 2, axis=1)
    batch = WindowBatch(x, np.ones_like(x), np.array([24, 24]))
    batch.observed[:, 1] = np.random.default_rng(2).random((24, 2)) > 1 / 3
    errors = np.square((network.estimate(batch) - batch.x) * batch.observed).sum(axis=(0, 2))
    whole, holed = errors / batch.observed.sum(axis=(0, 2))
    assert whole < 0.1
    assert holed < 0.25  # the mean alone gives 0.37


def test_without_a_value_there_is_nothing_to_train_on() -> None:
    a = WindowArchitecture("bidirectional", 2, 4, ("lstm",), 8)
    empty = Segment(np.zeros((40, 2), np.float32), np.zeros((40, 2), bool))
    with pytest.raises(DataError, match="expected observed values to train on, got none"):
        WindowTraining([empty], [], a, OPTIONS)


@pytest.fixture(scope="module", params=ARRANGEMENTS)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> WindowBundle:
    said: list[str] = []
    trained = train_window_model(
        pump()[:LIVE],
        arrangement=request.param,
        period_s=1.0,
        channels=["flow", "pressure"],
        window=48,
        hidden=16,
        max_updates=250,
        on_choice=said.append,
    )
    assert said[0] == f"{request.param}: scores whole windows of 48 rows, recordings only"
    assert not any("reconstruct" in sentence or "forecast" in sentence for sentence in said)
    path = tmp_path_factory.mktemp("window") / "pump.safetensors"
    trained.save(path)
    return WindowBundle.load(path)


def test_the_fault_is_found_and_a_stream_is_scored_by_itself(bundle: WindowBundle) -> None:
    live = pump()[LIVE:]
    count, times = len(live), np.arange(len(live), dtype=np.int64) * 1000
    detector = WindowDetector(bundle)
    alone = detector.score(["pump"] * count, times, live)
    fault = slice(FAULT.start - LIVE, FAULT.stop - LIVE)
    away = np.ones(count, bool)
    away[fault.start - 60 : fault.stop + 60] = False  # a window that holds a part of it, and half a mean
    assert alone.score[fault].max() > 1.0
    assert alone.score[away].max() < 1.0
    assert (alone.status == Status.READY).all()
    np.testing.assert_allclose(alone.contribution.sum(axis=1), 1, atol=1e-5)
    assert alone.contribution[fault, 1].mean() > alone.contribution[away, 1].mean()
    assert np.abs(alone.expected[away, 0] - live[away, 0]).mean() < 3  # flow's deviation is 5.7

    mixed = detector.score(["other", "pump"] * count, np.repeat(times, 2), np.repeat(live, 2, axis=0)[::1])
    np.testing.assert_array_equal(mixed.score[1::2], alone.score)


def test_missing_late_and_silent_samples(bundle: WindowBundle) -> None:
    live = np.insert(pump()[LIVE : LIVE + 219], 60, [7, 7], axis=0)
    live[30, 1] = np.nan
    live[100:175] = np.nan
    times = np.arange(220, dtype=np.int64) * 1000
    times[60:] -= 1000  # row 60 is not newer than row 59
    scores = WindowDetector(bundle).score(["pump"] * 220, times, live)
    assert [Status(s) for s in scores.status[[29, 30, 60, 61, 150, 180]]] == [
        Status.READY,
        Status.IMPUTED,
        Status.LATE,
        Status.READY,
        Status.GAP,
        Status.READY,
    ]
    assert np.isnan(scores.score[[60, 150]]).all()
    assert np.isfinite(scores.score[[29, 30, 61, 98, 205]]).all()
    assert (scores.score[np.isfinite(scores.score)] >= 1).mean() < 0.05  # the ends are the hard places

    times[90:] += 60_000  # 90 rows before the silence, 130 after
    times[198:] += 60_000  # and 23, one less than half a window: too few to say anything
    gaps = GapPolicy(reset_after_ms=10_000)
    split = WindowDetector(bundle, gaps=gaps).score(["pump"] * 220, times, live)
    first = WindowDetector(bundle).score(["pump"] * 90, times[:90], live[:90])
    np.testing.assert_array_equal(split.score[:90], first.score)
    assert (split.status[175:] == Status.WARMING).all()
    assert np.isnan(split.score[175:]).all()


def test_a_statistic_is_the_mean_around_a_row() -> None:
    squares = np.arange(24, dtype=np.float64).reshape(12, 2)
    observed = np.ones((12, 2), bool)
    observed[4], squares[4], observed[7, 0], squares[7, 0] = False, 0, False, 0
    scales = np.array([0.5, 2], np.float32)
    found, shares = statistics_of(Estimates(squares, squares.astype(np.float32), observed), scales, 5)
    for row in range(12):
        begin = min(max(row - 2, 0), 7)
        means = [
            sum(squares[r, c] / scales[c] ** 2 for c in range(2) if observed[r, c]) / observed[r].sum()
            for r in range(begin, begin + 5)
            if observed[r].any()
        ]
        assert found[row] == pytest.approx(np.mean(means))
    np.testing.assert_allclose(shares.sum(axis=1), found)
    assert [width_for(36, 48), width_for(0, 48), width_for(9000, 512), width_for(9000, 64)] == [18, 24, 128, 32]


def test_a_series_is_parted_at_its_holes() -> None:
    observed = np.ones((20, 2), bool)
    observed[:2] = observed[6:9] = observed[12:14] = observed[19] = False
    observed[10, 0] = False
    assert without_holes(observed, hole=3) == [(2, 6), (9, 19)]
    assert without_holes(observed, hole=2) == [(2, 6), (9, 12), (14, 19)]
    assert without_holes(observed[:2], hole=1) == []


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(UsageError, match="arrangement: expected bidirectional or encoder_decoder, got 'sideways'"):
        train_window_model(pump()[:LIVE], arrangement="sideways")
    with pytest.raises(DataError, match="window: expected at most 960 rows, twice the longest part"):
        train_window_model(pump()[:LIVE], arrangement="bidirectional", window=1000)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"recordings are not at {DATA}")
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
@pytest.mark.parametrize("name", ["mitbih/205", "smd/machine-1-2"])
def test_anomalies_of_a_real_recording_score_higher_than_chance(name: str, arrangement: str) -> None:
    with np.load(DATA / f"{name}.npz") as file:
        end = int(file["train_len"])
        part = slice(max(end - 36_000, 0), end + 40_000)
        values, label, begin = file["values"][part], file["label"][part] > 0, end - part.start
    model = train_window_model(values[:begin], arrangement=arrangement, period_s=4e-3, max_updates=100)
    live, label = values[begin:], label[begin:]
    scores = WindowDetector(model).score(["one"] * len(live), np.arange(len(live)) * 4, live).score
    order = np.argsort(-scores, kind="stable")
    hits = label[order]
    precision = float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())
    chance = [
        float((np.cumsum(moved) / np.arange(1, len(moved) + 1))[moved].mean())
        for shift in np.random.default_rng(1).integers(1, len(label), 200)
        if (moved := np.roll(label, shift)[order]).any()
    ]
    print(f"{name}, {arrangement}: average precision {precision:.2f}, by chance {np.mean(chance):.2f}")
    assert np.mean(np.array(chance) >= precision) < 0.05
