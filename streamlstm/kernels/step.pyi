"""Streams forward: one sample each, several in order of arrival, or whole blocks."""

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels.state_arena import StateArena
from streamlstm.kernels.weights import NetworkWeights

def step(
    weights: NetworkWeights,
    arena: StateArena,
    slots: NDArray[np.int64],
    x: NDArray[np.float32],
    out: NDArray[np.float32],
    errors: NDArray[np.float32] | None = None,
) -> None:
    """Advance B distinct streams by one sample each.

    Shapes: slots int64 [B]; x float32 [B, I]; out float32 [B, D], what the head says, or h of the top layer without
    one; errors float32 [B], the mean over I of (out - x)^2, or None.
    Raises: ShapeError before any state changes, also for a slot that comes twice.
    """

def advance(
    weights: NetworkWeights,
    arena: StateArena,
    slots: NDArray[np.int64],
    x: NDArray[np.float32],
    reset: NDArray[np.uint8] | None,
    out: NDArray[np.float32],
    errors: NDArray[np.float32] | None = None,
) -> None:
    """Advance streams by N samples in order of arrival; slots may repeat.

    Shapes: slots int64 [N]; x float32 [N, I]; reset uint8 [N], not 0 = zero the stream's state first; out
    float32 [N, D]; errors float32 [N] or None.
    Raises: ShapeError before any state changes.
    """

def run(
    weights: NetworkWeights,
    arena: StateArena,
    slots: NDArray[np.int64],
    x: NDArray[np.float32],
    out: NDArray[np.float32],
    lengths: NDArray[np.int64] | None = None,
    errors: NDArray[np.float32] | None = None,
) -> None:
    """Advance S distinct streams by whole blocks: T samples each, or the first `lengths` of them.

    Shapes: slots int64 [S]; x float32 [T, S, I]; out float32 [T, S, D]; lengths int64 [S], 0 .. T; errors
    float32 [T, S]. Rows beyond a stream's length are left as they are.
    Raises: ShapeError before any state changes.
    """
