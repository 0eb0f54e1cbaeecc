"""What differs between collections of labelled series: the window of VUS-PR and how late an event may still be found.

Both are fixed for a collection, never estimated from the series that is measured, but for recordings of no collection,
whose window is estimated as TSB-AD does it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["RULES", "SetRules", "estimated_window", "rules_of"]

_ACF_ROWS = 20_000
_ACF_LAGS = 400
_SHORTEST, _LONGEST = 3, 300
_WITHOUT_PERIOD = 125


@dataclass(frozen=True, slots=True)
class SetRules:
    """Units: rows."""

    vus_window: int
    tolerance: int


RULES = {
    "kpi": SetRules(20, 7),
    "wsd": SetRules(20, 7),
    "smd": SetRules(50, 10),
    "asd": SetRules(50, 10),
    "skab": SetRules(30, 30),
    "smap": SetRules(100, 50),
    "msl": SetRules(100, 50),
    "ucr": SetRules(100, 10),
    "batadal": SetRules(20, 10),
    "keogh": SetRules(100, 10),
    # Borders of half a second, found within a second: 360 Hz and 128 Hz.
    "mitbih": SetRules(180, 360),
    "svdb": SetRules(64, 128),
}
_OTHERS = SetRules(100, 10)


def rules_of(name: str) -> SetRules:
    """Return the rules of a collection, those of no collection where it has none of its own."""
    return RULES.get(name, _OTHERS)


def estimated_window(values: ArrayLike) -> int:
    """Return the lag at which a channel [T] is most like itself, in its first 20,000 rows; 125 where no lag stands out.

    Source: TSB-AD 1.5, `find_length_rank(values, rank=1)`: of the local maxima of the autocorrelation from lag 3 to 400
    the highest, if it lies between lags 6 and 303.
    """
    series = np.asarray(values, np.float64).ravel()[:_ACF_ROWS]
    if len(series) <= _SHORTEST:
        return _WITHOUT_PERIOD
    spectrum = np.fft.rfft(series - series.mean(), 2 * len(series))
    lagged = np.fft.irfft(np.abs(spectrum) ** 2)[_SHORTEST : min(_ACF_LAGS + 1, len(series))]
    peaks = np.flatnonzero((lagged[1:-1] > lagged[:-2]) & (lagged[1:-1] > lagged[2:])) + 1
    best = int(peaks[np.argmax(lagged[peaks])]) if len(peaks) else 0
    return best + _SHORTEST if _SHORTEST <= best <= _LONGEST else _WITHOUT_PERIOD
