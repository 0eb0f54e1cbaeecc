"""Rows of a recording that are of another kind than the others: an odd beat among those that are to be normal.

Five minutes of a heart's beats are seldom all normal. If odd ones calibrate too, an odd beat later is as unlikely as it
is rare, one in a hundred, and no alarm. How far windows are from the nearest prototype shows them: the farthest of each
beat, in order, rise evenly among normal beats, and leap where the odd ones begin. One odd beat is enough for a leap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["odd_level"]

_FEWEST_BEATS = 10
_MOST = 0.3
"""Share of beats at most that are odd: what is more frequent is one of two normal kinds."""
_LEAP = 1.5
"""From the farthest usual beat to the nearest odd one: among 70 usual beats of ECG the largest step is 1.1 to 1.2,
and odd ones begin 1.6 to 9 times as far away."""
_TINY = 1e-12


def odd_level(distances: NDArray[np.float64], beat: int) -> float:
    """Return the distance beyond which rows are of another kind; infinity where there is one kind only.

    Shapes: distances [N], 0 or more. Units: beat in rows.
    """
    beats = len(distances) // beat
    if beats < _FEWEST_BEATS:
        return np.inf
    farthest = np.sort(np.maximum(distances[: beats * beat].reshape(beats, beat).max(axis=1), _TINY))
    first = beats - int(_MOST * beats)
    leaps = farthest[first:] / farthest[first - 1 : -1]
    if not leaps.max() >= _LEAP:
        return np.inf
    odd = first + int(np.argmax(leaps))
    return float(farthest[odd - 1])
