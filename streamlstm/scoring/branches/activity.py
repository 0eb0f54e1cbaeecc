"""How much values move, and how far they have gone from where they usually are: for data without a shape that repeats.

Two statistics (`streamlstm.kernels.activity` has the formulas): the *spread*, a channel's variance about its own mean
over 8 samples, and the *trend*, the square by which that mean differs from one over 64. Both are divided by what is
usual for the channel, and averaged over channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import advance_activity
from streamlstm.scoring.branches.clean_rows import CleanRows, as_admitted
from streamlstm.scoring.branches.protocol import Measured, StateArrays
from streamlstm.scoring.forward import ForwardResult
from streamlstm.scoring.state import StatePiece

__all__ = ["Activity", "fit_activity"]

_FAST_WIDTH, _SLOW_WIDTH = 8, 64
_LEAST_ROWS = 2 * _SLOW_WIDTH
_LEAST_SCALE = 1e-4
"""A hundredth of the channel's deviation, squared, as it is for the network's residuals."""


@dataclass(frozen=True, slots=True)
class Activity:
    """The branch with its fitted numbers.

    Shapes: scales float32 [2, C], what the spread and the square of the trend are in training, in mean; widths
    float32 [2], of the fast and of the slow mean, in samples.
    """

    name: ClassVar[str] = "activity"
    parts: ClassVar[Sequence[str]] = ("activity/spread", "activity/trend")
    weight: ClassVar[float] = 2.0
    lightest_tail: ClassVar[float] = 0.15
    """Means of squares, as the network's residuals are."""

    scales: NDArray[np.float32]
    widths: NDArray[np.float32]

    @property
    def fill_rows(self) -> int:
        """Samples of the slow mean."""
        return int(self.widths[1])

    @property
    def arrays(self) -> Mapping[str, NDArray[np.float32]]:
        """Scales and widths."""
        return {"scales": self.scales, "widths": self.widths}

    @property
    def state(self) -> Mapping[str, StatePiece]:
        """Both means and the spread, by channel."""
        return {"activity": StatePiece(np.float32, (3, self.scales.shape[1]))}

    def advance(self, result: ForwardResult, state: StateArrays) -> Measured:
        """Measure samples and advance the means of their streams."""
        count, channels = result.x.shape
        measured = Measured.empty(count, parts=len(self.parts), channels=channels)
        fast, slow = (2.0 / (self.widths + 1.0)).tolist()
        advance_activity(
            result.slots,
            x=result.shapes,
            observed=result.observed,
            reset=result.reset,
            ages=result.ages,
            scales=self.scales,
            fast=fast,
            slow=slow,
            rows=state["activity"],
            statistics=measured.statistics,
            contribution=measured.contribution,
            expected=measured.expected,
        )
        return measured


def fit_activity(clean: CleanRows) -> Activity | None:
    """Return the branch; None where the rows before those that calibrate are fewer than 128.

    None also without prototypes, which say whether shapes repeat.
    """
    channels = clean.forward.network.architecture.channels
    sums, count = np.zeros((2, channels)), 0
    widths = np.array([_FAST_WIDTH, _SLOW_WIDTH], np.float32)
    for values in clean.before:
        x = as_admitted(values, clean.forward.standardizer)
        counted = max(len(x) - _SLOW_WIDTH, 0)
        for c in range(channels if counted else 0):
            sums[:, c] += _statistics(x[:, c], widths)[-counted:].sum(axis=0)
        count += counted
    if not clean.prototypes or count < _LEAST_ROWS - _SLOW_WIDTH:
        return None
    return Activity(np.maximum(sums / count, _LEAST_SCALE).astype(np.float32), widths)


def _statistics(x: NDArray[np.float32], widths: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return spread and squared trend of one channel [T, 2]: those of a model of which both are 1 in mean."""
    rows, none = len(x), np.zeros(len(x), np.int64)
    statistics = np.empty((rows, 2), np.float32)
    fast, slow = (2.0 / (widths + 1.0)).tolist()
    advance_activity(
        none,
        x=np.ascontiguousarray(x[:, None]),
        observed=np.ones((rows, 1), np.uint8),
        reset=np.zeros(rows, np.uint8),
        ages=np.arange(rows),
        scales=np.ones((2, 1), np.float32),
        fast=fast,
        slow=slow,
        rows=np.zeros((1, 3, 1), np.float32),
        statistics=statistics,
        contribution=np.empty((rows, 1), np.float32),
        expected=np.empty((rows, 1), np.float32),
    )
    return statistics.astype(np.float64)
