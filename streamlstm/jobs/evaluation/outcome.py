"""What came of an evaluation: numbers by series, method and seed, and their means by set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["OURS", "CaseOutcome", "Evaluation", "Mean", "MethodOutcome", "SetOutcome"]

OURS = "streamlstm"
"""The method that is evaluated; others stand beside it."""


@dataclass(frozen=True, slots=True)
class MethodOutcome:
    """One series as one method scored it. Units: `values` as the measures have them, NaN where one does not apply."""

    set_name: str
    series: str
    method: str
    seed: int
    rows: int
    events: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """One case under one seed: what each method made of its series, or why there is nothing."""

    case: str
    seed: int
    seconds: float
    methods: tuple[MethodOutcome, ...] = ()
    failure: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mean:
    """A measure's mean over series, then over seeds, with the standard deviation over seeds: NaN where there is one."""

    value: float
    spread: float


@dataclass(frozen=True, slots=True)
class SetOutcome:
    """One set: how much was judged, and the means of each method's measures."""

    name: str
    series: int
    rows: int
    events: int
    means: Mapping[str, Mapping[str, Mean]]


@dataclass(slots=True)
class Evaluation:
    """What is done so far. `of` is how many cases and seeds there are in all."""

    of: int
    outcomes: list[CaseOutcome] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether everything was done."""
        return len(self.outcomes) == self.of

    @property
    def failures(self) -> list[CaseOutcome]:
        """Cases that could not be evaluated."""
        return [outcome for outcome in self.outcomes if outcome.failure is not None]

    @property
    def methods(self) -> list[MethodOutcome]:
        """Everything measured, in order of set and series."""
        found = [method for outcome in self.outcomes for method in outcome.methods]
        return sorted(found, key=lambda one: (one.set_name, one.series, one.seed))

    def sets(self) -> list[SetOutcome]:
        """Return the means by set, in order of their names."""
        by_set: dict[str, list[MethodOutcome]] = {}
        for one in self.methods:
            by_set.setdefault(one.set_name, []).append(one)
        return [_of_set(name, found) for name, found in by_set.items()]


def _of_set(name: str, found: Sequence[MethodOutcome]) -> SetOutcome:
    series = {one.series: one for one in found}
    by_method: dict[str, list[MethodOutcome]] = {}
    for one in found:
        by_method.setdefault(one.method, []).append(one)
    return SetOutcome(
        name,
        len(series),
        sum(one.rows for one in series.values()),
        sum(one.events for one in series.values()),
        {method: _means(of) for method, of in by_method.items()},
    )


def _means(found: Sequence[MethodOutcome]) -> dict[str, Mean]:
    means = {}
    for measure in dict.fromkeys(measure for one in found for measure in one.values):
        by_seed = [
            _mean([one.values[measure] for one in found if one.seed == seed and measure in one.values])
            for seed in sorted({one.seed for one in found})
        ]
        known = [value for value in by_seed if not math.isnan(value)]
        means[measure] = Mean(_mean(known), float(np.std(known, ddof=1)) if len(known) > 1 else math.nan)
    return means


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
