"""What turns residuals into scores: fitted numbers, no code. `streamlstm.scoring.calibration` fits them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Calibration"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Residual scales, widths of the running means, and their tails on clean data.

    Shapes: scales float32 [3, C] by residual (newest, one-step, ensemble); widths float32 [2] in samples;
    part_statistics and part_surprises float64 [6, K], part_fits [6, 2] (shape, scale): the tail of each mean,
    residual by residual, narrow width first; total_statistics and total_surprises float64 [K], total_fit [2]: the
    tail of their sum.
    Units: rows were calibrated on; cluster_rows is how many samples in a row pass a high level together; burn_in,
    warm_up and horizon are in samples: a stream younger than burn_in is not measured, one younger than warm_up has no
    score, and horizon is how slowly its level follows it.
    """

    scales: NDArray[np.float32]
    widths: NDArray[np.float32]
    part_statistics: NDArray[np.float64]
    part_surprises: NDArray[np.float64]
    part_fits: NDArray[np.float64]
    total_statistics: NDArray[np.float64]
    total_surprises: NDArray[np.float64]
    total_fit: NDArray[np.float64]
    rows: int
    cluster_rows: float
    burn_in: int
    warm_up: int
    horizon: int
