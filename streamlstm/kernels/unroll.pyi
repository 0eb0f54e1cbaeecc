"""T steps of a stack of layers of any cell for training, and their gradients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels.cells import CellKind, CellWeights

_Array = NDArray[np.float32]

@dataclass(frozen=True, slots=True)
class LayerMasks:
    """Dropout of one layer, values 0 or 1 / (1 - p); None drops nothing.

    inputs [T, B, I] multiplies the layer's input. recurrent [B, R], the same at every step, multiplies h_(t-1) where it
    goes into a product with w_hh: W (m h). What goes past the gates is not masked: neither f c_(t-1) nor, of the GRU
    kinds, z h_(t-1). In gru_reset_before the reset gate scales what is masked: U_n (r m h).
    Source: Gal & Ghahramani, A Theoretically Grounded Application of Dropout in Recurrent Neural Networks (2016).
    """

    inputs: _Array | None = None
    recurrent: _Array | None = None

@dataclass(frozen=True, slots=True)
class LayerTrace:
    """What `backward` needs of one layer; None is what its cell has not."""

    kind: CellKind
    masks: LayerMasks
    inputs: _Array
    gates: _Array
    hidden: _Array
    cell: _Array | None
    inner: _Array | None
    fed: _Array | None
    unprojected: _Array | None

@dataclass(frozen=True, slots=True)
class Trace:
    """y [T, B, R] of the top layer; state [B, state_size] at the end, by layer h, then c; and, by layer, the rest."""

    y: _Array
    state: _Array
    layers: tuple[LayerTrace, ...]

@dataclass(frozen=True, slots=True)
class CellGradients:
    """Gradients of the fields of CellWeights, shaped as they are; None where the cell has none."""

    w_ih: _Array
    w_hh: _Array
    bias: _Array
    bias_hn: _Array | None
    peephole: _Array | None
    w_hr: _Array | None

@dataclass(frozen=True, slots=True)
class Gradients:
    """layers: one CellGradients a layer; d_x [T, B, I]; d_state [B, state_size] by the initial state."""

    layers: tuple[CellGradients, ...]
    d_x: _Array
    d_state: _Array

def unroll(
    layers: Sequence[CellWeights], x: _Array, *, state: _Array, masks: Sequence[LayerMasks] | None = None
) -> Trace:
    """Run T steps from a given state.

    Shapes: x float32 [T, B, I]; state float32 [B, state_size], by layer h, then c; masks one a layer.
    Raises: ShapeError.
    """

def backward(layers: Sequence[CellWeights], trace: Trace, d_y: _Array, *, d_state: _Array | None = None) -> Gradients:
    """Return the gradients of a loss, given its gradients by the outputs of `unroll`.

    Shapes: d_y float32 [T, B, R]; d_state float32 [B, state_size] by the final state, zero when None.
    State: the trace is left as it is.
    Raises: ShapeError.
    """
