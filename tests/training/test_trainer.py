"""Training as a whole: repeatable, stops and restores, learns, says how far it is."""

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.errors import DataError, UsageError
from streamlstm.kernels import unroll
from streamlstm.model.network import Network
from streamlstm.training.options import TrainerOptions, choose_options
from streamlstm.training.parameters import lstm_weights
from streamlstm.training.trainer import FitResult, Progress, Segment, fit_network

SMALL = TrainerOptions(
    hidden=16,
    forecast=4,
    reconstruct=12,
    segment=24,
    batch=8,
    stretch=120,
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
    layers = [array for layer in network.layers for array in (layer.w_ih, layer.w_hh, layer.bias)]
    return [*layers, network.head_weight, network.head_bias]


def fit(seed: int, **changes: int | float) -> FitResult:
    values = mixture(1200, seed=5)
    options = dataclasses.replace(SMALL, seed=seed, **changes)  # type: ignore[arg-type]
    return fit_network([segment(values[:700]), segment(values[700:900])], [segment(values[900:])], options)


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    one, same, other = fit(3), fit(3), fit(4)
    assert one.history == same.history
    for a, b in zip(arrays(one.network), arrays(same.network), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.network.head_weight, other.network.head_weight)


def test_it_learns_a_mixture_of_sines_and_the_network_forecasts_it() -> None:
    values = mixture(4000, seed=1)
    options = dataclasses.replace(SMALL, hidden=24, max_updates=300, batch=16, validate_every=50)
    result = fit_network([segment(values[:3000])], [segment(values[3000:])], options)
    assert result.best_validation_loss < 0.06  # the mean alone gives 0.54, the noise is 0.0025
    network = result.network
    parameters = {f"lstm.0.{part}": getattr(network.layers[0], part) for part in ("w_ih", "w_hh", "bias")}
    x = values[3000:].astype(np.float32)
    zero = np.zeros((1, 1, 24), np.float32)
    y = unroll(lstm_weights(parameters, 1), x[:, None], hidden=zero, cell=zero).y[:, 0]
    outputs = (y @ network.head_weight.T + network.head_bias).reshape(len(x), 5, 2)
    for horizon in range(5):  # 0: the newest sample itself
        error = outputs[100 : len(x) - 4, horizon] - x[100 + horizon : len(x) - 4 + horizon]
        assert np.square(error).mean() < 0.06, horizon


def test_early_stopping_returns_the_best() -> None:
    """The validation part is another signal, which is soon forgotten for the training part's."""
    train = segment(mixture(300, seed=2, noise=0.6))
    validation = segment(np.random.default_rng(9).normal(0.5, 1, (300, 2)))
    options = dataclasses.replace(SMALL, max_updates=400, validate_every=5, patience=3, batch=4, learning_rate=0.03)
    result = fit_network([train], [validation], options)
    assert result.updates < 400
    assert result.updates == result.best_update + 15
    losses = {look.update: look.validation_loss for look in result.history}
    assert losses[result.best_update] == result.best_validation_loss
    assert result.best_validation_loss <= min(losses.values()) * 1.002
    # With a longer patience the same run goes on, and must come back to the same parameters.
    longer = fit_network([train], [validation], dataclasses.replace(options, patience=5))
    assert longer.updates == result.updates + 10
    assert longer.best_update == result.best_update
    for a, b in zip(arrays(result.network), arrays(longer.network), strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_a_validation_part_it_runs_to_the_end() -> None:
    result = fit_network([segment(mixture(300, seed=2))], [], dataclasses.replace(SMALL, max_updates=20))
    assert result.updates == result.best_update == 20
    assert math.isnan(result.best_validation_loss)


def test_progress_is_told_at_every_update_and_changes_nothing() -> None:
    told: list[Progress] = []
    values = mixture(600, seed=5)
    options = dataclasses.replace(SMALL, max_updates=20)
    with_progress = fit_network([segment(values[:400])], [segment(values[400:])], options, progress=told.append)
    without = fit_network([segment(values[:400])], [segment(values[400:])], options)
    np.testing.assert_array_equal(with_progress.network.head_weight, without.network.head_weight)
    assert [one.update for one in told] == list(range(1, 21))
    assert math.isnan(told[0].validation_loss) and told[-1].validation_loss == with_progress.history[-1].validation_loss
    assert told[-1].of == 20 and told[-1].seconds_left == 0 and told[3].seconds_left > 0
    assert all(one.rows_per_second > 0 and one.loss > 0 for one in told)


def test_many_short_series_and_more_lanes_than_rows() -> None:
    parts = [segment(mixture(rows, seed=rows)) for rows in (30, 5, 41, 17)]
    result = fit_network(parts, parts[:1], dataclasses.replace(SMALL, max_updates=10, batch=12, layers=2))
    assert result.network.architecture.layers == 2
    assert all(np.isfinite(array).all() for array in arrays(result.network))


def test_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(DataError, match="expected rows to train on"):
        fit_network([], [], SMALL)


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
    assert options.segment <= max(rows // 4, 8)
    assert any(f"last {reconstruct} rows" in sentence for sentence in said)


def test_what_is_given_is_kept() -> None:
    options, said = choose_options(
        rows=5000, channels=3, period_rows=0, given={"reconstruct": 7, "max_updates": 5, "seed": 9}
    )
    assert (options.reconstruct, options.max_updates, options.seed) == (7, 5, 9)
    assert not any("reconstructs" in sentence for sentence in said)
    with pytest.raises(UsageError, match="hidden: expected at least 1, got 0"):
        TrainerOptions(hidden=0)
