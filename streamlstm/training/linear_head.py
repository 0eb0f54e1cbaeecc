"""A head on layers that stay as they are: the newest sample and the forecasts, by least squares with a ridge.

    minimise  sum over rows and observed targets of (A h_t + a - [z_t | z_(t+1) .. z_(t+p)])^2 + ridge |A|^2

The ridge is the one of a few with the smallest error on the validation part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from streamlstm.kernels import CellWeights, NetworkWeights, StateArena, run
from streamlstm.training.segments import Segment

__all__ = ["SplitSegment", "fit_head"]

_RIDGES = (1e-7, 1e-5, 1e-3, 1e-1)
"""As shares of the mean square of the layers' outputs."""
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class SplitSegment:
    """A part of one series: rows from `burn_in` on fit, rows from `cut` on validate."""

    segment: Segment
    burn_in: int
    cut: int


@dataclass(slots=True)
class _Moments:
    """Sums over rows. Shapes: gram [R + 1, R + 1], cross [R + 1, D], squares [D]; R outputs, then 1."""

    gram: NDArray[np.float64]
    cross: NDArray[np.float64]
    squares: NDArray[np.float64]

    def error_of(self, solution: NDArray[np.float64]) -> float:
        """Sum of squared errors of a solution [R + 1, D]."""
        fitted = np.einsum("rd,rs,sd->", solution, self.gram, solution, optimize=True)
        return float(self.squares.sum() - 2 * (solution * self.cross).sum() + fitted)


def fit_head(
    layers: Sequence[CellWeights], parts: Sequence[SplitSegment], *, forecast: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weight [C * (1 + p), R] and bias [C * (1 + p)]: C of the newest sample, then C for each horizon."""
    hidden = [_outputs(layers, part.segment.x) for part in parts]
    channels = parts[0].segment.x.shape[1]
    is_complete = np.logical_and.reduce([part.segment.observed.all(axis=0) for part in parts])
    columns = np.arange(channels * (1 + forecast)).reshape(1 + forecast, channels)
    # Columns that are observed in the same rows share their sums: all of the complete channels do.
    groups = [columns[:, is_complete].ravel(), *columns[:, ~is_complete].reshape(-1, 1)]
    moments = [
        tuple(_moments(hidden, parts, group, forecast, is_fit=is_fit) for is_fit in (True, False))
        for group in groups
        if len(group)
    ]
    solutions = {ridge: [_solved(fit, ridge) for fit, _ in moments] for ridge in _RIDGES}
    errors = {
        ridge: sum(held_out.error_of(one) for (_, held_out), one in zip(moments, solved, strict=True))
        for ridge, solved in solutions.items()
    }
    best = solutions[min(_RIDGES, key=errors.__getitem__)]
    solution = np.zeros((layers[-1].output_size + 1, columns.size))
    for group, one in zip((group for group in groups if len(group)), best, strict=True):
        solution[:, group] = one
    weight, bias = np.ascontiguousarray(solution[:-1].T), solution[-1]
    return weight.astype(np.float32), bias.astype(np.float32)


def _outputs(layers: Sequence[CellWeights], x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run the layers from a zero state over x [T, C]; return their outputs [T, R]."""
    weights = NetworkWeights(layers)
    arena, slot = StateArena(weights, 1), np.zeros(1, np.int64)
    hidden = np.empty((len(x), 1, layers[-1].output_size), np.float32)
    run(weights, arena, slot, np.ascontiguousarray(x[:, None]), hidden)
    return hidden[:, 0]


def _moments(
    hidden: Sequence[NDArray[np.float32]],
    parts: Sequence[SplitSegment],
    columns: NDArray[np.intp],
    forecast: int,
    *,
    is_fit: bool,
) -> _Moments:
    """Sum over the rows that fit, or that validate, the rows where the columns' targets are observed."""
    size = hidden[0].shape[1] + 1
    sums = _Moments(np.zeros((size, size)), np.zeros((size, len(columns))), np.zeros(len(columns)))
    for outputs, part in zip(hidden, parts, strict=True):
        begin, end = (part.burn_in, part.cut) if is_fit else (part.cut, len(part.segment.x))
        for first in range(begin, end - forecast, _CHUNK):
            last = min(first + _CHUNK, end - forecast)
            features = np.ones((last - first, size))
            features[:, :-1] = outputs[first:last]
            targets = _ahead(part.segment.x[first : last + forecast], forecast)[:, columns].astype(np.float64)
            # A group's columns are observed alike, so one of them tells of all.
            seen = _ahead(part.segment.observed[first : last + forecast], forecast)[:, columns[0]]
            kept = features[seen]
            sums.gram += kept.T @ kept
            sums.cross += kept.T @ targets[seen]
            sums.squares += np.square(targets[seen]).sum(axis=0)
    return sums


def _ahead(rows: NDArray[Any], forecast: int) -> NDArray[Any]:
    """Return each row and the p after it, side by side: [T - p, (1 + p) * C]."""
    windows = sliding_window_view(rows, 1 + forecast, axis=0)  # [T - p, C, 1 + p]
    return windows.swapaxes(1, 2).reshape(len(windows), -1)


def _solved(sums: _Moments, ridge: float) -> NDArray[np.float64]:
    if not sums.gram[-1, -1]:  # no row at all: the channel is never observed
        return np.zeros_like(sums.cross)
    penalty: NDArray[np.float64] = np.full(
        len(sums.gram), ridge * max(np.trace(sums.gram[:-1, :-1]) / (len(sums.gram) - 1), 1e-12)
    )
    penalty[-1] = 0  # the bias is free
    return np.linalg.solve(sums.gram + np.diag(penalty), sums.cross).astype(np.float64, copy=False)
