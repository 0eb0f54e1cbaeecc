"""How much the values of each stream move, and how far they have gone from where they usually are."""

import numpy as np
from numpy.typing import NDArray

def advance_activity(
    slots: NDArray[np.int64],
    *,
    x: NDArray[np.float32],
    observed: NDArray[np.uint8],
    reset: NDArray[np.uint8],
    ages: NDArray[np.int64],
    scales: NDArray[np.float32],
    fast: float,
    slow: float,
    rows: NDArray[np.float32],
    statistics: NDArray[np.float32],
    contribution: NDArray[np.float32],
    expected: NDArray[np.float32],
) -> None:
    """Advance the streams' rows by N samples; write statistics, contribution and expected.

    Shapes: slots [N], may repeat; x, observed [N, C]; reset [N]; ages [N], the streams' before each sample; scales
    [2, C], above 0, of the spread and of the square of the trend; rows [S, 3, C]; statistics [N, 2]; contribution,
    expected [N, C].
    Units: fast and slow in 1/samples; expected dimensionless.
    Raises: ShapeError before anything changes.
    """
