"""Numbers rounded as text would round them, a whole array at once.

`significant(x, 6)` is `float(f"{x:.6g}")` and `decimals(x, 4)` is `round(x, 4)`, to the bit: x is scaled by a power of
ten, rounded to an integer, and scaled back. The integer and the power are exact, so that one division gives the double
nearest to the decimal number. Scaling may err by 2^-53 of x, which matters next to a tie alone: what comes within
1e-6 of one is rounded as text.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["decimals", "significant"]

_NEAR_A_TIE = 1e-6
_LARGEST_INTEGER = 1e9
"""A double holds integers of this size with 23 bits to spare for the place after the point."""
_LARGEST_POWER = 22
"""10^22 is the largest power of ten that a double holds exactly."""
_POWERS = np.array([float(10**n) for n in range(_LARGEST_POWER + 1)])


def significant(values: NDArray[np.floating], digits: int) -> NDArray[np.float64]:
    """Round to significant digits. Shapes: float64, as the values'."""
    x = values.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        places = digits - 1 - np.floor(np.log10(np.abs(x)))
    is_exact = np.abs(places) <= _LARGEST_POWER  # not of 0, NaN and what is no number
    places = np.where(is_exact, places, 0).astype(np.intp)
    power = _POWERS[np.abs(places)]
    scaled = np.where(places >= 0, x * power, x / power)
    whole = np.rint(scaled)
    rounded = np.where(places >= 0, whole / power, whole * power)
    return _safe(x, scaled, rounded, is_exact, lambda value: float(f"{value:.{digits}g}"))


def decimals(values: NDArray[np.floating], digits: int) -> NDArray[np.float64]:
    """Round to digits after the point. Shapes: float64, as the values'."""
    x = values.astype(np.float64)
    with np.errstate(over="ignore"):
        scaled = x * _POWERS[digits]
    rounded = np.rint(scaled) / _POWERS[digits]
    return _safe(x, scaled, rounded, np.isfinite(x), lambda value: round(value, digits))


def _safe(
    x: NDArray[np.float64],
    scaled: NDArray[np.float64],
    rounded: NDArray[np.float64],
    is_exact: NDArray[np.bool_],
    as_text: Callable[[float], float],
) -> NDArray[np.float64]:
    """Return `rounded`, but what text must round."""
    with np.errstate(invalid="ignore"):
        is_near_a_tie = np.abs(np.abs(scaled - np.trunc(scaled)) - 0.5) < _NEAR_A_TIE
        doubtful = ~is_exact | is_near_a_tie | (np.abs(scaled) > _LARGEST_INTEGER)
    doubtful &= (x != 0) & ~np.isnan(x)
    for place in np.flatnonzero(doubtful).tolist():
        rounded.flat[place] = as_text(float(x.flat[place]))
    return np.where(np.isnan(x) | (x == 0), x, rounded)
