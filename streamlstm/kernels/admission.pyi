"""What becomes of each sample before the network sees it: order, gaps, units, missing channels."""

import numpy as np
from numpy.typing import NDArray

NEVER: int
"""Last event time of a stream that has had no sample."""

def admit(
    slots: NDArray[np.int64],
    *,
    event_time_ms: NDArray[np.int64],
    values: NDArray[np.float32],
    mean: NDArray[np.float32],
    scale: NDArray[np.float32],
    reset_after_ms: int,
    forget_after_ms: int,
    limit: float,
    last_time: NDArray[np.int64],
    last: NDArray[np.float32],
    status: NDArray[np.uint8],
    reset: NDArray[np.uint8],
    observed: NDArray[np.uint8],
    x: NDArray[np.float32],
) -> None:
    """Fill status, reset, observed and x; advance the streams' last times and values.

    Shapes: slots, event_time_ms [N], slots may repeat; values [N, C], NaN = missing; mean, scale [C]; last_time [S];
    last [S, C]; status, reset [N]; observed, x [N, C], whose late rows are left as they are.
    Units: values and mean in the channel's unit; x dimensionless, within +-limit.
    Raises: ShapeError before anything changes.
    """
