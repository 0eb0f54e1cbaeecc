"""What an evaluation leaves in its folder: `scores/SET/SERIES.csv` for each series, and `results.json`."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from streamlstm.errors import StreamLstmError
from streamlstm.evaluation.measures.nab import PROFILES
from streamlstm.evaluation.scored import ScoredSeries
from streamlstm.jobs.evaluation.outcome import OURS, Alerts, Evaluation
from streamlstm.jobs.evaluation.summary import summarise

__all__ = ["SCHEMA", "results", "scores_file", "write_results", "write_scores"]

SCHEMA = "streamlstm.evaluation/1"
_NAB_POINTS = {f"nab_{profile.name}_{way}": "of 100" for profile in PROFILES for way in ("swept", "alerts")}
_UNITS = _NAB_POINTS | {
    "vus_pr": "area",
    "auc_pr": "area",
    "settled_vus_pr": "area",
    "settled_auc_pr": "area",
    "f1": "harmonic mean",
    "found": "events",
    "openings": "alerts",
    "false_openings": "alerts",
    "false_per_day": "alerts a stream-day",
    "false_per_hour": "alerts a stream-hour",
    "budget_spent": "times the budget",
    "delay_rows": "rows",
    "delay_s": "s",
    "clean_distance": "distance",
    "samples_per_s": "samples/s",
}
"""Of the figures of a set; the others are shares."""


def scores_file(out: Path, set_name: str, series: str, *, method: str = OURS, seed: int = 1) -> Path:
    """Return where a series' scores go; those of another seed or model have a folder beside `scores`."""
    folder = "scores" if method == OURS else f"scores-{_safe(method)}"
    folder += f"-seed-{seed}" if seed > 1 else ""
    *groups, name = (_safe(part) for part in series.split("/"))
    return out.joinpath(folder, _safe(set_name), *groups, f"{name}.csv")


def write_scores(path: Path, scored: ScoredSeries, *, first_row: int) -> None:
    """Write a row for each judged one, `row,score,settled,alert`: row from 0 in the series, alert 1 while one is open.

    A row without a score has none, and the last rows, whose period is not over, are not settled.
    Raises: StreamLstmError when the disk refuses.
    """
    rows = range(first_row, first_row + len(scored.score))
    columns = zip(rows, scored.score.tolist(), scored.settled.tolist(), scored.under_alert.tolist(), strict=True)
    lines = ["row,score,settled,alert\n"]
    lines += [f"{row},{_cell(score)},{_cell(settled)},{int(alert)}\n" for row, score, settled, alert in columns]
    _write(path, "".join(lines))


def _cell(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.9g}"


def results(evaluation: Evaluation, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that was measured as plain data; `about` says what was evaluated, on what, with what."""
    sets = summarise(evaluation)
    return {
        "schema": SCHEMA,
        **about,
        "is_complete": evaluation.is_complete,
        "measurements": [
            {
                "name": f"{one.name}/{method}/{figure}",
                "value": _plain(mean.value),
                "unit": _UNITS.get(figure, "share"),
                "spread": _plain(mean.spread),
            }
            for one in sets
            for method, figures in one.figures.items()
            for figure, mean in figures.items()
        ],
        "sets": [{"set": one.name, "series": one.series, "rows": one.rows, "events": one.events} for one in sets],
        "series": [
            {
                "set": one.set_name,
                "series": one.series,
                "method": one.method,
                "seed": one.seed,
                "rows": one.rows,
                "events": one.events,
                **{measure: _plain(value) for measure, value in one.values.items()},
                **({} if one.alerts is None else _alerts(one.alerts)),
            }
            for one in evaluation.methods
        ],
        "failures": [{"series": one.case, "seed": one.seed, "reason": one.failure} for one in evaluation.failures],
    }


def _alerts(alerts: Alerts) -> dict[str, Any]:
    counts = alerts.counts
    return {
        "found": counts.found,
        "openings": counts.openings,
        "false_openings": counts.false_openings,
        "rows_under_alert": counts.rows_under_alert,
        "delays_rows": counts.delays.tolist(),
        "days": alerts.days,
    }


def write_results(path: Path, found: Mapping[str, Any]) -> None:
    """Write results as JSON. Raises: StreamLstmError when the disk refuses."""
    _write(path, msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise StreamLstmError(f"{path}: cannot be written ({error.strerror})") from error


def _safe(name: str) -> str:
    """Return a name that a file may have; where others might become the same, with a part of its digest."""
    safe = re.sub(r"[^A-Za-z0-9._@-]+", "-", name).lstrip(".")
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _plain(value: float) -> float | None:
    """JSON knows no NaN."""
    return float(np.float64(value)) if math.isfinite(value) else None
