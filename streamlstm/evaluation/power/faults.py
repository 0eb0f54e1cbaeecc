"""Faults of known kind and size, put into a recording of one channel.

A fault begins at the row `at` and lasts until the last row, but a spike (one row) and a missing beat (one period). With
s = size * sign * deviation, where the deviation is the channel's in the training data, and i = 0, 1, ... rows of fault:

    spike        v[0] += s                                step     v[i] += s
    drift        v[i] += s min((i + 1) / (rows / 2), 1)   noise    v[i] += s times a normal number of each row
    stuck        v[i] = the last value before             cut-out  v[i] = 0
    no values    v[i] is missing                          smoother v[i] = m[i] + (v[i] - m[i]) / size, m a moving mean
    faster       v[i] = what came size * i rows after the fault began
    missing beat v[i] = the median of the period before, for one period

A rate can only change, and a beat be missing, where there is a period. A value that is missing stays so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "FaultKind", "Site", "kinds_for"]

_SMOOTHED_ROWS = 32
"""Of the moving mean about which activity is less, where no period is known."""


@dataclass(frozen=True, slots=True)
class Site:
    """One channel about a place where a fault begins.

    Shapes: column float32 [T], NaN = missing, the rows before `at` and after the fault's too; noise float64 [rows],
    normal numbers. Units: deviation in the channel's own; period_rows 0 = none. `rows` from `at` on may be faulty.
    """

    column: NDArray[np.float32]
    at: int
    rows: int
    deviation: float
    sign: float
    period_rows: int
    noise: NDArray[np.float64]

    @property
    def window(self) -> NDArray[np.float64]:
        """The rows as they were recorded, a copy."""
        return self.column[self.at : self.at + self.rows].astype(np.float64)

    @property
    def before(self) -> NDArray[np.float64]:
        """Observed values before the fault."""
        before = self.column[: self.at]
        return before[np.isfinite(before)].astype(np.float64)


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault: the sizes that are tried, and how it is put into a site.

    `sizes` is (None,) for what has no size. `label` takes a size, "1/4", and so does `phrase`, with the ending of a
    plural: "a step of 2 usual deviations". A kind that needs a period is left out where there is none.
    """

    name: str
    sizes: tuple[float | None, ...]
    label: str
    phrase: str
    inject: Callable[[Site, float], NDArray[np.float64]]
    needs_period: bool = False

    def label_of(self, size: float | None) -> str:
        """Return a size as a table has it."""
        return "" if size is None else self.label.format(size)

    def phrase_of(self, size: float | None) -> str:
        """Return the fault in words."""
        return self.phrase if size is None else self.phrase.format(size, "" if size == 1 else "s")


def kinds_for(period_rows: int) -> tuple[FaultKind, ...]:
    """Return the kinds that make sense for data of this period, 0 = none."""
    return tuple(kind for kind in KINDS if period_rows or not kind.needs_period)


def _spike(site: Site, size: float) -> NDArray[np.float64]:
    values = site.window
    values[:1] += size * site.sign * site.deviation
    return values


def _step(site: Site, size: float) -> NDArray[np.float64]:
    return site.window + size * site.sign * site.deviation


def _drift(site: Site, size: float) -> NDArray[np.float64]:
    share = np.minimum(np.arange(1, site.rows + 1) / (site.rows / 2), 1.0)
    return site.window + size * site.sign * site.deviation * share


def _noise(site: Site, size: float) -> NDArray[np.float64]:
    return site.window + size * site.deviation * site.noise


def _stuck(site: Site, size: float) -> NDArray[np.float64]:
    values, before = site.window, site.before
    return np.where(np.isfinite(values), before[-1], np.nan) if len(before) else values


def _cut_out(site: Site, size: float) -> NDArray[np.float64]:
    return np.where(np.isfinite(site.window), 0.0, np.nan)


def _no_values(site: Site, size: float) -> NDArray[np.float64]:
    return np.full(site.rows, np.nan)


def _smoother(site: Site, size: float) -> NDArray[np.float64]:
    rows = site.period_rows or _SMOOTHED_ROWS
    column = site.column.astype(np.float64)
    observed = np.isfinite(column)
    sums = np.concatenate([[0.0], np.cumsum(np.where(observed, column, 0.0))])
    counts = np.concatenate([[0], np.cumsum(observed)])
    at = np.arange(site.at, site.at + site.rows)
    low, high = np.maximum(at - rows // 2, 0), np.minimum(at - rows // 2 + rows, len(column))
    mean = (sums[high] - sums[low]) / np.maximum(counts[high] - counts[low], 1)
    values: NDArray[np.float64] = mean + (site.window - mean) / size
    return values


def _faster(site: Site, size: float) -> NDArray[np.float64]:
    ahead = site.column[site.at :].astype(np.float64)
    wanted = np.arange(site.rows) * size
    played = np.interp(wanted, np.arange(len(ahead)), ahead)  # NaN beside a missing value
    return np.where(wanted <= len(ahead) - 1, played, site.window)


def _missing_beat(site: Site, size: float) -> NDArray[np.float64]:
    values, before = site.window, site.before
    beat = values[: site.period_rows]
    if len(before):
        beat[np.isfinite(beat)] = np.median(before[-site.period_rows :])
    return values


_DEVIATIONS = (1.0, 2.0, 4.0, 8.0)
_NONE: tuple[float | None, ...] = (None,)

KINDS = (
    FaultKind("spike", _DEVIATIONS, "{:g}", "a spike of {:g} usual deviation{}", _spike),
    FaultKind("step", _DEVIATIONS, "{:g}", "a step of {:g} usual deviation{}", _step),
    FaultKind("drift", _DEVIATIONS, "{:g}", "a drift by {:g} usual deviation{}", _drift),
    FaultKind("noise", _DEVIATIONS, "{:g}", "noise of {:g} usual deviation{}", _noise),
    FaultKind("smoother", (2.0, 4.0, 8.0), "1/{:g}", "activity {:g} times less", _smoother),
    FaultKind("faster", (1.25, 1.5, 2.0, 3.0), "{:g}x", "{:g} times the rate", _faster, needs_period=True),
    FaultKind("missing beat", _NONE, "", "a missing beat", _missing_beat, needs_period=True),
    FaultKind("stuck", _NONE, "", "a stuck value", _stuck),
    FaultKind("cut-out", _NONE, "", "a fall to 0", _cut_out),
    FaultKind("no values", _NONE, "", "a channel without values", _no_values),
)
"""In the order of tables."""
