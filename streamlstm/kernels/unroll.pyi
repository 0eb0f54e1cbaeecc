"""T steps of a stack of LSTM layers for training, and their gradients."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels.weights import LstmWeights

_Array = NDArray[np.float32]

@dataclass(frozen=True, slots=True)
class Trace:
    """y [T, B, H]; hidden and cell [L, B, H] at the end; the rest is what `backward` needs."""

    y: _Array
    hidden: _Array
    cell: _Array
    inputs: tuple[_Array, ...]
    gates: tuple[_Array, ...]
    hiddens: tuple[_Array, ...]
    cells: tuple[_Array, ...]
    tanh_cells: tuple[_Array, ...]

@dataclass(frozen=True, slots=True)
class Gradients:
    """layers: (d_w_ih [4H, I], d_w_hh [4H, H], d_bias [4H]) by layer; d_x [T, B, I]; d_hidden, d_cell [L, B, H]."""

    layers: list[tuple[_Array, _Array, _Array]]
    d_x: _Array
    d_hidden: _Array
    d_cell: _Array

def unroll(weights: LstmWeights, x: _Array, *, hidden: _Array, cell: _Array) -> Trace:
    """Run T steps from a given state.

    Shapes: x float32 [T, B, I]; hidden, cell float32 [L, B, H].
    Raises: ShapeError.
    """

def backward(
    weights: LstmWeights,
    trace: Trace,
    d_y: _Array,
    *,
    d_hidden: _Array | None = None,
    d_cell: _Array | None = None,
) -> Gradients:
    """Return the gradients of a loss, given its gradients by the outputs of `unroll`.

    Shapes: d_y float32 [T, B, H]; d_hidden, d_cell float32 [L, B, H] by the final state, zero when None.
    Raises: ShapeError.
    """
