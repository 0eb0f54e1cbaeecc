"""How a young stream's values lie and move, summed sample by sample until it comes to a step in age."""

import numpy as np
from numpy.typing import NDArray

def follow_young(
    slots: NDArray[np.int64],
    *,
    event_time_ms: NDArray[np.int64],
    values: NDArray[np.float32],
    mean: NDArray[np.float32],
    scale: NDArray[np.float32],
    caps: NDArray[np.float64],
    ages: NDArray[np.int64],
    last_time: NDArray[np.int64],
    forget_after_ms: int,
    rows: NDArray[np.int64],
    times: NDArray[np.int64],
    sums: NDArray[np.float64],
    counts: NDArray[np.int32],
    last: NDArray[np.float32],
    units: NDArray[np.float32],
    pending: NDArray[np.uint8],
) -> int:
    """Add samples to what is known of their streams while these are young; return for how many rows it was done.

    Shapes: slots, event_time_ms [N], slots may repeat; values [N, C], NaN = missing; mean, scale, caps [C]; ages [K],
    rising, K at least 1; last_time [S], as before these samples; rows, times, pending [S]; sums, counts, units
    [S, 2, C]; last [S, C].
    Units: mean and scale in the channel's; sums of what is standardised; ages in samples.
    State: fewer rows than there are: the next one is of a stream that is pending, or forgotten. The caller decides the
    units of pending streams and takes the mark away.
    Raises: ShapeError before anything changes.
    """
