"""From the network's outputs to running means of its errors."""

import numpy as np
from numpy.typing import NDArray

def row_length(channels: int, forecast: int, widths: int) -> int:
    """Return the float32 values that a stream's row takes: C + p * C + 3 W + C."""

def advance_residuals(
    slots: NDArray[np.int64],
    *,
    x: NDArray[np.float32],
    observed: NDArray[np.uint8],
    steady: NDArray[np.uint8],
    directions: NDArray[np.int8],
    least: NDArray[np.float32],
    reset: NDArray[np.uint8],
    head: NDArray[np.float32],
    scales: NDArray[np.float32],
    alphas: NDArray[np.float32],
    burn_in: int,
    ages: NDArray[np.int64],
    rows: NDArray[np.float32],
    means: NDArray[np.float32],
    contribution: NDArray[np.float32],
    expected: NDArray[np.float32],
) -> None:
    """Advance the streams' rows by N samples; write means, contribution and expected.

    Shapes: slots [N], may repeat; x, observed [N, C]; steady, directions, least [C]; reset [N]; head [N, C * (1 + p)];
    scales [3, C]; alphas [W]; ages [N], none below 0; rows [S, row_length]; means [N, 3 W]; contribution, expected
    [N, C].
    Units: burn_in in samples: those of a younger stream enter no mean; least and expected dimensionless.
    Raises: ShapeError before anything changes.
    """
