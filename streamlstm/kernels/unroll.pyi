"""T steps of a stack of layers of any cell for training, and their gradients."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels.cells import CellWeights
from streamlstm.kernels.traces import Gradients, LayerMasks, Trace, TrainingScratch

_Array = NDArray[np.float32]

def unroll(
    layers: Sequence[CellWeights],
    x: _Array,
    *,
    state: _Array,
    masks: Sequence[LayerMasks] | None = None,
    scratch: TrainingScratch | None = None,
) -> Trace:
    """Run T steps from a given state.

    Shapes: x float32 [T, B, I]; state float32 [B, state_size], by layer h, then c; masks one a layer.
    State: with a scratch the trace is good until the next call with it; without, for ever.
    Raises: ShapeError.
    """

def backward(
    layers: Sequence[CellWeights],
    trace: Trace,
    d_y: _Array,
    *,
    d_state: _Array | None = None,
    wants_d_x: bool = True,
) -> Gradients:
    """Return the gradients of a loss, given its gradients by the outputs of `unroll`.

    Shapes: d_y float32 [T, B, R]; d_state float32 [B, state_size] by the final state, zero when None.
    State: the trace is left as it is.
    Raises: ShapeError; UsageError when the trace's memory has been used again.
    """
