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
    hole_rows: int,
    settle_rows: int,
    limit: float,
    last_time: NDArray[np.int64],
    last: NDArray[np.float32],
    ages: NDArray[np.int64],
    holes: NDArray[np.int64],
    status: NDArray[np.uint8],
    reset: NDArray[np.uint8],
    observed: NDArray[np.uint8],
    measured: NDArray[np.uint8],
    x: NDArray[np.float32],
    row_ages: NDArray[np.int64],
) -> None:
    """Fill status, reset, observed, measured, x and row_ages; advance the streams' last times, values, ages and holes.

    Shapes: slots, event_time_ms [N], slots may repeat; values [N, C], NaN = missing; mean, scale [C]; last_time, ages,
    holes [S], ages none below 0; last [S, C]; status, reset, measured [N]; observed, x [N, C] and row_ages [N], the
    stream's age before each sample; late rows of these three are left as they are.
    Units: values and mean in the channel's unit; x dimensionless, within +-limit; hole_rows and settle_rows in samples.
    Raises: ShapeError before anything changes.
    """
