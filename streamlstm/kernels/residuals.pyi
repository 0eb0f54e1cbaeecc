"""From the network's outputs to a score: residuals, their running means, calibrated tails."""

import numpy as np
from numpy.typing import NDArray

STATISTICS: int
"""Running means by sample: three residuals times two widths."""
BASE_SURPRISE: float
"""Surprise at the calibrated 98 % quantile: a stream's own level starts there, and does not go below."""

def row_length(channels: int, forecast: int) -> int:
    """Return the float32 values a stream's residual row takes: C + p * C + 6 + C."""

def advance_residuals(
    slots: NDArray[np.int64],
    x: NDArray[np.float32],
    observed: NDArray[np.uint8],
    reset: NDArray[np.uint8],
    head: NDArray[np.float32],
    scales: NDArray[np.float32],
    alphas: NDArray[np.float32],
    settle: int,
    rows: NDArray[np.float32],
    ages: NDArray[np.int64],
    row_ages: NDArray[np.int64],
    means: NDArray[np.float32],
    contribution: NDArray[np.float32],
    expected: NDArray[np.float32],
) -> None:
    """Advance residual rows by N samples; write row_ages [N], means [N, 6], contribution and expected [N, C].

    Shapes: rows [S, row_length]; head [N, C * (1 + p)]; scales [3, C]; alphas [2]; ages [S].
    """

def combine_tails(
    means: NDArray[np.float32],
    statistics: NDArray[np.float64],
    surprises: NDArray[np.float64],
    fits: NDArray[np.float64],
    combined: NDArray[np.float64],
) -> None:
    """Write the sum of the parts' surprises [N].

    Shapes: means [N, 6]; statistics, surprises [6, knots]; fits [6, 2].
    """

def score_streams(
    slots: NDArray[np.int64],
    combined: NDArray[np.float64],
    row_ages: NDArray[np.int64],
    reset: NDArray[np.uint8],
    statistic: NDArray[np.float64],
    surprise: NDArray[np.float64],
    fit: NDArray[np.float64],
    budget_surprise: float,
    calibration_rows: float,
    cluster_rows: float,
    rate: float,
    warm_up: int,
    levels: NDArray[np.float64],
    excesses: NDArray[np.float64],
    status: NDArray[np.uint8],
    score: NDArray[np.float64],
    p_value: NDArray[np.float64],
) -> None:
    """Turn combined surprises [N] into scores; adapt levels and excesses [S] after each score is final."""
