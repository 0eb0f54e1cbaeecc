"""The gates of a window: they lead to the state to which the fused step leads, and satisfy the cell's equations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_models import tiny_model, tiny_series

from streamlstm import ModelBundle, train
from streamlstm.evaluation.gates import GateTrace, trace_gates
from streamlstm.scoring.branches.known import branches_of, state_of
from streamlstm.scoring.forward import Forward
from streamlstm.scoring.state import StreamStates
from streamlstm.types import GapPolicy

GAPS = GapPolicy(reset_after_ms=60_000)
BEFORE, ROWS = 70, 90


def times(rows: int) -> NDArray[np.int64]:
    return np.arange(rows, dtype=np.int64) * 1000


def traced(
    bundle: ModelBundle, values: NDArray[np.float32], when: NDArray[np.int64]
) -> tuple[GateTrace, NDArray[np.float32], NDArray[np.float32]]:
    """Return the gates of the rows from BEFORE on, and the states of the fused step before and after them."""
    forward = Forward(bundle.network, bundle.standardizer)
    states = StreamStates(bundle.network.architecture, forward.weights, state_of(branches_of(bundle)), max_streams=16)
    slots = states.slots_of(["s"] * BEFORE)
    forward.run(states, slots, when[:BEFORE], values[:BEFORE], GAPS)
    before = states.arena.export(slots[:1])[0]
    trace = trace_gates(forward, states, "s", when[BEFORE:], values[BEFORE:], GAPS)
    return trace, before, states.arena.export(slots[:1])[0]


@pytest.mark.parametrize("cell", ["lstm", "peephole", "gru", "gru_reset_before", "rnn", "lstm,gru"])
@pytest.mark.parametrize("mask_inputs", [False, True])
def test_they_end_in_the_state_of_the_fused_step(cell: str, mask_inputs: bool) -> None:
    cells = cell.split(",")
    bundle = train(tiny_series(1, 900), cell=cells, hidden=12, mask_inputs=mask_inputs, max_updates=5, seed=2)
    values = tiny_series(4, BEFORE + ROWS)
    values[90:95, 1] = np.nan
    trace, before, after = traced(bundle, values, times(len(values)))
    assert np.abs(after - before).max() > 0.05
    assert trace.state == pytest.approx(after, abs=2e-5)
    for layer, kind in zip(trace.layers, cells, strict=True):
        assert layer.kind == kind and layer.outputs.shape == (ROWS, 12)
        assert len(layer.gates) == {"rnn": 0, "gru": 3, "gru_reset_before": 3}.get(kind, 4)
        for name, gate in layer.gates.items():
            low = -1 if name in ("cell input", "candidate") else 0
            assert gate.shape == (ROWS, 12) and gate.min() >= low and gate.max() <= 1, name


def test_gates_and_cell_satisfy_the_equations() -> None:
    trace, before, _ = traced(tiny_model(), tiny_series(3, BEFORE + ROWS), times(BEFORE + ROWS))
    [layer] = trace.layers
    units = layer.outputs.shape[1]
    assert layer.cell is not None
    last = np.concatenate([before[None, units:], layer.cell[:-1]])
    cell = layer.gates["forget"] * last + layer.gates["input"] * layer.gates["cell input"]
    assert layer.cell == pytest.approx(cell, abs=1e-5)
    assert layer.outputs == pytest.approx(layer.gates["output"] * np.tanh(layer.cell), abs=1e-5)


def test_a_projection_narrows_the_outputs_and_not_the_gates() -> None:
    bundle = train(tiny_series(1, 900), projection=5, hidden=12, max_updates=5, seed=2)
    trace, _, after = traced(bundle, tiny_series(4, BEFORE + ROWS), times(BEFORE + ROWS))
    [layer] = trace.layers
    assert layer.outputs.shape == (ROWS, 5) and layer.gates["forget"].shape == (ROWS, 12)
    assert trace.state == pytest.approx(after, abs=2e-5)


def test_late_rows_have_none_and_a_gap_begins_anew() -> None:
    values, when = tiny_series(3, BEFORE + ROWS), times(BEFORE + ROWS)
    when[BEFORE + 10] = 0  # late
    when[BEFORE + 40 :] += 100_000
    trace, _, after = traced(tiny_model(), values, when)
    [layer] = trace.layers
    assert np.flatnonzero(np.isnan(layer.gates["input"]).any(axis=1)).tolist() == [10]
    assert trace.state == pytest.approx(after, abs=2e-5)
    assert layer.cell is not None
    anew = layer.gates["input"][40] * layer.gates["cell input"][40]
    assert layer.cell[40] == pytest.approx(anew, abs=1e-6), "nothing is left of what was before"


def test_without_a_row_that_came_in_time_there_are_no_layers() -> None:
    values, when = tiny_series(3, BEFORE + 2), times(BEFORE + 2)
    when[BEFORE:] = 0
    trace, before, _ = traced(tiny_model(), values, when)
    assert trace.layers == () and np.array_equal(trace.state, before)
