"""Bidirectional layers in PyTorch's layout: each has a forward and a backward cell, and the next takes both's outputs.

    y^l_t = [forward cell over x^l_1 .. x^l_t | backward cell over x^l_n .. x^l_t]          x^(l+1) = y^l

Every output has seen the whole sequence, so this is for whole windows, never for a stream.
Source: Schuster & Paliwal 1997, "Bidirectional Recurrent Neural Networks".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels import CellGradients, CellWeights, state_size
from streamlstm.model.windows.padded import PaddedTrace, backward_padded, reverse_padded, unroll_padded

__all__ = ["BidirectionalGradients", "BidirectionalTrace", "Direction", "backward_bidirectional", "run_bidirectional"]

_Array = NDArray[np.float32]
Direction = tuple[CellWeights, CellWeights]
"""A layer: its forward cell and its backward cell."""


@dataclass(frozen=True, slots=True)
class BidirectionalTrace:
    """y [T, B, 2 R], zero in the padding; state [B, S] at the ends, by layer forward, backward, each h then c."""

    y: _Array
    state: _Array
    lengths: NDArray[np.int64]
    layers: tuple[tuple[PaddedTrace, PaddedTrace], ...]


@dataclass(frozen=True, slots=True)
class BidirectionalGradients:
    """layers: forward and backward by layer; d_x [T, B, I]; d_state [B, S] by the initial state."""

    layers: tuple[tuple[CellGradients, CellGradients], ...]
    d_x: _Array
    d_state: _Array


def run_bidirectional(
    layers: Sequence[Direction], x: _Array, *, state: _Array, lengths: NDArray[np.int64]
) -> BidirectionalTrace:
    """Run whole sequences in both directions, the backward one from each sequence's own last row.

    Shapes: x float32 [T, B, I]; state float32 [B, S], by layer forward, backward, each h then c; lengths int64 [B].
    Raises: ShapeError.
    """
    size = sum(map(state_size, layers))
    if state.shape != (x.shape[1], size):
        raise ShapeError(f"state: expected [{x.shape[1]}, {size}], got {list(state.shape)}")
    traces, ends, at, y = [], [], 0, x
    for forward, reverse in layers:
        middle, end = at + forward.state_size, at + state_size((forward, reverse))
        ahead = unroll_padded([forward], y, state=state[:, at:middle].copy(), lengths=lengths)
        turned = reverse_padded(y, lengths)
        back = unroll_padded([reverse], turned, state=state[:, middle:end].copy(), lengths=lengths)
        y = np.concatenate([ahead.y, reverse_padded(back.y, lengths)], axis=2)
        traces.append((ahead, back))
        ends += [ahead.state, back.state]
        at = end
    return BidirectionalTrace(y, np.concatenate(ends, axis=1), lengths, tuple(traces))


def backward_bidirectional(
    layers: Sequence[Direction], trace: BidirectionalTrace, d_y: _Array
) -> BidirectionalGradients:
    """Return the gradients of a loss, given its gradients by the outputs y.

    Shapes: d_y float32 [T, B, 2 R], not read in the padding.
    """
    found, d_states = [], []
    for (forward, reverse), (ahead, back) in zip(reversed(layers), reversed(trace.layers), strict=True):
        width = forward.output_size
        d_ahead = backward_padded([forward], ahead, d_y[..., :width])
        d_back = backward_padded([reverse], back, reverse_padded(d_y[..., width:], trace.lengths))
        d_y = d_ahead.d_x + reverse_padded(d_back.d_x, trace.lengths)
        found.append((d_ahead.layers[0], d_back.layers[0]))
        d_states.append(np.concatenate([d_ahead.d_state, d_back.d_state], axis=1))
    return BidirectionalGradients(tuple(found[::-1]), d_y, np.concatenate(d_states[::-1], axis=1))
