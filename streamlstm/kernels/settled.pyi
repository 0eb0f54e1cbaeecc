"""A second verdict on each sample, when what came after it is known: the mean of the scores from it on."""

import numpy as np
from numpy.typing import NDArray

def settle_scores(
    slots: NDArray[np.int64],
    *,
    score: NDArray[np.float64],
    reset: NDArray[np.uint8],
    event_time_ms: NDArray[np.int64],
    marks: NDArray[np.int64],
    rings: NDArray[np.uint32],
    times: NDArray[np.int64],
    ring_marks: NDArray[np.int64],
    sums: NDArray[np.int64],
    entered: NDArray[np.int64],
    settled: NDArray[np.float64],
    settled_score: NDArray[np.float64],
    settled_time_ms: NDArray[np.int64],
    settled_mark: NDArray[np.int64],
) -> None:
    """Write for each sample the verdict that it brings: that on its stream's sample L - 1 scores earlier.

    Shapes: slots, score, reset, event_time_ms, marks [N], slots may repeat, score NaN = none; rings, times, ring_marks
    [S, L]; sums, entered [S]; settled, settled_score [N], NaN = none; settled_time_ms, settled_mark [N], 0 where there
    is none.
    State: where reset is not 0 the stream begins anew, and what waited there is not settled.
    Raises: ShapeError before anything changes.
    """
