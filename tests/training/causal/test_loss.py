"""The loss of both heads and its gradient, against an oracle of plain loops in float64."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.kernels import backward, unroll
from streamlstm.model.network import Architecture
from streamlstm.training.causal.batch_sampler import Batch, BatchSampler
from streamlstm.training.causal.loss import HeadLoss
from streamlstm.training.causal.padded_series import PaddedSeries
from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import Parameters, cell_gradients, cell_weights, initial_parameters
from streamlstm.training.segments import Segment

C, H, L, K, P, T, B, BURN_IN = 2, 3, 2, 4, 2, 5, 3, 2
CELLS = ("lstm",) * L
OPTIONS = TrainerOptions(reconstruct=K, forecast=P, burn_in=BURN_IN)
Doubles = dict[str, NDArray[np.float64]]


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def oracle_loss(
    parameters: Doubles,
    lanes: list[tuple[int, int, int]],
    parts: list[Segment],
    state: NDArray[np.float64],
    o: TrainerOptions,
) -> float:
    """Loss of one update, sample by sample. lanes: (series, first row of stretch, row now); state [2, L, B, H]."""
    rows: list[tuple[list[float], list[float]]] = []  # losses of each row, of the past and of the future
    for b, (index, begin, at) in enumerate(lanes):
        x, observed = parts[index].x.astype(np.float64), parts[index].observed
        h = [list(state[0, layer, b]) for layer in range(L)]
        c = [list(state[1, layer, b]) for layer in range(L)]
        for row in range(at, at + T):
            inputs = list(x[row]) if row < len(x) else [0.0] * C
            for layer in range(L):
                w_ih, w_hh, bias = (parameters[f"layers.{layer}.{part}"] for part in ("w_ih", "w_hh", "bias"))
                z = [
                    bias[j]
                    + sum(w_ih[j, i] * inputs[i] for i in range(len(inputs)))
                    + sum(w_hh[j, i] * h[layer][i] for i in range(H))
                    for j in range(4 * H)
                ]
                for j in range(H):
                    c[layer][j] = sigmoid(z[H + j]) * c[layer][j] + sigmoid(z[j]) * math.tanh(z[2 * H + j])
                h[layer] = [sigmoid(z[3 * H + j]) * math.tanh(c[layer][j]) for j in range(H)]
                inputs = h[layer]
            if row >= len(x) or row - begin < BURN_IN:
                continue
            past: list[float] = []
            future: list[float] = []
            rows.append((past, future))
            for distance in range(-K + 1, P + 1):
                other = row + distance
                if other < begin or other >= len(x):
                    continue
                for channel in range(C):
                    if not observed[other, channel]:
                        continue
                    output = (distance + K - 1) * C + channel
                    guess = parameters["head.bias"][output] + float(parameters["head.weight"][output] @ h[-1])
                    error = guess - x[other, channel]
                    if o.loss == "mse":
                        penalty = error * error
                    elif o.loss == "huber":
                        size = abs(error)
                        penalty = size * size if size <= o.huber_delta else o.huber_delta * (2 * size - o.huber_delta)
                    else:
                        spread = parameters["spread.bias"][output] + float(parameters["spread.weight"][output] @ h[-1])
                        variance = math.exp(spread) + 1e-4
                        penalty = error * error / variance + math.log(variance)
                    (past if distance <= 0 else future).append(penalty)
    n_past, n_future = (sum(len(row[side]) for row in rows) for side in (0, 1))
    rows.sort(key=lambda row: sum(row[0]) / n_past + sum(row[1]) / n_future)
    rows = rows[: len(rows) - int(o.trim * len(rows))]
    means = (sum(sum(row[side]) for row in rows) / sum(len(row[side]) for row in rows) for side in (0, 1))
    return 0.5 * sum(means)


def setting(o: TrainerOptions = OPTIONS) -> tuple[list[Segment], PaddedSeries, HeadLoss, Parameters]:
    rng = np.random.default_rng(4)
    parts = []
    for rows in (9, 14):
        observed = rng.random((rows, C)) > 0.2
        parts.append(Segment(rng.normal(0.3, 1, (rows, C)).astype(np.float32), observed))
    series = PaddedSeries(parts, reconstruct=K, forecast=P, bptt_steps=T)
    loss = HeadLoss(series, o)
    parameters = initial_parameters(Architecture(C, H, CELLS, P, K), rng, has_spread=o.loss == "gaussian")
    for array in parameters.values():
        array += rng.normal(0, 0.2, array.shape).astype(np.float32)
    return parts, series, loss, parameters


def batch_at(series: PaddedSeries, lanes: list[tuple[int, int, int]]) -> Batch:
    first = np.array([series.spans[index][0] for index, _, _ in lanes])
    begin = first + [lane[1] for lane in lanes]
    return Batch(
        rows=first + [lane[2] for lane in lanes] + np.arange(T)[:, None],
        begin=begin,
        end=np.array([series.spans[index][1] for index, _, _ in lanes]),
        fresh=np.zeros(B, bool),
    )


# A stretch in its first rows (burn-in, young windows), one in the middle of another series, one that passes its end.
LANES = [(0, 1, 1), (1, 0, 5), (1, 3, 11)]


@pytest.mark.parametrize("trim", [0.1, 0.5, 0.9, 0.9997])  # of the last one row is left
def test_of_many_rows_those_of_the_largest_losses_are_trimmed(trim: float) -> None:
    """An untrained head of zeros: a row's loss is the square of its value and of the next, both of weight 1 / N."""
    x = np.random.default_rng(12).normal(size=4000).astype(np.float32)
    series = PaddedSeries([Segment(x[:, None], np.ones((4000, 1), bool))], reconstruct=1, forecast=1, bptt_steps=600)
    parameters = {"head.weight": np.zeros((2, H), np.float32), "head.bias": np.zeros(2, np.float32)}
    first, _ = series.spans[0]
    rows = np.arange(600)[:, None] + [10, 700, 1900, 3100]
    batch = Batch(first + rows, np.full(4, first), np.full(4, first + 4000), np.zeros(4, bool))
    loss = HeadLoss(series, TrainerOptions(reconstruct=1, forecast=1, burn_in=0, trim=trim))
    sums = loss.measure(np.zeros((600, 4, H), np.float32), parameters, batch)
    squares = np.square(np.stack([x[rows.ravel()], x[rows.ravel() + 1]]), dtype=np.float64)
    kept = np.argsort(squares.sum(axis=0))[: 2400 - int(trim * 2400)]
    assert (sums.reconstructed, sums.forecasted) == (len(kept), len(kept))
    assert [sums.reconstruction, sums.forecast] == pytest.approx(squares[:, kept].sum(axis=1), rel=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "huber", "huber_delta": 0.7},
        {"loss": "gaussian"},
        {"trim": 0.25},
        {"loss": "huber", "huber_delta": 1.3, "trim": 0.4},
        {"loss": "gaussian", "trim": 0.1},
        {"trim": 0.95},  # one row is left
    ],
    ids=str,
)
def test_loss_and_gradient_of_every_parameter_equal_the_oracle(changes: dict[str, Any]) -> None:
    o = dataclasses.replace(OPTIONS, **changes)
    parts, series, loss, parameters = setting(o)
    batch = batch_at(series, LANES)
    state = np.random.default_rng(8).normal(0, 0.4, (2, L, B, H)).astype(np.float32)
    layers = cell_weights(CELLS, parameters)
    rows = state.transpose(2, 1, 0, 3).reshape(B, -1).copy()  # of a lane by layer h, then c
    trace = unroll(layers, series.values[batch.rows], state=rows)
    sums, d_y, gradients = loss.differentiate(trace.y, parameters, batch)
    gradients |= cell_gradients(backward(layers, trace, d_y).layers)

    doubles: Doubles = {name: array.astype(np.float64) for name, array in parameters.items()}
    assert gradients.keys() == doubles.keys()
    wanted = oracle_loss(doubles, LANES, parts, state.astype(np.float64), o)
    assert sums.loss == pytest.approx(wanted, rel=1e-5)
    assert loss.measure(trace.y, parameters, batch).loss == sums.loss
    step = 1e-5
    rng = np.random.default_rng(2)
    for name, array in doubles.items():
        flat, analytic = array.reshape(-1), gradients[name].reshape(-1)
        for index in rng.choice(flat.size, min(flat.size, 8), replace=False):
            kept = flat[index]
            around = []
            for sign in (1, -1):
                flat[index] = kept + sign * step
                around.append(oracle_loss(doubles, LANES, parts, state.astype(np.float64), o))
            flat[index] = kept
            numeric = (around[0] - around[1]) / (2 * step)
            assert analytic[index] == pytest.approx(numeric, rel=2e-3, abs=2e-6), f"{name}[{index}]"


