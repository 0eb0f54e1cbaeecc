"""Axes: from values to places between 0 and 1, and ticks at round values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.reporting.quantities import number

__all__ = ["Axis", "covering"]


@dataclass(frozen=True, slots=True)
class Axis:
    """A range that runs from `low` to `high`; low may be the larger one. Logarithmic ends are positive."""

    low: float
    high: float
    is_log: bool = False
    label: Callable[[float], str] = number

    def place(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return where values lie: 0 at `low`, 1 at `high`; NaN for what has no place.

        Shapes: values float [N].
        """
        given = np.asarray(values, np.float64)
        if not self.is_log:
            return np.asarray((given - self.low) / (self.high - self.low))
        logs = np.log(np.where(given > 0, given, np.nan))
        return np.asarray((logs - math.log(self.low)) / math.log(self.high / self.low))

    def at(self, value: float) -> float:
        """Return where one value lies."""
        return float(self.place([value])[0])

    def ticks(self, most: int) -> list[float]:
        """Return at most so many round values within the range, rising."""
        if most < 1:
            return []
        low, high = sorted((self.low, self.high))
        if self.is_log and (decades := _decades(low, high, most)):
            return decades
        step = _nice_step((high - low) / most)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        while last - first + 1 > most:
            step = _nice_step(step * 1.01)
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def covering(
    values: Sequence[float] | NDArray[Any],
    *,
    include: Sequence[float] = (),
    is_log: bool = False,
    label: Callable[[float], str] = number,
) -> Axis:
    """Return the axis that holds all finite values and `include`, with a twentieth to spare above and below.

    Nothing is spared below a 0 that is asked for. Of a logarithmic axis only positive values count. Without any value
    it runs from 0 to 1 (1 to 10).
    """
    pool = np.concatenate([np.ravel(np.asarray(values, np.float64)), np.asarray(include, np.float64)])
    pool = pool[np.isfinite(pool) & ((pool > 0) | (not is_log))]
    if not len(pool):
        return Axis(1.0, 10.0, True, label) if is_log else Axis(0.0, 1.0, False, label)
    low, high = float(pool.min()), float(pool.max())
    if is_log:
        spare = max((high / low) ** 0.05, 1.1)
        return Axis(low / spare, high * spare, True, label)
    spare = (high - low) / 20 or max(abs(high) / 20, 1e-6)
    return Axis(low if low == 0 and 0 in include else low - spare, high + spare, False, label)


def _decades(low: float, high: float, most: int) -> list[float]:
    """Return 1, 2 and 5 of every decade, or the powers of ten, or every n-th of them; nothing where two do not fit."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [m * 10.0**p for p in powers for m in (1, 2, 5) if low * (1 - 1e-9) <= m * 10.0**p <= high * (1 + 1e-9)]
    if len(fine) <= most:
        return fine if len(fine) >= 2 else []
    whole = [10.0**p for p in powers if low * (1 - 1e-9) <= 10.0**p <= high * (1 + 1e-9)]
    if len(whole) < 2:
        return fine[:: math.ceil(len(fine) / most)]
    return whole[:: math.ceil(len(whole) / most)]


def _nice_step(step: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below the step."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))
