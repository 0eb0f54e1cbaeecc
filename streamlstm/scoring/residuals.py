"""Residuals and their running means, chunk by chunk: the step between the network and the tails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import advance_residuals
from streamlstm.scoring.forward import Passed
from streamlstm.scoring.state import StreamStates

__all__ = ["Residuals", "run_residuals"]


@dataclass(frozen=True, slots=True)
class Residuals:
    """Shapes: ages int64 [K]; means float32 [K, 6]; contribution, expected float32 [K, C] (expected standardised)."""

    ages: NDArray[np.int64]
    means: NDArray[np.float32]
    contribution: NDArray[np.float32]
    expected: NDArray[np.float32]


def run_residuals(
    states: StreamStates,
    passed: Passed,
    *,
    scales: NDArray[np.float32],
    widths: NDArray[np.float32],
    burn_in: int,
) -> Residuals:
    """Advance the streams' residual rows by what the network made of K samples.

    Shapes: scales [3, C]; widths [2] in samples.
    Units: burn_in in samples: those of a younger stream enter no mean.
    """
    count, channels = passed.x.shape
    result = Residuals(
        ages=np.empty(count, np.int64),
        means=np.empty((count, scales.shape[0] * len(widths)), np.float32),
        contribution=np.empty((count, channels), np.float32),
        expected=np.empty((count, channels), np.float32),
    )
    advance_residuals(
        passed.slots,
        x=passed.x,
        observed=passed.observed,
        reset=passed.reset,
        head=passed.head,
        scales=scales,
        alphas=(2.0 / (widths + 1.0)).astype(np.float32),
        burn_in=burn_in,
        rows=states.rows,
        ages=states.ages,
        row_ages=result.ages,
        means=result.means,
        contribution=result.contribution,
        expected=result.expected,
    )
    return result
