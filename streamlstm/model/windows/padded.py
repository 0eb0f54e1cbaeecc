"""Sequences of different length, padded to one block, through `unroll` and `backward`.

A block is run in parts that end where a sequence ends, each part over the lanes that go on. So the padding costs
nothing, and changes neither outputs, nor the state at a sequence's own end, nor any gradient, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels import CELL_FIELDS, CellGradients, CellWeights, Gradients, Trace, backward, unroll

__all__ = ["PaddedTrace", "add_gradients", "backward_padded", "reverse_padded", "unroll_padded"]

_Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows begin .. end of the lanes that go on so far."""

    begin: int
    end: int
    lanes: NDArray[np.int64]
    trace: Trace


@dataclass(frozen=True, slots=True)
class PaddedTrace:
    """y [T, B, R] of the top layer, zero beyond a sequence's length; state [B, state_size] at its end; and the rest."""

    y: _Array
    state: _Array
    parts: tuple[_Part, ...]


def unroll_padded(
    layers: Sequence[CellWeights], x: _Array, *, state: _Array, lengths: NDArray[np.int64]
) -> PaddedTrace:
    """Run sequences from a given state, each over its own length.

    Shapes: x float32 [T, B, I]; state float32 [B, state_size]; lengths int64 [B], 1 .. T.
    Raises: ShapeError.
    """
    steps, lanes = x.shape[:2]
    if lengths.shape != (lanes,) or not ((lengths >= 1) & (lengths <= steps)).all():
        raise ShapeError(f"lengths: expected {lanes} of them, from 1 to {steps}, got {lengths.tolist()}")
    y = np.zeros((steps, lanes, layers[-1].output_size), np.float32)
    state, begin, parts = state.copy(), 0, []
    for end in np.unique(lengths).tolist():
        going = np.flatnonzero(lengths > begin)
        trace = unroll(layers, _part(x, begin, end, going), state=state[going])
        y[begin:end, going] = trace.y
        state[going] = trace.state
        parts.append(_Part(begin, end, going, trace))
        begin = end
    return PaddedTrace(y, state, tuple(parts))


def backward_padded(
    layers: Sequence[CellWeights], trace: PaddedTrace, d_y: _Array, *, d_state: _Array | None = None
) -> Gradients:
    """Return the gradients of a loss, given its gradients by the outputs of `unroll_padded`.

    Shapes: d_y float32 [T, B, R], not read beyond a sequence's length; d_state float32 [B, state_size] by the states
    at the sequences' ends, zero when None. d_x is zero beyond a sequence's length.
    """
    d_x = np.zeros((*d_y.shape[:2], layers[0].input_size), np.float32)
    d_state = np.zeros_like(trace.state) if d_state is None else d_state.copy()
    total: tuple[CellGradients, ...] | None = None
    for part in reversed(trace.parts):
        d_part = _part(d_y, part.begin, part.end, part.lanes)
        found = backward(layers, part.trace, d_part, d_state=d_state[part.lanes])
        d_state[part.lanes] = found.d_state
        d_x[part.begin : part.end, part.lanes] = found.d_x
        total = found.layers if total is None else add_gradients(total, found.layers)
    assert total is not None  # every length is at least 1
    return Gradients(total, d_x, d_state)


def add_gradients(one: Sequence[CellGradients], other: Sequence[CellGradients]) -> tuple[CellGradients, ...]:
    """Return the sums, layer by layer."""
    return tuple(
        CellGradients(**{name: _sum(getattr(a, name), getattr(b, name)) for name in CELL_FIELDS})  # type: ignore[arg-type]
        for a, b in zip(one, other, strict=True)
    )


def reverse_padded(x: _Array, lengths: NDArray[np.int64]) -> _Array:
    """Return sequences [T, B, .] last row first, each within its length; the padding stays where it is."""
    row = np.arange(len(x))[:, None]
    source = np.where(row < lengths, lengths - 1 - row, row)
    return np.take_along_axis(x, source[..., None], axis=0)


def _part(x: _Array, begin: int, end: int, lanes: NDArray[np.int64]) -> _Array:
    """Return rows begin .. end of some lanes, in C order."""
    rows = x[begin:end]
    return np.ascontiguousarray(rows if len(lanes) == x.shape[1] else rows[:, lanes])


def _sum(one: _Array | None, other: _Array | None) -> _Array | None:
    return None if one is None or other is None else one + other
