"""The validation of whole-window models by its definition, a window at a time; epochs; and the first parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest

from streamlstm.model.windows.network import WindowArchitecture
from streamlstm.training.options import TrainerOptions
from streamlstm.training.segments import Segment
from streamlstm.training.windows.sampler import cut_windows, gather
from streamlstm.training.windows.trainable import WindowTraining, initial_window_parameters

ROWS = 8


def part(rows: int, seed: int) -> Segment:
    rng = np.random.default_rng(seed)
    x = rng.normal(0.3, 1, (rows, 2)).astype(np.float32)
    observed = rng.random(x.shape) > 0.2
    return Segment(np.where(observed, x, 0).astype(np.float32), observed)


def training_of(arrangement: str, validation: list[Segment], **options: int) -> WindowTraining:
    a = WindowArchitecture(arrangement, 2, 5, ("lstm",), ROWS)
    return WindowTraining([part(100, 1), part(45, 2)], validation, a, TrainerOptions(**options))  # type: ignore[arg-type]  # counts


@pytest.mark.parametrize("arrangement", ["bidirectional", "encoder_decoder"])
@pytest.mark.parametrize(
    "lengths", [(30, 21, 5), (8 * 40,), (8 * 90, 8 * 37)], ids=["few", "two batches", "more than 64"]
)
def test_the_loss_is_the_mean_over_all_observed_values_of_at_most_64_windows(
    arrangement: str, lengths: tuple[int, ...]
) -> None:
    parts = [part(rows, seed + 5) for seed, rows in enumerate(lengths)]
    training = training_of(arrangement, parts)
    windows = cut_windows(parts, ROWS, lambda: 0)
    if len(windows) > 64:
        windows = [windows[round(place)] for place in np.linspace(0, len(windows) - 1, 64)]
    network = training.network(training.parameters)
    squares, count = 0.0, 0
    for window in windows:
        batch = gather(parts, [window])
        estimate = network.estimate(batch)
        seen = batch.observed.astype(bool)
        squares += float(np.square((estimate - batch.x)[seen], dtype=np.float64).sum())
        count += int(seen.sum())
    assert training.validate() == pytest.approx(squares / count, rel=1e-5)


def test_without_an_observed_value_there_is_no_loss() -> None:
    unseen = Segment(np.zeros((20, 2), np.float32), np.zeros((20, 2), bool))
    assert math.isnan(training_of("bidirectional", []).validate())
    assert math.isnan(training_of("bidirectional", [unseen]).validate())


def test_an_epoch_is_as_many_rows_as_there_are() -> None:
    training, rows = training_of("encoder_decoder", [], batch=3), 0
    assert training.epochs == 0
    for _ in range(25):
        rows += training.differentiate().rows
        assert training.epochs == rows // 145
    assert training.epochs >= 2


@pytest.mark.parametrize("arrangement", ["bidirectional", "encoder_decoder"])
def test_the_first_head_is_uniform_and_its_bias_zero(arrangement: str) -> None:
    a = WindowArchitecture(arrangement, 40, 50, ("lstm",), ROWS)
    parameters = initial_window_parameters(a, np.random.default_rng(3))
    weight, bound = parameters["head.weight"], 1 / math.sqrt(a.head_inputs)
    assert weight.shape == (40, a.head_inputs) and not parameters["head.bias"].any()
    assert 0.99 * bound < np.abs(weight).max() <= np.float32(bound)
    assert abs(weight.mean()) < 0.05 * bound and weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert len(parameters) == 2 + 3 * len(a.layers)
    for name, _, inputs in a.layers:
        assert parameters[f"{name}.w_ih"].shape == (200, inputs)
