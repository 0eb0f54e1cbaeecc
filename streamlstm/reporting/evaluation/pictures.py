"""A missed event or a false alarm as a picture: channels, what was expected of them, and the score, over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.excerpts import Excerpt
from streamlstm.evaluation.measures.labels import label_spans
from streamlstm.reporting.axes import Axis, covering
from streamlstm.reporting.channel_figures import outline
from streamlstm.reporting.markup import Markup, element
from streamlstm.reporting.plots import Plot, figure, key
from streamlstm.reporting.quantities import counted, duration, number, share

__all__ = ["legend", "picture"]

_POINTS = 300
"""A line of more rows is drawn by the extremes of so many stretches."""
_HIGHEST = 10.0
"""Scores above are drawn at the edge: the threshold must stay in sight."""
_CLOCKS = ((86_400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"))


def legend() -> Markup:
    """Return what the colours mean."""
    return key(
        ("ink broad", "observed"),
        ("c1 stroke", "expected one step before"),
        ("c3 block", "score, 1.0 = alarm"),
        ("c2 block", "labelled as anomalous"),
        ("quiet block", "under alert"),
    )


def picture(excerpt: Excerpt) -> Markup:
    """Return the figure."""
    clock, unit = _clock(excerpt)
    across: NDArray[np.float64] = (np.arange(len(excerpt.score)) - excerpt.first) * np.float64(clock)
    x = Axis(float(across[0]), float(max(across[-1], across[0] + 1e-9)))
    plots: list[Markup] = []
    for c in range(len(excerpt.channels)):
        plots += _channel(excerpt, c, across, x)
    plots += _score(excerpt, across, x, unit)
    return figure(excerpt.series, *plots, note=_note(excerpt), css="window")


def _note(excerpt: Excerpt) -> str:
    rows = excerpt.last - excerpt.first + 1
    lasted = duration(rows * excerpt.period_s) if excerpt.period_s else counted(rows, "row")
    place = f"from row {excerpt.begin + excerpt.first:,}, {lasted}"
    if excerpt.kind == "miss":
        return (
            f"An event {place}, without an alert: the score reaches {number(excerpt.peak_score)}, and "
            f"{share(excerpt.badness)} of the rows that are not labelled have a higher one."
        )
    return f"An alert {place}, away from every label: the score reaches {number(excerpt.peak_score)}."


def _channel(excerpt: Excerpt, c: int, across: NDArray[np.float64], x: Axis) -> list[Markup]:
    name, unit = excerpt.channels[c], excerpt.units[c]
    came, expected = excerpt.values[:, c], excerpt.expected[:, c]
    plot = Plot(x, covering(np.concatenate([came, expected])), height=84, x_ticks=0, y_ticks=4)
    _shade(plot, excerpt, across)
    _line(plot, across, came, "ink broad", title="observed")
    _line(plot, across, expected, "c1 thin", title="expected one step before")
    heading = element("p", {"class": "panel"}, name, element("small", None, f" {unit}" if unit else ""))
    return [heading, plot.render(f"{name}: observed and expected around the place.")]


def _score(excerpt: Excerpt, across: NDArray[np.float64], x: Axis, unit: str) -> list[Markup]:
    score = np.where(np.isfinite(excerpt.score), excerpt.score, 0.0)
    plot = Plot(
        x, Axis(0.0, 1.15 * min(max(float(score.max()), 1.0), _HIGHEST)), height=52, x_ticks=7, y_ticks=2, x_title=unit
    )
    _shade(plot, excerpt, across)
    rows, heights = outline(score.astype(np.float32), _POINTS)
    plot.band(across[rows.astype(np.int64)], np.zeros_like(heights), heights, "c3")
    plot.across(1.0, "alarm")
    cut = f" · above {_HIGHEST:g} it is cut off" if score.max() > _HIGHEST else ""
    heading = element("p", {"class": "panel"}, "score", element("small", None, f" · {unit} from the start{cut}"))
    return [heading, plot.render(f"Score: {number(excerpt.peak_score)} at its highest, 1.0 is the threshold.")]


def _line(plot: Plot, across: NDArray[np.float64], column: NDArray[np.float32], css: str, *, title: str) -> None:
    rows, values = outline(column, _POINTS)
    plot.line(across[rows.astype(np.int64)], values, css, title=title)


def _shade(plot: Plot, excerpt: Excerpt, across: NDArray[np.float64]) -> None:
    step = float(across[1] - across[0]) if len(across) > 1 else 1.0
    for flags, css in ((excerpt.under_alert, "quiet"), (excerpt.labels, "c2 faint")):
        for first, last in label_spans(flags).tolist():
            plot.shade(float(across[first]), float(across[last]) + step, css)


def _clock(excerpt: Excerpt) -> tuple[float, str]:
    """Return what a row is on the axis, and in which unit."""
    if not excerpt.period_s:
        return 1.0, "rows"
    span_s = len(excerpt.score) * excerpt.period_s
    size, unit = next((one for one in _CLOCKS if span_s >= 2 * one[0]), _CLOCKS[-1])
    return excerpt.period_s / size, unit
