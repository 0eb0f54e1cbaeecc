"""Training as a whole: repeatable, stops and restores, learns, says how far it is."""

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.errors import DataError, UsageError
from streamlstm.kernels import CELL_FIELDS, state_size, unroll
from streamlstm.model.network import Architecture, Network
from streamlstm.training import trainer
from streamlstm.training.causal.trainable import CausalTraining
from streamlstm.training.choices import choose_options
from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import initial_parameters, to_network
from streamlstm.training.segments import Segment
from streamlstm.training.trainer import FitResult, TrainingProgress

SMALL = TrainerOptions(
    hidden=16,
    forecast=4,
    reconstruct=12,
    bptt_steps=24,
    batch=8,
    reset_every=120,
    burn_in=6,
    max_updates=60,
    validate_every=10,
)


def segment(values: NDArray[np.float64]) -> Segment:
    return Segment(values.astype(np.float32), np.ones(values.shape, bool))


def mixture(rows: int, *, seed: int, noise: float = 0.05) -> NDArray[np.float64]:
    """Two channels, each two sines of incommensurate periods, and noise."""
    time = np.arange(rows)
    rng = np.random.default_rng(seed)
    one = np.sin(time / 3.1) + 0.4 * np.sin(time / 7.7 + 1)
    two = 0.8 * np.cos(time / 3.1) + 0.6 * np.sin(time / 11.3)
    return np.stack([one, two], axis=1) + rng.normal(0, noise, (rows, 2))


def arrays(network: Network) -> list[NDArray[np.float32]]:
    layers = [getattr(layer, name) for layer in network.layers for name in CELL_FIELDS]
    return [*(array for array in layers if array is not None), network.head_weight, network.head_bias]


def fit(seed: int, **changes: float) -> FitResult:
    values = mixture(1200, seed=5)
    options = dataclasses.replace(SMALL, seed=seed, **changes)  # type: ignore[arg-type]
    return trainer.fit(
        CausalTraining([segment(values[:700]), segment(values[700:900])], [segment(values[900:])], options)
    )


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    one, same, other = fit(3), fit(3), fit(4)
    assert one.history == same.history
    for a, b in zip(arrays(one.network), arrays(same.network), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.network.head_weight, other.network.head_weight)


def test_it_learns_a_mixture_of_sines_and_the_network_forecasts_it() -> None:
    values = mixture(4000, seed=1)
    options = dataclasses.replace(SMALL, hidden=24, max_updates=300, batch=16, validate_every=50)
    result = trainer.fit(CausalTraining([segment(values[:3000])], [segment(values[3000:])], options))
    assert result.best_validation_loss < 0.06  # the mean alone gives 0.54, the noise is 0.0025
    network = result.network
    x = values[3000:].astype(np.float32)
    y = unroll(network.layers, x[:, None], state=np.zeros((1, 48), np.float32)).y[:, 0]
    outputs = (y @ network.head_weight.T + network.head_bias).reshape(len(x), 5, 2)
    for horizon in range(5):  # 0: the newest sample itself
        error = outputs[100 : len(x) - 4, horizon] - x[100 + horizon : len(x) - 4 + horizon]
        assert np.square(error).mean() < 0.06, horizon


@pytest.mark.parametrize(
    ("cells", "projection"),
    [
        (("peephole",), 0),
        (("gru",), 0),
        (("gru_reset_before",), 0),
        (("rnn",), 0),
        (("lstm",), 9),
        (("rnn", "lstm", "gru"), 10),
    ],
)
def test_every_cell_learns_a_sine_that_it_forecasts_better_than_the_mean(
    cells: tuple[str, ...], projection: int
) -> None:
    time = np.arange(1500)
    values = np.stack([np.sin(time / 3.1), 0.7 * np.cos(time / 5.3)], axis=1)
    options = dataclasses.replace(
        SMALL, cells=cells, projection=projection, max_updates=120, learning_rate=1e-2, validate_every=30
    )
    result = trainer.fit(CausalTraining([segment(values[:1100])], [segment(values[1100:])], options))
    network, x = result.network, values[1100:].astype(np.float32)
    assert network.architecture.cells == cells
    assert result.best_validation_loss < 0.1  # the mean gives 0.37
    y = unroll(network.layers, x[:, None], state=np.zeros((1, state_size(network.layers)), np.float32)).y[:, 0]
    outputs = (y @ network.head_weight.T + network.head_bias).reshape(len(x), 5, 2)
    error = outputs[100:-4, 3] - x[103:-1]
    assert np.square(error).mean() < 0.3 * np.square(x[103:-1]).mean()


