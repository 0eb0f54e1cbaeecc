"""One LSTM step for many streams, and the linear head."""

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels.state_arena import StateArena
from streamlstm.kernels.weights import LstmWeights

X_LIMIT: float
"""Inputs are clipped here on their way in."""

def step(
    weights: LstmWeights,
    arena: StateArena,
    slots: NDArray[np.int64],
    x: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Advance B distinct streams by one sample each; write the top layer's hidden state to out.

    Shapes: slots int64 [B]; x float32 [B, I]; out float32 [B, H].
    Raises: ShapeError before any state changes, also for a slot that comes twice.
    """

def advance(
    weights: LstmWeights,
    arena: StateArena,
    slots: NDArray[np.int64],
    x: NDArray[np.float32],
    reset: NDArray[np.uint8] | None,
    out: NDArray[np.float32],
) -> None:
    """Advance streams by N samples in arrival order; slots may repeat.

    Shapes: slots int64 [N]; x float32 [N, I]; reset uint8 [N], not 0 = zero the stream's state first; out
    float32 [N, H].
    Raises: ShapeError before any state changes.
    """

def project(
    hidden: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Apply a linear head: out = hidden weight^T + bias; a row's bits do not depend on N.

    Shapes: hidden float32 [N, H]; weight float32 [D, H]; bias float32 [D]; out float32 [N, D].
    """
