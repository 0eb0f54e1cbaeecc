"""What the gates of a network did over rows of one stream.

The step that scores keeps no gates. They are found by the pass that training runs, in float32 and from the state
that the stream had before the first of the rows; it ends in the state in which the step ends, up to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import CellKind, CellWeights, unroll
from streamlstm.kernels.traces import LayerTrace
from streamlstm.scoring.forward import Forward
from streamlstm.scoring.state import StreamStates
from streamlstm.types import GapPolicy

__all__ = ["GateTrace", "LayerGates", "trace_gates"]

_Array = NDArray[np.float32]

_GATES: Mapping[CellKind, tuple[str, ...]] = {
    CellKind.LSTM: ("input", "forget", "cell input", "output"),
    CellKind.PEEPHOLE: ("input", "forget", "cell input", "output"),
    CellKind.GRU: ("candidate", "reset", "update"),
    CellKind.GRU_RESET_BEFORE: ("candidate", "reset", "update"),
    CellKind.RNN: (),
}
"""In the order in which a trace has them."""


@dataclass(frozen=True, slots=True)
class LayerGates:
    """One layer over T rows.

    Shapes: gates [T, H] each by name, from 0 to 1, or from -1 to 1 where the gate is a tanh; cell [T, H], the cell
    state, None where the cell has none; outputs [T, R]. NaN in rows that came late, which the network does not see.
    """

    kind: CellKind
    gates: Mapping[str, _Array]
    cell: _Array | None
    outputs: _Array


@dataclass(frozen=True, slots=True)
class GateTrace:
    """By layer, the lowest first; state [state_size] is that after the last row."""

    layers: tuple[LayerGates, ...]
    state: _Array


def trace_gates(
    forward: Forward,
    states: StreamStates,
    stream_id: str,
    event_time_ms: NDArray[np.int64],
    values: NDArray[np.float32],
    gaps: GapPolicy,
) -> GateTrace:
    """Advance a stream by T rows, of which there is at least one, and return what its gates did.

    Shapes: event_time_ms int64 [T]; values float32 [T, C] in the channels' units, NaN = missing.
    State: `states` are those before the first row, and are advanced as scoring does.
    """
    slots = np.repeat(states.slots_of([stream_id]), len(values))
    state = states.arena.export(slots[:1])
    result = forward.run(states, slots, event_time_ms, values, gaps)
    inputs = result.x
    if forward.network.architecture.mask_inputs:
        inputs = np.concatenate([inputs, np.isfinite(values[result.admitted])], axis=1, dtype=np.float32)
    starts = [0, *(row for row in np.flatnonzero(result.reset).tolist() if row)]
    parts: list[list[LayerGates]] = []
    for first, last in zip(starts, [*starts[1:], len(inputs)], strict=True):
        if first == last:  # every row came late
            continue
        if result.reset[first]:
            state = np.zeros_like(state)
        trace = unroll(forward.network.layers, np.ascontiguousarray(inputs[first:last, None]), state=state)
        state = trace.state
        parts.append([_gates_of(*pair) for pair in zip(trace.layers, forward.network.layers, strict=True)])
    layers = tuple(_joined(list(layer), result.admitted, len(values)) for layer in zip(*parts, strict=True))
    return GateTrace(layers, state[0])


def _gates_of(layer: LayerTrace, weights: CellWeights) -> LayerGates:
    units, names = weights.hidden_size, _GATES[layer.kind]
    gates: dict[str, _Array] = {}
    if layer.gates is not None:  # [T, blocks, 1, gates, W]
        flat = layer.gates[:, :, 0].transpose(0, 2, 1, 3)
        flat = flat.reshape(len(flat), flat.shape[1], -1)[:, :, :units]
        gates = {name: flat[:, k].copy() for k, name in enumerate(names)}
    cell = None if layer.cell is None else layer.cell[1:, :, 0].reshape(len(layer.cell) - 1, -1)[:, :units].copy()
    return LayerGates(layer.kind, gates, cell, layer.hidden[1:, 0].copy())


def _joined(parts: list[LayerGates], admitted: NDArray[np.int64], rows: int) -> LayerGates:
    """Put the parts of a layer one after the other, and leave out the rows that came late."""

    def spread(arrays: list[_Array]) -> _Array:
        whole = np.full((rows, arrays[0].shape[1]), np.nan, np.float32)
        whole[admitted] = np.concatenate(arrays)
        return whole

    first = parts[0]
    cells = [part.cell for part in parts if part.cell is not None]
    return LayerGates(
        kind=first.kind,
        gates={name: spread([part.gates[name] for part in parts]) for name in first.gates},
        cell=spread(cells) if cells else None,
        outputs=spread([part.outputs for part in parts]),
    )
