"""From running means of errors to a score: calibrated tails, the stream's own level, the alarm."""

import numpy as np
from numpy.typing import NDArray

BASE_SURPRISE: float
"""Surprise at the calibrated 98 % quantile: a stream's own level starts there, and does not go below."""
TRUST: float
"""An alarm level was to be passed once in this many times all the samples that were seen."""
LOWEST_ALARM: float
"""A sample more likely than exp(-4) = 2 % is no alarm, whatever the calibration has seen."""

def combine_tails(
    means: NDArray[np.float32],
    *,
    statistics: NDArray[np.float64],
    surprises: NDArray[np.float64],
    fits: NDArray[np.float64],
    weights: NDArray[np.float64],
    combined: NDArray[np.float64],
    ends: NDArray[np.int64] | None = None,
    said: NDArray[np.float64] | None = None,
) -> None:
    """Write the weighted sum of the parts' surprises, and the sums of the groups of parts that are asked for.

    Shapes: means [N, P] of P parts; statistics, surprises [P, K], statistics rising along K; fits [P, 2] (shape, scale
    of each tail); weights [P]; combined [N]; ends [G], rising to P, and said [N, G], or neither: group g is of the
    parts before its end and after that of the group before.
    Raises: ShapeError before anything changes.
    """

def score_streams(
    slots: NDArray[np.int64],
    *,
    combined: NDArray[np.float64],
    row_ages: NDArray[np.int64],
    reset: NDArray[np.uint8],
    measured: NDArray[np.uint8],
    statistic: NDArray[np.float64],
    surprise: NDArray[np.float64],
    fit: NDArray[np.float64],
    budget_surprise: float,
    calibration_rows: float,
    cluster_rows: float,
    rate: float,
    warm_up: int,
    levels: NDArray[np.float64],
    kept_levels: NDArray[np.float64],
    excesses: NDArray[np.float64],
    cluster_sums: NDArray[np.float64],
    clusters: NDArray[np.int64],
    waits: NDArray[np.int64],
    guards: NDArray[np.int64],
    held: NDArray[np.int64],
    status: NDArray[np.uint8],
    score: NDArray[np.float64],
    p_value: NDArray[np.float64],
) -> None:
    """Turn combined surprises into scores; adapt each stream's level and excess after its score is final.

    Shapes: slots, combined, row_ages, reset, measured [N], slots may repeat; statistic, surprise [K], statistic rising;
    fit [2] (shape, scale); levels, kept_levels, excesses, cluster_sums, clusters, waits, guards, held [S];
    status [N], in and out; score, p_value [N], NaN = none.
    Units: rate in 1/samples: how fast a stream's own level follows it.
    Raises: ShapeError before anything changes.
    """
