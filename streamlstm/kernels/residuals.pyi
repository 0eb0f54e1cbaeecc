"""From the network's outputs to running means of its errors."""

import numpy as np
from numpy.typing import NDArray

STATISTICS: int
"""Running means by sample: three residuals times two widths."""

def row_length(channels: int, forecast: int) -> int:
    """Return the float32 values a stream's residual row takes: C + p * C + 6 + C."""

def advance_residuals(
    slots: NDArray[np.int64],
    *,
    x: NDArray[np.float32],
    observed: NDArray[np.uint8],
    reset: NDArray[np.uint8],
    head: NDArray[np.float32],
    scales: NDArray[np.float32],
    alphas: NDArray[np.float32],
    burn_in: int,
    rows: NDArray[np.float32],
    ages: NDArray[np.int64],
    row_ages: NDArray[np.int64],
    means: NDArray[np.float32],
    contribution: NDArray[np.float32],
    expected: NDArray[np.float32],
) -> None:
    """Advance residual rows by N samples; write row_ages, means, contribution and expected.

    Shapes: slots [N], may repeat; x, observed [N, C]; reset [N]; head [N, C * (1 + p)]; scales [3, C]; alphas [2];
    rows [S, row_length]; ages [S], none below 0; row_ages [N]; means [N, 6]; contribution, expected [N, C].
    Units: burn_in in samples: those of a younger stream enter no mean; expected dimensionless.
    Raises: ShapeError before anything changes.
    """
