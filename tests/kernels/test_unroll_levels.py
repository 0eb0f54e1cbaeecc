"""Every cell over time at sizes that make several tiles, blocks and chunks with rests. On every level.

The reference is a float64 forward pass in NumPy that shares no code; gradients are compared with its differences along
random directions, one for each array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.errors import ShapeError, UsageError
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
for _cell in ("gru", "gru_reset_before", "rnn"):
    SIZES |= {
        f"{_cell}, less than a vector": (_cell, 3, 7, 0, 5, 3),
        f"{_cell}, rests everywhere": (_cell, 9, 37, 0, 13, 19),
        f"{_cell}, whole vectors": (_cell, 16, 64, 0, 64, 9),
        f"{_cell}, one lane": (_cell, 1, 33, 0, 1, 40),
        f"{_cell}, wide": (_cell, 5, 83, 0, 29, 8),
    }
"""Cell, inputs, units, projection, lanes, steps."""


def make(cell: str, inputs: int, units: int, projection: int, lanes: int, steps: int) -> tuple[CellWeights, Arrays]:
    rng = np.random.default_rng(units)

    def normal(*shape: int, size: float = 0.3) -> NDArray[np.float32]:
        return rng.normal(0, size, shape).astype(np.float32)

    kind, outputs = CellKind(cell), projection or units
    weights = {
        "w_ih": normal(kind.gates * units, inputs),
        "w_hh": normal(kind.gates * units, outputs, size=0.1),
        "bias": normal(kind.gates * units),
        "bias_hn": normal(units) if cell == "gru" else None,
        "peephole": normal(3, units) if cell == "peephole" else None,
        "w_hr": normal(projection, units) if projection else None,
    }
    width = outputs + (units if kind.has_cell else 0)
    mask = ((rng.random((lanes, outputs)) < 0.7) / 0.7).astype(np.float32)
    data = {"x": normal(steps, lanes, inputs, size=1), "state": normal(lanes, width), "mask": mask}
    data |= {"d_y": normal(steps, lanes, outputs), "d_state": normal(lanes, width)}
    return CellWeights(kind, **weights), data


def sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-z))


def step_lstm(
    v: Arrays, z: NDArray[Any], recurrent: NDArray[Any], c: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    p = v.get("peephole", np.zeros((3, c.shape[1])))
    i, f, g, o = np.split(z + recurrent, 4, axis=1)
    c = sigmoid(f + p[1] * c) * c + sigmoid(i + p[0] * c) * np.tanh(g)
    h = np.tanh(c) * sigmoid(o + p[2] * c)
    return (h @ v["w_hr"].T if "w_hr" in v else h), c


def step_gru(v: Arrays, z: NDArray[Any], fed: NDArray[Any], h: NDArray[Any], *, is_before: bool) -> NDArray[Any]:
    units = h.shape[1]
    w_n, z_n = v["w_hh"][2 * units :], z[:, 2 * units :]
    r, u = np.split(sigmoid(z[:, : 2 * units] + fed @ v["w_hh"][: 2 * units].T), 2, axis=1)
    n = np.tanh(z_n + ((r * fed) @ w_n.T if is_before else r * (fed @ w_n.T + v["bias_hn"])))
    return (1 - u) * n + u * h


def loss(v: Arrays, cell: str) -> tuple[float, NDArray[np.float64]]:
    """Return the sum of outputs and final state times d_y and d_state, and the outputs, in float64."""
    steps, lanes, _ = v["x"].shape
    outputs = v["w_hh"].shape[1]
    h, c = v["state"][:, :outputs], v["state"][:, outputs:]
    y = np.empty((steps, lanes, outputs))
    for t in range(steps):
        z, fed = v["x"][t] @ v["w_ih"].T + v["bias"], h * v["mask"]
        if cell == "rnn":
            h = np.tanh(z + fed @ v["w_hh"].T)
        elif cell.startswith("gru"):
            h = step_gru(v, z, fed, h, is_before=cell == "gru_reset_before")
        else:
            h, c = step_lstm(v, z, fed @ v["w_hh"].T, c)
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
    np.testing.assert_allclose(trace.y, loss(exact, layer.kind)[1], rtol=0, atol=2e-6)
    gradients = {"x": found.d_x, "state": found.d_state} | {name: getattr(found.layers[0], name) for name in fields}
    rng = np.random.default_rng(1)
    for name, gradient in gradients.items():
        for _ in range(2):
            direction = rng.normal(size=gradient.shape)
            ends = [loss(exact | {name: exact[name] + sign * 1e-6 * direction}, layer.kind)[0] for sign in (1, -1)]
            wanted = (ends[0] - ends[1]) / 2e-6
            scale = np.linalg.norm(gradient) + abs(wanted)
            assert abs(float((gradient * direction).sum()) - wanted) <= 1e-5 * scale, name


WIDTHS = {"x86-64-v4": (16,), "x86-64-v3": (8,), "baseline": (4,)}


@pytest.mark.parametrize("cell", CellKind)
@pytest.mark.parametrize("level", isas())
def test_the_level_that_is_named_is_the_one_that_runs(level: str, cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace tells: its gates stand in blocks of the level's vector width, and one of another level is refused.

    Of rnn there are no gates; there the roundings tell.
    """
    layer, data = make(cell, 3, 21, 0, 5, 4)
    traces = {}
    for name in isas():
        monkeypatch.setenv("STREAMLSTM_ISA", name)
        traces[name] = unroll([layer], data["x"], state=data["state"])
    monkeypatch.setenv("STREAMLSTM_ISA", level)
    assert len({trace.y.tobytes() for trace in traces.values()}) == len(isas())
    for name, trace in traces.items():
        gates = trace.layers[0].gates
        if cell == "rnn":
            assert gates is None
            continue
        assert gates is not None and gates.shape[-1:] == WIDTHS[name]
        if name == level:
            backward([layer], trace, data["d_y"])
        else:
            with pytest.raises(ShapeError, match=r"trace\.layers\[0\]\.gates: expected"):
                backward([layer], trace, data["d_y"])


@pytest.mark.parametrize("cell", CellKind)
@pytest.mark.parametrize("level", isas())
def test_zero_in_is_exactly_zero_out_on_every_level(level: str, cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes with rests: what lies beyond the last unit adds nothing."""
    monkeypatch.setenv("STREAMLSTM_ISA", level)
    layer, data = make(cell, 9, 37, 0, 13, 19)
    trace = unroll([layer], data["x"], state=data["state"], masks=[LayerMasks(recurrent=data["mask"])])
    found = backward([layer], trace, np.zeros_like(trace.y))
    for array in (found.d_x, found.d_state, *(getattr(found.layers[0], name) for name in CELL_FIELDS)):
        assert array is None or not array.any()


@pytest.mark.parametrize("cells", [("lstm", "peephole"), ("gru", "gru_reset_before"), ("rnn", "gru")], ids=" ".join)
@pytest.mark.parametrize("level", isas())
def test_memory_used_again_changes_no_bit(level: str, cells: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLSTM_ISA", level)
    (below, data), (above, other) = make(cells[0], 9, 37, 0, 13, 19), make(cells[1], 37, 21, 0, 13, 19)
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
            for name in CELL_FIELDS:
                assert getattr(one, name) is None or np.array_equal(getattr(one, name), getattr(two, name))
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
