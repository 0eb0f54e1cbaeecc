"""The tables of an evaluation, one for each set, as lines of text."""

from __future__ import annotations

import math
from collections.abc import Iterator

from streamlstm.jobs.evaluation.outcome import Evaluation, Mean, SetOutcome

__all__ = ["table_lines"]

_RANKING = {"vus_pr": "VUS-PR", "auc_pr": "AUC-PR", "top1": "top-1"}


def table_lines(evaluation: Evaluation) -> Iterator[str]:
    """Yield the tables."""
    for one in evaluation.sets():
        yield from _set_lines(one)
        yield ""


def _set_lines(one: SetOutcome) -> Iterator[str]:
    events = "1 event" if one.events == 1 else f"{one.events:,} events"
    yield f"{one.name}: {one.series:,} series, {one.rows:,} rows judged, {events}"
    shown = [key for key in _RANKING if any(_is_known(means.get(key)) for means in one.means.values())]
    width = max(len(method) for method in one.means)
    if shown:
        yield f"  {'':<{width}}" + "".join(f"  {_RANKING[key]:>13}" for key in shown)
        for method, means in one.means.items():
            yield f"  {method:<{width}}" + "".join(f"  {_figure(means.get(key)):>13}" for key in shown)


def _is_known(mean: Mean | None) -> bool:
    return mean is not None and not math.isnan(mean.value)


def _figure(mean: Mean | None) -> str:
    """Write a mean, and its spread over seeds where there are several."""
    if mean is None or math.isnan(mean.value):
        return "-"
    return f"{mean.value:.3f}" if math.isnan(mean.spread) else f"{mean.value:.3f} ±{mean.spread:.3f}"
