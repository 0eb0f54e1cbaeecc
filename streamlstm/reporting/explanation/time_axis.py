"""Event time across a plot, and columns of many rows as lines of as many points as a screen can show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.reporting.axes import Axis

__all__ = ["TimeAxis", "stretches"]

_CLOCKS = ((86_400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"))


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Times of W rows from one of them, in the largest unit of which the window holds two.

    Shapes: across float64 [W].
    """

    origin_ms: int
    across: NDArray[np.float64]
    unit: str
    unit_s: float

    @classmethod
    def of(cls, event_time_ms: NDArray[np.int64], *, origin_ms: int) -> TimeAxis:
        """Make the axis of rows of one stream; those that came late stand where they belong."""
        span_s = float(event_time_ms.max() - event_time_ms.min()) / 1000
        size, unit = next((one for one in _CLOCKS if span_s >= 2 * one[0]), _CLOCKS[-1])
        return cls(origin_ms, (event_time_ms - origin_ms) / (1000 * size), unit, size)

    @property
    def axis(self) -> Axis:
        """From the first row to the last."""
        low, high = float(self.across.min()), float(self.across.max())
        return Axis(low, high if high > low else low + 1e-9)

    def place(self, time_ms: int) -> float:
        """Return where a time lies, within the window."""
        axis = self.axis
        return min(max((time_ms - self.origin_ms) / (1000 * self.unit_s), axis.low), axis.high)


def stretches(rows: int, most: int) -> NDArray[np.int64]:
    """Return where at most so many stretches of rows begin."""
    count = max(min(rows, most), 1)
    return np.arange(count) * rows // count
