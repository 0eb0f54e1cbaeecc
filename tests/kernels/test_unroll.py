"""Forward and backward over time, every cell: equal to other frameworks, and to finite differences of an oracle.

Odd, unequal sizes: a product of the wrong orientation cannot pass.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels import (
    CELL_FIELDS,
    CellKind,
    CellWeights,
    LayerMasks,
    backward,
    state_size,
    unroll,
)


def beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"kernels_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


oracle, golden = beside("oracle"), beside("golden")

Arrays = dict[str, NDArray[Any]]


@pytest.mark.parametrize("name", golden.TORCH)
def test_equals_pytorch_forward_and_backward(name: str) -> None:
    g = golden.load(name)
    assert np.abs(g.state).min() > 0
    trace = unroll(g.layers, g.x, state=g.state)
    np.testing.assert_allclose(trace.y, g.y, rtol=0, atol=1e-5)
    np.testing.assert_allclose(trace.state, g.final, rtol=0, atol=1e-5)
    found = backward(g.layers, trace, golden.time_major(g.data["dy"]))
    np.testing.assert_allclose(found.d_x, golden.time_major(g.data["dx"]), rtol=0, atol=1e-4)
    d_state = golden.rows_of_state(g.data["dh0"], g.data.get("dc0"))
    np.testing.assert_allclose(found.d_state, d_state, rtol=0, atol=1e-4)
    for n, d in enumerate(found.layers):
        wanted = {"w_ih": "weight_ih", "w_hh": "weight_hh", "bias": "bias_ih"}
        wanted |= {"w_hr": "weight_hr"} if d.w_hr is not None else {}
        for ours, theirs in wanted.items():
            np.testing.assert_allclose(getattr(d, ours), g.data[f"dw.{theirs}_l{n}"], rtol=1e-5, atol=1e-4)
        if d.bias_hn is not None:
            inside = g.data[f"dw.bias_hh_l{n}"][-len(d.bias_hn) :]
            np.testing.assert_allclose(d.bias_hn, inside, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", golden.OTHERS)
def test_equals_onnx_runtime_and_keras(name: str) -> None:
    g = golden.load(name)
    trace = unroll(g.layers, g.x, state=g.state)
    y = trace.y @ g.data["w3"] + g.data["w4"] if "w3" in g.data else trace.y
    np.testing.assert_allclose(y, g.y, rtol=0, atol=1e-5)
    if g.final is not None:
        assert np.abs(g.state).min() > 0
        np.testing.assert_allclose(trace.state, g.final, rtol=0, atol=1e-5)


STACKS: dict[str, list[tuple[str, int]]] = {
    "lstm": [("lstm", 0), ("lstm", 0)],
    "peephole": [("peephole", 0), ("peephole", 0)],
    "projected": [("lstm", 3), ("peephole", 2)],
    "gru": [("gru", 0), ("gru", 0)],
    "gru_reset_before": [("gru_reset_before", 0), ("gru_reset_before", 0)],
    "rnn": [("rnn", 0), ("rnn", 0)],
    "mixed": [("rnn", 0), ("lstm", 2), ("gru", 0)],
    "mixed too": [("gru_reset_before", 0), ("peephole", 0), ("rnn", 0)],
}
"""Cell and projection by layer, the lowest first."""


def make_stack(cells: list[tuple[str, int]], seed: int) -> tuple[list[CellWeights], Arrays]:
    """Layers of 5, 6, 7 units over 2 inputs; T = 11 is more than one chunk of weight gradients, no multiple of it."""
    rng = np.random.default_rng(seed)
    steps, lanes, inputs = 11, 3, 2

    def normal(*shape: int) -> NDArray[np.float32]:
        return rng.normal(0, 0.5, shape).astype(np.float32)

    x, layers, size = normal(steps, lanes, inputs), [], inputs
    for number, (cell, projection) in enumerate(cells):
        kind, units = CellKind(cell), 5 + number
        outputs = projection or units
        given = {"w_ih": normal(kind.gates * units, size), "w_hh": normal(kind.gates * units, outputs)}
        given["bias"] = normal(kind.gates * units)
        if kind is CellKind.GRU:
            given["bias_hn"] = normal(units)
        if kind is CellKind.PEEPHOLE:
            given["peephole"] = normal(3, units)
        if projection:
            given["w_hr"] = normal(projection, units)
        layers.append(CellWeights(kind, **given))
        size = outputs
    width = state_size(layers)
    rest = {"d_y": normal(steps, lanes, size), "state": normal(lanes, width), "d_state": normal(lanes, width)}
    return layers, {"x": x, **rest}


def make_masks(layers: list[CellWeights], seed: int) -> list[LayerMasks]:
    """Of both kinds, of one and of none; a drop of 0.4, so that what is kept grows by 1 / 0.6."""
    rng = np.random.default_rng(seed)

    def mask(*shape: int) -> NDArray[np.float32]:
        return ((rng.random(shape) < 0.6) / 0.6).astype(np.float32)

    recurrent = [mask(3, layer.output_size) for layer in layers]
    inputs = [mask(11, 3, layer.input_size) for layer in layers]
    assert all(0 < m.mean() < 1 / 0.6 for m in (*recurrent, *inputs))
    chosen = [LayerMasks(inputs=inputs[0], recurrent=recurrent[0]), LayerMasks(recurrent=recurrent[1])]
    return chosen if len(layers) == 2 else [*chosen, LayerMasks(inputs=inputs[2])]


def parameters_of(layers: list[CellWeights]) -> Arrays:
    named = {f"{n}.{name}": getattr(layer, name) for n, layer in enumerate(layers) for name in CELL_FIELDS}
    return {name: array.astype(np.float64) for name, array in named.items() if array is not None}


def run_oracle(
    layers: list[CellWeights], values: Arrays, masks: list[LayerMasks] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    stack = [
        SimpleNamespace(kind=layer.kind.value, **{name: values.get(f"{n}.{name}") for name in CELL_FIELDS})
        for n, layer in enumerate(layers)
    ]
    y, final = oracle.run(stack, values["x"], values["state"], masks)
    return np.array(y), np.array(final)


@pytest.mark.parametrize("is_masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize("cells", STACKS.values(), ids=STACKS.keys())
def test_gradients_equal_finite_differences_of_the_oracle(cells: list[tuple[str, int]], is_masked: bool) -> None:
    layers, arrays = make_stack(cells, 4)
    masks = make_masks(layers, 9) if is_masked else None
    trace = unroll(layers, arrays["x"], state=arrays["state"], masks=masks)
    exact: Arrays = {name: array.astype(np.float64) for name, array in arrays.items()} | parameters_of(layers)
    y, final = run_oracle(layers, exact, masks)
    np.testing.assert_allclose(trace.y, y, rtol=0, atol=2e-6)
    np.testing.assert_allclose(trace.state, final, rtol=0, atol=2e-6)
    found = backward(layers, trace, arrays["d_y"], d_state=arrays["d_state"])
    gradients = {"x": found.d_x, "state": found.d_state}
    for n, d in enumerate(found.layers):
        gradients |= {f"{n}.{name}": getattr(d, name) for name in CELL_FIELDS if getattr(d, name) is not None}
    assert set(gradients) == set(exact) - {"d_y", "d_state"}
    rng = np.random.default_rng(8)
    for name, gradient in gradients.items():
        assert gradient.shape == exact[name].shape
        for place in rng.choice(gradient.size, min(6, gradient.size), replace=False):
            index, around = np.unravel_index(place, gradient.shape), []
            for sign in (-1, 1):
                values = exact | {name: exact[name].copy()}
                values[name][index] += sign * 1e-5
                y, final = run_oracle(layers, values, masks)
                around.append(float((y * exact["d_y"]).sum() + (final * exact["d_state"]).sum()))
            difference = (around[1] - around[0]) / 2e-5
            assert gradient[index] == pytest.approx(difference, rel=1e-4, abs=2e-5), (name, index)


@pytest.mark.parametrize("cells", STACKS.values(), ids=STACKS.keys())
def test_zero_in_is_exactly_zero_out(cells: list[tuple[str, int]]) -> None:
    layers, arrays = make_stack(cells, 5)
    trace = unroll(layers, arrays["x"], state=arrays["state"])
    found = backward(layers, trace, np.zeros_like(trace.y))
    fields = [getattr(d, name) for d in found.layers for name in CELL_FIELDS]
    for array in (found.d_x, found.d_state, *fields):
        assert array is None or not array.any()


@pytest.mark.parametrize("cells", STACKS.values(), ids=STACKS.keys())
def test_the_state_carried_on_is_the_whole_run(cells: list[tuple[str, int]]) -> None:
    layers, arrays = make_stack(cells, 6)
    whole = unroll(layers, arrays["x"], state=arrays["state"])
    first = unroll(layers, arrays["x"][:4], state=arrays["state"])
    second = unroll(layers, arrays["x"][4:], state=first.state)
    np.testing.assert_allclose(np.concatenate([first.y, second.y]), whole.y, rtol=0, atol=2e-6)
    np.testing.assert_allclose(second.state, whole.state, rtol=0, atol=2e-6)


@pytest.mark.parametrize("cells", STACKS.values(), ids=STACKS.keys())
def test_backward_leaves_the_trace_and_its_arguments_as_they_are(cells: list[tuple[str, int]]) -> None:
    layers, arrays = make_stack(cells, 6)
    before = {name: array.copy() for name, array in arrays.items()}
    trace = unroll(layers, arrays["x"], state=arrays["state"], masks=make_masks(layers, 9))
    first, again = (backward(layers, trace, arrays["d_y"], d_state=arrays["d_state"]) for _ in range(2))
    assert np.array_equal(first.d_x, again.d_x) and np.array_equal(first.d_state, again.d_state)
    assert all(np.array_equal(array, before[name]) for name, array in arrays.items())


@pytest.mark.parametrize("cells", STACKS.values(), ids=STACKS.keys())
def test_masks_of_ones_change_no_bit(cells: list[tuple[str, int]]) -> None:
    layers, arrays = make_stack(cells, 6)
    sizes = [(layer.input_size, layer.output_size) for layer in layers]
    ones = [LayerMasks(np.ones((11, 3, i), np.float32), np.ones((3, r), np.float32)) for i, r in sizes]
    traces = [unroll(layers, arrays["x"], state=arrays["state"], masks=masks) for masks in (None, ones)]
    assert np.array_equal(traces[0].y, traces[1].y)
    plain, masked = (backward(layers, trace, arrays["d_y"], d_state=arrays["d_state"]) for trace in traces)
    assert np.array_equal(plain.d_x, masked.d_x) and np.array_equal(plain.d_state, masked.d_state)


def test_lanes_do_not_depend_on_each_other() -> None:
    """Steps and lanes that make several chunks, and tiles of every height."""
    layers, _ = make_stack(STACKS["mixed"], 3)
    rng = np.random.default_rng(2)
    x, state = rng.normal(size=(37, 70, 2)).astype(np.float32), np.zeros((70, state_size(layers)), np.float32)
    together = unroll(layers, x, state=state)
    d_y = rng.normal(size=together.y.shape).astype(np.float32)
    found = backward(layers, together, d_y)
    summed = np.zeros_like(found.layers[1].w_hh)
    for lane in range(0, 70, 23):
        part = slice(lane, min(lane + 23, 70))
        alone = unroll(layers, np.ascontiguousarray(x[:, part]), state=state[part])
        np.testing.assert_allclose(alone.y, together.y[:, part], rtol=0, atol=2e-6)
        d = backward(layers, alone, np.ascontiguousarray(d_y[:, part]))
        np.testing.assert_allclose(d.d_x, found.d_x[:, part], rtol=0, atol=1e-5)
        summed += d.layers[1].w_hh
    np.testing.assert_allclose(summed, found.layers[1].w_hh, rtol=1e-4, atol=1e-4)


def test_wrong_shapes_are_refused() -> None:
    layers, arrays = make_stack([("lstm", 0)], 7)
    x, state = arrays["x"], arrays["state"]
    for wrong in (x[:, :, :1].copy(), x.astype(np.float64), x.transpose(1, 0, 2), [[0.0]]):
        with pytest.raises(ShapeError, match=r"^x: expected (an array )?float32"):
            unroll(layers, wrong, state=state)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="at least one step"):
        unroll(layers, np.empty((0, 3, 2), np.float32), state=state)
    with pytest.raises(ShapeError, match=r"^state: expected"):
        unroll(layers, x, state=state[:, :-1].copy())
    with pytest.raises(ShapeError, match=r"^masks: expected one for each of 1 layers, got 2"):
        unroll(layers, x, state=state, masks=[LayerMasks(), LayerMasks()])
    with pytest.raises(ShapeError, match=r"^masks\[0\]\.inputs: expected float32 \[11, 3, 2\]"):
        unroll(layers, x, state=state, masks=[LayerMasks(inputs=x[1:])])
    with pytest.raises(ShapeError, match=r"^masks\[0\]\.recurrent: expected float32 \[3, 5\]"):
        unroll(layers, x, state=state, masks=[LayerMasks(recurrent=np.ones((5, 3), np.float32))])
    with pytest.raises(ShapeError, match="finite"):
        unroll(layers, np.full_like(x, np.nan), state=state)
    with pytest.raises(ShapeError, match=r"^layers: expected 1 to 16"):
        unroll([], x, state=state)
    with pytest.raises(ShapeError, match=r"^layers\[1\]\.w_ih: expected 5 inputs"):
        unroll([layers[0], layers[0]], x, state=state)
    trace = unroll(layers, x, state=state)
    with pytest.raises(ShapeError, match=r"^d_y: expected"):
        backward(layers, trace, arrays["d_y"][:-1].copy())
    with pytest.raises(ShapeError, match=r"^d_state: expected"):
        backward(layers, trace, arrays["d_y"], d_state=arrays["d_state"][:1])


def test_a_trace_of_other_weights_is_refused() -> None:
    layers, arrays = make_stack([("lstm", 0)], 7)
    trace = unroll(layers, arrays["x"], state=arrays["state"])
    d_y = arrays["d_y"]
    wider = dataclasses.replace(layers[0], w_ih=np.ones((20, 9), np.float32))
    with pytest.raises(ShapeError, match=r"^trace\.layers\[0\]\.inputs"):
        backward([wider], trace, d_y)
    peeping = dataclasses.replace(layers[0], kind=CellKind.PEEPHOLE, peephole=np.ones((3, 5), np.float32))
    with pytest.raises(ShapeError, match=r"^trace\.layers\[0\]: expected a trace of peephole, got lstm"):
        backward([peeping], trace, d_y)
    square = dataclasses.replace(layers[0], w_hr=np.ones((5, 5), np.float32))
    with pytest.raises(ShapeError, match=r"^trace\.layers\[0\]\.unprojected"):
        backward([square], trace, d_y)
    above = CellWeights(CellKind.RNN, np.ones((5, 5), np.float32), np.ones((5, 5), np.float32), np.ones(5, np.float32))
    with pytest.raises(ShapeError, match=r"^trace: expected 2 layers"):
        backward([layers[0], above], trace, d_y)
    forged = dataclasses.replace(trace.layers[0], cell=trace.layers[0].cell[:-1])  # type: ignore[index]
    with pytest.raises(ShapeError, match=r"^trace\.layers\[0\]\.cell: expected"):
        backward(layers, dataclasses.replace(trace, layers=(forged,)), d_y)
