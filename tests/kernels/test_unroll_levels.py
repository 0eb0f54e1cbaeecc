"""The LSTM kinds over time at sizes that make several tiles, blocks and chunks with rests. On every level.

The reference is a float64 forward pass in NumPy that shares no code; gradients are compared with its differences along
random directions, one for each array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.errors import UsageError
from streamlstm.kernels import (
    CELL_FIELDS,
    CellKind,
    CellWeights,
    LayerMasks,
    TrainingScratch,
    backward,
    isas,
    state_size,
    unroll,
)

Arrays = dict[str, NDArray[Any]]

SIZES = {
    "less than a vector": ("lstm", 3, 7, 0, 5, 3),
    "rests everywhere": ("lstm", 9, 37, 0, 13, 19),
    "whole vectors": ("lstm", 16, 64, 0, 64, 9),
    "one lane": ("lstm", 1, 33, 0, 1, 40),
    "wide": ("lstm", 5, 100, 0, 29, 8),
    "peephole": ("peephole", 9, 37, 0, 13, 19),
    "projected": ("lstm", 9, 85, 19, 13, 19),
    "projected peephole": ("peephole", 4, 21, 40, 7, 18),
}
"""Cell, inputs, units, projection, lanes, steps."""


def make(cell: str, inputs: int, units: int, projection: int, lanes: int, steps: int) -> tuple[CellWeights, Arrays]:
    rng = np.random.default_rng(units)

    def normal(*shape: int, size: float = 0.3) -> NDArray[np.float32]:
        return rng.normal(0, size, shape).astype(np.float32)

    outputs = projection or units
    weights = {
        "w_ih": normal(4 * units, inputs),
        "w_hh": normal(4 * units, outputs, size=0.1),
        "bias": normal(4 * units),
        "peephole": normal(3, units) if cell == "peephole" else None,
        "w_hr": normal(projection, units) if projection else None,
    }
    width = outputs + units
    mask = ((rng.random((lanes, outputs)) < 0.7) / 0.7).astype(np.float32)
    data = {"x": normal(steps, lanes, inputs, size=1), "state": normal(lanes, width), "mask": mask}
    data |= {"d_y": normal(steps, lanes, outputs), "d_state": normal(lanes, width)}
    return CellWeights(CellKind(cell), **weights), data


def loss(v: Arrays) -> tuple[float, NDArray[np.float64]]:
    """Return the sum of outputs and final state times d_y and d_state, and the outputs, in float64."""
    steps, lanes, _ = v["x"].shape
    outputs, units = v["w_hh"].shape[1], len(v["bias"]) // 4
    h, c = v["state"][:, :outputs], v["state"][:, outputs:]
    p = v.get("peephole", np.zeros((3, units)))
    y = np.empty((steps, lanes, outputs))
    for t in range(steps):
        z = v["x"][t] @ v["w_ih"].T + (h * v["mask"]) @ v["w_hh"].T + v["bias"]
        i, f, g, o = (z[:, k * units : (k + 1) * units] for k in range(4))
        i, f = 1 / (1 + np.exp(-i - p[0] * c)), 1 / (1 + np.exp(-f - p[1] * c))
        c = f * c + i * np.tanh(g)
        h = np.tanh(c) / (1 + np.exp(-o - p[2] * c))
        h = h @ v["w_hr"].T if "w_hr" in v else h
        y[t] = h
    return float((y * v["d_y"]).sum() + (np.concatenate([h, c], axis=1) * v["d_state"]).sum()), y


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("level", isas())
def test_every_level_computes_outputs_and_gradients(
    level: str, sizes: tuple[str, int, int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLSTM_ISA", level)
    layer, data = make(*sizes)
    trace = unroll([layer], data["x"], state=data["state"], masks=[LayerMasks(recurrent=data["mask"])])
    found = backward([layer], trace, data["d_y"], d_state=data["d_state"])
    fields = {name: getattr(layer, name) for name in CELL_FIELDS if getattr(layer, name) is not None}
    exact = {name: array.astype(np.float64) for name, array in (data | fields).items()}
    np.testing.assert_allclose(trace.y, loss(exact)[1], rtol=0, atol=2e-6)
    gradients = {"x": found.d_x, "state": found.d_state} | {name: getattr(found.layers[0], name) for name in fields}
    rng = np.random.default_rng(1)
    for name, gradient in gradients.items():
        for _ in range(2):
            direction = rng.normal(size=gradient.shape)
            ends = [loss(exact | {name: exact[name] + sign * 1e-6 * direction})[0] for sign in (1, -1)]
            wanted = (ends[0] - ends[1]) / 2e-6
            scale = np.linalg.norm(gradient) + abs(wanted)
            assert abs(float((gradient * direction).sum()) - wanted) <= 1e-5 * scale, name


@pytest.mark.parametrize("level", isas())
def test_memory_used_again_changes_no_bit(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLSTM_ISA", level)
    (below, data), (above, other) = make("lstm", 9, 37, 0, 13, 19), make("peephole", 37, 21, 0, 13, 19)
    layers, scratch = [below, above], TrainingScratch()
    state = np.concatenate([data["state"], other["state"]], axis=1)
    assert state.shape[1] == state_size(layers)
    wanted = None
    for x in (data["x"], data["x"][:11], data["x"]):
        d_y = other["d_y"][: len(x)]
        traces = [unroll(layers, x, state=state, scratch=used) for used in (None, scratch)]
        alone, again = (backward(layers, trace, d_y) for trace in traces)
        assert np.array_equal(traces[0].y, traces[1].y) and np.array_equal(traces[0].state, traces[1].state)
        for one, two in zip(alone.layers, again.layers, strict=True):
            for name in ("w_ih", "w_hh", "bias"):
                assert np.array_equal(getattr(one, name), getattr(two, name))
        assert np.array_equal(alone.d_x, again.d_x) and np.array_equal(alone.d_state, again.d_state)
        wanted = wanted or again
    assert np.array_equal(wanted.d_x, again.d_x)


def test_a_trace_whose_memory_was_used_again_is_refused() -> None:
    layer, data = make("lstm", 3, 7, 0, 5, 3)
    scratch = TrainingScratch()
    first = unroll([layer], data["x"], state=data["state"], scratch=scratch)
    unroll([layer], data["x"], state=data["state"], scratch=scratch)
    with pytest.raises(UsageError, match="used by a later unroll"):
        backward([layer], first, data["d_y"])


def test_d_x_is_left_out_where_it_is_not_wanted() -> None:
    layer, data = make("lstm", 9, 37, 0, 13, 19)
    trace = unroll([layer], data["x"], state=data["state"])
    whole, less = (backward([layer], trace, data["d_y"], wants_d_x=wants) for wants in (True, False))
    assert whole.d_x.shape == (19, 13, 9) and less.d_x.shape == (19, 13, 0)
    assert np.array_equal(whole.layers[0].w_hh, less.layers[0].w_hh)