def test_first_values_of_every_cell() -> None:
    architecture = Architecture(3, 8, ("lstm", "peephole", "gru", "gru_reset_before", "rnn"), 2, 5, projection=6)
    parameters = initial_parameters(architecture, np.random.default_rng(1))
    shapes = {name: array.shape for name, array in parameters.items()}
    assert shapes["layers.0.w_hh"] == (32, 6) and shapes["layers.0.w_hr"] == (6, 8)
    assert shapes["layers.1.w_ih"] == (32, 6) and shapes["layers.1.peephole"] == (3, 8)
    assert shapes["layers.2.w_ih"] == (24, 6) and shapes["layers.2.bias_hn"] == (8,)
    assert shapes["layers.3.w_ih"] == (24, 8) and "layers.3.bias_hn" not in shapes
    assert shapes["layers.4.w_hh"] == (8, 8) and shapes["head.weight"] == (3 * 7, 8)
    for layer in to_network(architecture, parameters).layers:
        gates = layer.w_hh.reshape(layer.kind.gates, 8, -1).astype(np.float64)
        for gate in gates:
            np.testing.assert_allclose(gate.T @ gate, np.eye(layer.output_size), atol=1e-6)
        assert all(array.std() > 0 for array in (layer.w_ih, *gates))
        keeps = np.zeros_like(layer.bias)
        keeps[8:16] = 1  # f, z; the RNN has no such gate
        assert np.array_equal(layer.bias, keeps[: len(layer.bias)])
    assert 0 < np.abs(parameters["layers.1.peephole"]).max() <= 0.1


def test_early_stopping_returns_the_best() -> None:
    """The validation part is another signal, which is soon forgotten for the training part's."""
    train = segment(mixture(300, seed=2, noise=0.6))
    validation = segment(np.random.default_rng(9).normal(0.5, 1, (300, 2)))
    options = dataclasses.replace(SMALL, max_updates=400, validate_every=5, patience=3, batch=4, learning_rate=0.03)
    result = trainer.fit(CausalTraining([train], [validation], options))
    assert result.updates < 400
    assert result.updates == result.best_update + 15
    losses = {point.update: point.validation_loss for point in result.history}
    assert losses[result.best_update] == result.best_validation_loss
    assert result.best_validation_loss <= min(losses.values()) * 1.002
    # With a longer patience the same run goes on, and must come back to the same parameters.
    longer = trainer.fit(CausalTraining([train], [validation], dataclasses.replace(options, patience=5)))
    assert longer.updates == result.updates + 10
    assert longer.best_update == result.best_update
    for a, b in zip(arrays(result.network), arrays(longer.network), strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_a_validation_part_it_runs_to_the_end() -> None:
    result = trainer.fit(
        CausalTraining([segment(mixture(300, seed=2))], [], dataclasses.replace(SMALL, max_updates=20))
    )
    assert result.updates == result.best_update == 20
    assert math.isnan(result.best_validation_loss)


def test_progress_is_told_at_every_update_and_changes_nothing() -> None:
    told: list[TrainingProgress] = []
    values = mixture(600, seed=5)
    options = dataclasses.replace(SMALL, max_updates=20)
    with_progress = trainer.fit(
        CausalTraining([segment(values[:400])], [segment(values[400:])], options), on_progress=told.append
    )
    without = trainer.fit(CausalTraining([segment(values[:400])], [segment(values[400:])], options))
    np.testing.assert_array_equal(with_progress.network.head_weight, without.network.head_weight)
    assert [one.update for one in told] == list(range(1, 21))
    assert math.isnan(told[0].validation_loss) and told[-1].validation_loss == with_progress.history[-1].validation_loss
    assert told[-1].of == 20 and told[-1].seconds_left == 0 and told[3].seconds_left > 0
    assert all(one.rows_per_second > 0 and one.loss > 0 for one in told)


def test_many_short_series_and_more_lanes_than_rows() -> None:
    parts = [segment(mixture(rows, seed=rows)) for rows in (30, 5, 41, 17)]
    result = trainer.fit(
        CausalTraining(parts, parts[:1], dataclasses.replace(SMALL, max_updates=10, batch=12, cells=("lstm", "lstm")))
    )
    assert result.network.architecture.layers == 2
    assert all(np.isfinite(array).all() for array in arrays(result.network))


def test_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(DataError, match="expected rows to train on"):
        CausalTraining([], [], SMALL)


@pytest.mark.parametrize(
    ("rows", "channels", "period", "reconstruct", "forecast"),
    [
        (64_800, 2, 300, 128, 16),
        (14_216, 38, 0, 13, 16),
        (240, 8, 0, 30, 15),
        (362, 1, 24, 24, 16),
        (362, 1, 5, 16, 16),
        (60, 700, 0, 2, 3),
    ],
)
def test_sizes_follow_from_the_data(rows: int, channels: int, period: int, reconstruct: int, forecast: int) -> None:
    options, said = choose_options(rows=rows, channels=channels, period_rows=period, given={})
    assert (options.reconstruct, options.forecast) == (reconstruct, forecast)
    assert options.bptt_steps <= max(rows // 4, 8)
    assert any(f"last {reconstruct} rows" in sentence for sentence in said)


def test_what_is_given_is_kept() -> None:
    options, said = choose_options(
        rows=5000, channels=3, period_rows=0, given={"reconstruct": 7, "max_updates": 5, "seed": 9}
    )
    assert (options.reconstruct, options.max_updates, options.seed) == (7, 5, 9)
    assert not any("reconstructs" in sentence for sentence in said)
    with pytest.raises(UsageError, match="hidden: expected at least 1, got 0"):
        TrainerOptions(hidden=0)