@pytest.mark.parametrize("kind", ["mse", "huber", "gaussian"])
def test_in_chunks_it_is_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    o = dataclasses.replace(OPTIONS, loss=kind, trim=0.2)  # type: ignore[arg-type]  # the parametrised names are the type's
    _, series, loss, parameters = setting(o)
    batch = batch_at(series, LANES)
    y = np.random.default_rng(3).normal(0, 0.5, (T, B, H)).astype(np.float32)
    whole, d_y, gradients = loss.differentiate(y, parameters, batch)
    for floats in (1, C * (K + P) * 2):  # a row at a time, then two
        monkeypatch.setattr("streamlstm.training.causal.loss._CHUNK_FLOATS", floats)
        found, other_d_y, others = loss.differentiate(y, parameters, batch)
        assert found == pytest.approx(whole, rel=1e-6)
        np.testing.assert_allclose(other_d_y, d_y, rtol=1e-5, atol=1e-7)
        for name, gradient in gradients.items():
            np.testing.assert_allclose(others[name], gradient, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_single_value_weighs_as_much_as_many_would(ahead: int) -> None:
    """Half the square of its error, whose derivative by the output is the error."""
    observed = np.zeros((K + T + P, C), bool)
    row = K + 1  # the only live row
    observed[row + ahead, 1] = True
    x = np.random.default_rng(2).normal(0, 1, observed.shape).astype(np.float32)
    o = dataclasses.replace(OPTIONS, burn_in=row)
    series = PaddedSeries([Segment(x, observed)], reconstruct=K, forecast=P, bptt_steps=T)
    first, _ = series.spans[0]
    rows = first + row - (T - 1) + np.arange(T)[:, None]
    one = np.array([first])
    batch = Batch(rows=rows, begin=one, end=np.array([first + row + 1]), fresh=np.zeros(1, bool))
    _, _, _, parameters = setting(o)
    y = np.random.default_rng(3).normal(0, 0.5, (T, 1, H)).astype(np.float32)
    sums, _, gradients = HeadLoss(series, o).differentiate(y, parameters, batch)
    output = (K - 1 + ahead) * C + 1
    error = parameters["head.weight"][output] @ y[-1, 0] + parameters["head.bias"][output] - x[row + ahead, 1]
    assert (sums.reconstructed, sums.forecasted) == (1 - ahead, ahead)
    assert sums.loss == pytest.approx(error**2 / 2, rel=1e-5)
    expected = np.zeros_like(gradients["head.bias"])
    expected[output] = error
    np.testing.assert_allclose(gradients["head.bias"], expected, rtol=1e-5)


def test_a_missing_value_changes_nothing() -> None:
    """What stands where nothing was observed is no target. (As an input it would count: it is carried forward.)"""
    parts, series, loss, parameters = setting()
    batch = batch_at(series, LANES)
    y = np.random.default_rng(3).normal(0, 0.5, (T, B, H)).astype(np.float32)
    squares, d_y, gradients = loss.differentiate(y, parameters, batch)
    changed = [Segment(np.where(part.observed, part.x, np.float32(1e4)), part.observed) for part in parts]
    other_series = PaddedSeries(changed, reconstruct=K, forecast=P, bptt_steps=T)
    other_loss = HeadLoss(other_series, OPTIONS)
    again, other_d_y, others = other_loss.differentiate(y, parameters, batch)
    assert again == squares
    np.testing.assert_array_equal(d_y, other_d_y)
    assert gradients.keys() == others.keys()
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, others[name])


