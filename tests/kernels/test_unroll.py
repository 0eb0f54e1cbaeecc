"""Forward and backward over time: equal to PyTorch's, and to finite differences of an oracle in float64.

Odd, unequal sizes: a product of the wrong orientation cannot pass, so this tests each wrapper of the door to BLAS too.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels import LstmWeights, StateArena, backward, step, unroll

_spec = importlib.util.spec_from_file_location("lstm_oracle", Path(__file__).with_name("oracle.py"))
assert _spec and _spec.loader
oracle = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oracle)

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
FILES = ["torch_lstm_1x1.npz", "torch_lstm_3x13.npz", "torch_lstm_8x64x2.npz", "torch_lstm_38x100x3.npz"]


def time_major(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(array.transpose(1, 0, 2))


def golden(name: str) -> tuple[dict[str, NDArray[np.float32]], LstmWeights]:
    with np.load(GOLDEN / name) as file:
        data = dict(file)
    layers = range(data["h0"].shape[0])
    bias = [data[f"w.bias_ih_l{n}"] + data[f"w.bias_hh_l{n}"] for n in layers]
    return data, LstmWeights([(data[f"w.weight_ih_l{n}"], data[f"w.weight_hh_l{n}"], bias[n]) for n in layers])


@pytest.mark.parametrize("name", FILES)
def test_equals_pytorch_forward_and_backward(name: str) -> None:
    data, weights = golden(name)
    assert np.abs(data["h0"]).min() > 0 and np.abs(data["c0"]).min() > 0
    trace = unroll(weights, time_major(data["x"]), hidden=data["h0"], cell=data["c0"])
    for found, want in ((trace.y, time_major(data["y"])), (trace.hidden, data["hn"]), (trace.cell, data["cn"])):
        np.testing.assert_allclose(found, want, rtol=0, atol=1e-5)
    gradients = backward(weights, trace, time_major(data["dy"]))
    np.testing.assert_allclose(gradients.d_x, time_major(data["dx"]), rtol=0, atol=1e-4)
    np.testing.assert_allclose(gradients.d_hidden, data["dh0"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(gradients.d_cell, data["dc0"], rtol=0, atol=1e-4)
    for n, (d_w_ih, d_w_hh, d_bias) in enumerate(gradients.layers):
        np.testing.assert_allclose(d_w_ih, data[f"dw.weight_ih_l{n}"], rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(d_w_hh, data[f"dw.weight_hh_l{n}"], rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(d_bias, data[f"dw.bias_ih_l{n}"], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", FILES)
def test_steps_equal_pytorch_too(name: str) -> None:
    data, weights = golden(name)
    lanes, steps, _ = data["x"].shape
    arena = StateArena(lanes + 3, layers=weights.num_layers, hidden=weights.hidden_size)
    slots = np.random.default_rng(0).permutation(lanes + 3)[:lanes]
    arena.load(slots, hidden=time_major(data["h0"]), cell=time_major(data["c0"]))
    out = np.empty((lanes, weights.hidden_size), np.float32)
    for t in range(steps):
        step(weights, arena, slots, np.ascontiguousarray(data["x"][:, t]), out)
        np.testing.assert_allclose(out, data["y"][:, t], rtol=0, atol=1e-5)
    hidden, cell = arena.export(slots)
    np.testing.assert_allclose(time_major(hidden), data["hn"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(time_major(cell), data["cn"], rtol=0, atol=1e-5)


def small(seed: int) -> dict[str, NDArray[np.float32]]:
    """Two layers; T = 11 is more than one chunk of weight gradients and no multiple of it."""
    rng = np.random.default_rng(seed)
    steps, lanes, inputs, units = 11, 3, 2, 5
    shapes = {
        "w_ih0": (4 * units, inputs),
        "w_hh0": (4 * units, units),
        "bias0": (4 * units,),
        "w_ih1": (4 * units, units),
        "w_hh1": (4 * units, units),
        "bias1": (4 * units,),
        "x": (steps, lanes, inputs),
        "hidden": (2, lanes, units),
        "cell": (2, lanes, units),
        "d_y": (steps, lanes, units),
        "d_hidden": (2, lanes, units),
        "d_cell": (2, lanes, units),
    }
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def loss(values: dict[str, NDArray[np.float64]]) -> float:
    layers = [(values[f"w_ih{n}"], values[f"w_hh{n}"], values[f"bias{n}"]) for n in (0, 1)]
    y, hidden, cell = oracle.run(layers, values["x"], values["hidden"], values["cell"])
    pairs = ((y, "d_y"), (hidden, "d_hidden"), (cell, "d_cell"))
    return float(sum((np.array(output) * values[name]).sum() for output, name in pairs))


def test_gradients_equal_finite_differences_of_the_oracle() -> None:
    arrays = small(4)
    weights = LstmWeights([(arrays[f"w_ih{n}"], arrays[f"w_hh{n}"], arrays[f"bias{n}"]) for n in (0, 1)])
    trace = unroll(weights, arrays["x"], hidden=arrays["hidden"], cell=arrays["cell"])
    y, hidden, cell = oracle.run(
        [(arrays[f"w_ih{n}"], arrays[f"w_hh{n}"], arrays[f"bias{n}"]) for n in (0, 1)],
        arrays["x"],
        arrays["hidden"],
        arrays["cell"],
    )
    np.testing.assert_allclose(trace.y, y, rtol=0, atol=1e-6)
    np.testing.assert_allclose(trace.hidden, hidden, rtol=0, atol=1e-6)
    np.testing.assert_allclose(trace.cell, cell, rtol=0, atol=1e-6)
    found = backward(weights, trace, arrays["d_y"], d_hidden=arrays["d_hidden"], d_cell=arrays["d_cell"])
    by_name = {"x": found.d_x, "hidden": found.d_hidden, "cell": found.d_cell}
    for n in (0, 1):
        by_name |= dict(zip((f"w_ih{n}", f"w_hh{n}", f"bias{n}"), found.layers[n], strict=True))
    exact = {name: array.astype(np.float64) for name, array in arrays.items()}
    rng = np.random.default_rng(8)
    for name, gradient in by_name.items():
        assert gradient.shape == arrays[name].shape
        for place in rng.choice(gradient.size, min(12, gradient.size), replace=False):
            index = np.unravel_index(place, gradient.shape)
            changed = {sign: exact | {name: exact[name].copy()} for sign in (-1, 1)}
            for sign, values in changed.items():
                values[name][index] += sign * 1e-5
            difference = (loss(changed[1]) - loss(changed[-1])) / 2e-5
            assert gradient[index] == pytest.approx(difference, rel=1e-3, abs=2e-5), (name, index)


def test_zero_in_is_exactly_zero_out() -> None:
    arrays = small(5)
    weights = LstmWeights([(arrays[f"w_ih{n}"], arrays[f"w_hh{n}"], arrays[f"bias{n}"]) for n in (0, 1)])
    trace = unroll(weights, arrays["x"], hidden=arrays["hidden"], cell=arrays["cell"])
    gradients = backward(weights, trace, np.zeros_like(trace.y))
    for array in (
        gradients.d_x,
        gradients.d_hidden,
        gradients.d_cell,
        *(g for layer in gradients.layers for g in layer),
    ):
        assert not array.any()


def test_backward_leaves_the_trace_as_it_is() -> None:
    arrays = small(6)
    weights = LstmWeights([(arrays[f"w_ih{n}"], arrays[f"w_hh{n}"], arrays[f"bias{n}"]) for n in (0, 1)])
    trace = unroll(weights, arrays["x"], hidden=arrays["hidden"], cell=arrays["cell"])
    first = backward(weights, trace, arrays["d_y"])
    again = backward(weights, trace, arrays["d_y"])
    assert np.array_equal(first.d_x, again.d_x)


def test_wrong_shapes_are_refused() -> None:
    arrays = small(7)
    weights = LstmWeights([(arrays["w_ih0"], arrays["w_hh0"], arrays["bias0"])])
    state = {"hidden": arrays["hidden"][:1], "cell": arrays["cell"][:1]}
    for x in (arrays["x"][:, :, :1].copy(), arrays["x"].astype(np.float64), arrays["x"].transpose(1, 0, 2), [[0.0]]):
        with pytest.raises(ShapeError, match=r"^x: expected (an array )?float32"):
            unroll(weights, x, **state)
    with pytest.raises(ShapeError, match="at least one step"):
        unroll(weights, np.empty((0, 3, 2), np.float32), **state)
    with pytest.raises(ShapeError, match=r"^hidden: expected"):
        unroll(weights, arrays["x"], hidden=arrays["hidden"], cell=arrays["cell"][:1])
    with pytest.raises(ShapeError, match="finite"):
        unroll(weights, np.full_like(arrays["x"], np.nan), **state)
    trace = unroll(weights, arrays["x"], **state)
    other = LstmWeights([(np.ones((20, 9), np.float32), arrays["w_hh0"], arrays["bias0"])])
    with pytest.raises(ShapeError, match=r"^trace\.inputs\[0\]"):
        backward(other, trace, arrays["d_y"])
    with pytest.raises(ShapeError, match=r"^d_y: expected"):
        backward(weights, trace, arrays["d_y"][:-1].copy())
