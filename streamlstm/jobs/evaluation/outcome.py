"""What came of an evaluation, by series, method and seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamlstm.evaluation.excerpts import Excerpt
from streamlstm.evaluation.measures.events import EventCounts
from streamlstm.evaluation.series_measures import NabScores

__all__ = ["OURS", "Alerts", "CaseOutcome", "Evaluation", "MethodOutcome"]

OURS = "streamlstm"
"""The method that is evaluated; others stand beside it."""


@dataclass(frozen=True, slots=True)
class Alerts:
    """What the alerts of a series came to. Units: days watched; period_s 0 where nobody knows it."""

    counts: EventCounts
    days: float
    period_s: float


@dataclass(frozen=True, slots=True)
class MethodOutcome:
    """One series as one method scored it: rows judged, measures by name, and what adds up over a set.

    Units: `values` as the measures have them, NaN where one does not apply; `scored_s` seconds for `scored_rows`, which
    are those of the warm-up too.
    """

    set_name: str
    series: str
    method: str
    seed: int
    rows: int
    events: int
    scored_rows: int
    scored_s: float
    values: Mapping[str, float]
    alerts: Alerts | None = None
    nab: NabScores | None = None


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """One case under one seed: what each method made of its series, or why there is nothing."""

    case: str
    seed: int
    methods: tuple[MethodOutcome, ...] = ()
    excerpts: tuple[Excerpt, ...] = ()
    notes: tuple[str, ...] = ()
    failure: str | None = None


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

    @property
    def excerpts(self) -> list[Excerpt]:
        """What is worth looking at, in order of set and series."""
        found = [excerpt for outcome in self.outcomes for excerpt in outcome.excerpts]
        return sorted(found, key=lambda one: (one.set_name, one.series, one.begin))