def test_nothing_observed_is_no_loss_and_exactly_no_gradient() -> None:
    parts, _, _, parameters = setting()
    blind = PaddedSeries(
        [Segment(part.x, np.zeros_like(part.observed)) for part in parts], reconstruct=K, forecast=P, bptt_steps=T
    )
    loss = HeadLoss(blind, OPTIONS)
    y = np.random.default_rng(3).normal(0, 0.5, (T, B, H)).astype(np.float32)
    squares, d_y, gradients = loss.differentiate(y, parameters, batch_at(blind, LANES))
    assert squares == (0.0, 0, 0.0, 0)
    assert squares.loss == 0
    assert not any(array.any() for array in (d_y, *gradients.values()))


def test_sums_do_not_depend_on_how_the_rows_are_batched() -> None:
    """The validation loss of one lane over everything equals that of the stretches side by side."""
    parts, _, _, parameters = setting()
    totals = []
    for steps in (3, 7):
        series = PaddedSeries(parts, reconstruct=K, forecast=P, bptt_steps=steps)
        loss = HeadLoss(series, OPTIONS)
        waiting = [series.cut(rows=100, least=1, phase=lambda: 50)]
        sampler = BatchSampler(series, batch=2, bptt_steps=steps, refill=lambda w=waiting: w.pop() if w else [])  # type: ignore[misc]
        state = np.zeros((2, L * 2 * H), np.float32)
        total = 0.0
        count = 0
        for batch in iter(sampler.advance, None):
            trace = unroll(cell_weights(CELLS, parameters), series.values[batch.rows], state=state)
            state = trace.state
            squares = loss.measure(trace.y, parameters, batch)
            total += squares.reconstruction + squares.forecast
            count += squares.reconstructed + squares.forecasted
        totals.append((total, count))
    assert totals[0][1] == totals[1][1]
    assert totals[0][0] == pytest.approx(totals[1][0], rel=1e-5)
