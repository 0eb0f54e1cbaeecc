"""How long each channel of each stream has kept one value, and how long it has had none."""

import numpy as np
from numpy.typing import NDArray

FLAT: int
"""Found in the row in which a channel has kept one value for as long as its bound says."""
MISSING: int
"""Found in the row in which it has had no value for so long."""

def advance_runs(
    slots: NDArray[np.int64],
    *,
    event_time_ms: NDArray[np.int64],
    ages: NDArray[np.int64],
    values: NDArray[np.float32],
    flat_after: NDArray[np.int32],
    missing_after: NDArray[np.int32],
    firsts: NDArray[np.float32],
    runs: NDArray[np.int32],
    holes: NDArray[np.int32],
    run_since: NDArray[np.int64],
    hole_since: NDArray[np.int64],
    found: NDArray[np.uint8],
    since: NDArray[np.int64],
) -> None:
    """Advance the streams' runs and holes by N samples; write what is found, and since when.

    Shapes: slots, event_time_ms, ages [N], slots may repeat; values [N, C], NaN = missing; flat_after, missing_after
    [C] in samples, 0 = never; firsts, runs, holes, run_since, hole_since [S, C]; found, since [N, C].
    Raises: ShapeError before anything changes.
    """
