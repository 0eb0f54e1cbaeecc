"""The figures of a set: means over its series, and counts added up; then means and spreads over seeds.

A measure of a series (VUS-PR, AUC-PR, top-1, the distance of clean p-values) is averaged over the series: each counts
the same. Events, openings, days and delays are those of all series together; NAB's scorer sees all files at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamlstm.evaluation.labelled.sets import traits_of
from streamlstm.evaluation.measures.budget import spent_budget
from streamlstm.evaluation.measures.events import total_events
from streamlstm.evaluation.measures.nab import PROFILES, nab_score, nab_sweep
from streamlstm.jobs.evaluation.outcome import Alerts, Evaluation, MethodOutcome
from streamlstm.scoring.thresholds import Threshold

__all__ = ["ASKED_PER_DAY", "Mean", "SetSummary", "summarise"]

ASKED_PER_DAY = Threshold().false_alarms_per_stream_day
"""The budget that every evaluation asks for: the default one."""
_HOURS_PER_DAY = 24


@dataclass(frozen=True, slots=True)
class Mean:
    """A figure's mean over seeds, and its standard deviation over them: NaN where there is one seed."""

    value: float
    spread: float


@dataclass(frozen=True, slots=True)
class SetSummary:
    """One set: how much was judged, and the figures of each method by name."""

    name: str
    series: int
    rows: int
    events: int
    figures: Mapping[str, Mapping[str, Mean]]


def summarise(evaluation: Evaluation) -> list[SetSummary]:
    """Return the figures by set, in order of their names."""
    by_set: dict[str, list[MethodOutcome]] = {}
    for one in evaluation.methods:
        by_set.setdefault(one.set_name, []).append(one)
    return [_summary(name, found) for name, found in by_set.items()]


def _summary(name: str, found: Sequence[MethodOutcome]) -> SetSummary:
    series = {one.series: one for one in found}
    by_method: dict[str, dict[int, list[MethodOutcome]]] = {}
    for one in found:
        by_method.setdefault(one.method, {}).setdefault(one.seed, []).append(one)
    return SetSummary(
        name,
        len(series),
        sum(one.rows for one in series.values()),
        sum(one.events for one in series.values()),
        {method: _over_seeds([_figures(name, of) for of in seeds.values()]) for method, seeds in by_method.items()},
    )


def _over_seeds(figures: Sequence[Mapping[str, float]]) -> dict[str, Mean]:
    means = {}
    for name in dict.fromkeys(name for one in figures for name in one):
        known = [one[name] for one in figures if name in one and not math.isnan(one[name])]
        means[name] = Mean(_mean(known), float(np.std(known, ddof=1)) if len(known) > 1 else math.nan)
    return means


def _figures(set_name: str, found: Sequence[MethodOutcome]) -> dict[str, float]:
    """Return what one method made of a set under one seed."""
    names = dict.fromkeys(name for one in found for name in one.values)
    figures = {name: _mean([one.values[name] for one in found if name in one.values]) for name in names}
    seconds = sum(one.scored_s for one in found)
    figures["samples_per_s"] = sum(one.scored_rows for one in found) / seconds if seconds else math.nan
    figures |= _alert_figures(set_name, [one.alerts for one in found if one.alerts is not None])
    return figures | _nab_figures(found)


def _alert_figures(set_name: str, alerts: Sequence[Alerts]) -> dict[str, float]:
    if not alerts:
        return {}
    counts = total_events(one.counts for one in alerts)
    days = np.array([one.days for one in alerts])
    false = np.array([one.counts.false_openings for one in alerts])
    spent = spent_budget(false, days, ASKED_PER_DAY)
    rate = traits_of(set_name).rate
    delays_s = np.concatenate([one.counts.delays * one.period_s for one in alerts])
    has_clock = all(one.period_s for one in alerts)
    return {
        "found": counts.found,
        "openings": counts.openings,
        "false_openings": counts.false_openings,
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "delay_rows": counts.median_delay,
        "delay_s": float(np.median(delays_s)) if has_clock and len(delays_s) else math.nan,
        "share_under_alert": counts.share_under_alert,
        f"false_per_{rate}": float(false.sum() / days.sum()) / (_HOURS_PER_DAY if rate == "hour" else 1),
        "budget_spent": spent.total,
        "budget_within_2x": spent.within_2x,
        "budget_above_2x": spent.above_2x,
    }


def _nab_figures(found: Sequence[MethodOutcome]) -> dict[str, float]:
    held = [one.nab for one in found if one.nab is not None]
    files = [one.file for one in held]
    openings = [one.openings for one in held if one.openings is not None]
    figures = {}
    for profile in PROFILES if held else ():
        figures[f"nab_{profile.name}_swept"] = nab_sweep(files, [one.scores for one in held], profile).score
        if len(openings) == len(held):
            figures[f"nab_{profile.name}_alerts"] = nab_score(files, openings, profile)
    return figures


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
