"""Figures of a set as people read them: a table of rankings, and one of what alerts came to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from streamlstm.evaluation.labelled.sets import traits_of
from streamlstm.evaluation.measures.nab import PROFILES
from streamlstm.jobs.evaluation.summary import ASKED_PER_DAY, Mean, SetSummary
from streamlstm.reporting.evaluation.report import SetTable, Table
from streamlstm.reporting.quantities import counted, duration, number

__all__ = ["set_table"]

_NOTHING = "-"


class _Column(NamedTuple):
    title: str
    write: Callable[[float], str]


def set_table(one: SetSummary) -> SetTable:
    """Return a set's tables."""
    rate = traits_of(one.name).rate
    profiles = {f"nab_{profile.name}": profile.name.replace("reward_", "").replace("_", " ") for profile in PROFILES}
    tables = {
        "ranking": {
            "vus_pr": _Column("VUS-PR", _decimals(3)),
            "auc_pr": _Column("AUC-PR", _decimals(3)),
            "top_1": _Column("top-1", _percent),
            "settled_vus_pr": _Column("settled: VUS-PR", _decimals(3)),
            "settled_auc_pr": _Column("AUC-PR", _decimals(3)),
            "settled_top_1": _Column("top-1", _percent),
        },
        "NAB, best threshold": {f"{name}_swept": _Column(title, _decimals(1)) for name, title in profiles.items()},
        "NAB, own alerts": {f"{name}_alerts": _Column(title, _decimals(1)) for name, title in profiles.items()},
        "events": {
            "found": _Column(f"found of {one.events:,}", _count),
            "delay_rows": _Column("rows late", _count),
            "delay_s": _Column("time late", duration),
            "precision": _Column("precision", _decimals(2)),
            "recall": _Column("recall", _decimals(2)),
            "f1": _Column("F1", _decimals(2)),
        },
        "alerts": {
            "openings": _Column("openings", _count),
            "false_openings": _Column("false", _count),
            f"false_per_{rate}": _Column(f"a stream-{rate}", number),
            "budget_spent": _Column("of budget", _times),
            "budget_within_2x": _Column("within 2x", _percent),
            "budget_above_2x": _Column("above", _percent),
            "share_under_alert": _Column("rows alerting", _percent),
        },
        "calibration, speed": {
            "clean_distance": _Column("p off by", _decimals(2)),
            "samples_per_s": _Column("samples/s", _count),
        },
    }
    if not one.events:
        del tables["events"]
    found = (_table(title, columns, one.figures) for title, columns in tables.items())
    wrong = [
        f"{method}: SCORES OF A PREFIX DIFFER from those of the whole, so some of them rest on later rows"
        for method, figures in one.figures.items()
        if "prefix_equal" in figures and figures["prefix_equal"].value < 1
    ]
    summary = f"{one.series:,} series, {counted(one.rows, 'row')} judged, {counted(one.events, 'event')}"
    summary += f"; a budget of {ASKED_PER_DAY:g} false alarms a stream-day"
    return SetTable(one.name, summary, tuple(table for table in found if table.rows), tuple(wrong))


def _table(title: str, columns: Mapping[str, _Column], figures: Mapping[str, Mapping[str, Mean]]) -> Table:
    """Return a row for each method that has one of the figures, without columns that are empty in all rows."""
    shown = {name: column for name, column in columns.items() if any(_has(of, name) for of in figures.values())}
    rows = [
        (method, *(_cell(of.get(name), column.write) for name, column in shown.items()))
        for method, of in figures.items()
        if any(_has(of, name) for name in shown)
    ]
    return Table((title, *(column.title for column in shown.values())), tuple(rows))


def _has(figures: Mapping[str, Mean], name: str) -> bool:
    return name in figures and not math.isnan(figures[name].value)


def _cell(mean: Mean | None, write: Callable[[float], str]) -> str:
    """Write a mean, and its spread over seeds where there are several."""
    if mean is None or math.isnan(mean.value):
        return _NOTHING
    return write(mean.value) + ("" if math.isnan(mean.spread) else f" \u00b1{write(mean.spread)}")


def _decimals(digits: int) -> Callable[[float], str]:
    return lambda value: f"{value:.{digits}f}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or float(value).is_integer() else f"{value:,.1f}"


def _times(value: float) -> str:
    return f"x{number(value)}"


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"
