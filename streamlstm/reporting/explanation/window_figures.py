"""A window in pictures: each channel in its expected band, and what made the score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.explanation import Explanation
from streamlstm.reporting.axes import covering
from streamlstm.reporting.channel_figures import outline
from streamlstm.reporting.explanation.stacked import HIGHEST, Stack, draw_stack, score_plot, stack_of
from streamlstm.reporting.explanation.time_axis import TimeAxis, stretches
from streamlstm.reporting.explanation.verdict import with_band, with_unit
from streamlstm.reporting.explanation.zoom import zoomed
from streamlstm.reporting.markup import Markup, element
from streamlstm.reporting.plots import Plot, key
from streamlstm.reporting.quantities import number, share

__all__ = ["shade", "window_figures"]

_POINTS = 400
_SHOWN = 6
_MOST = 40


def window_figures(explanation: Explanation, time: TimeAxis, *, channels: int | None = None) -> list[Markup]:
    """Return channels, those that contributed most first, and the score; `channels`: so many, and none folded."""
    order = np.argsort(-explanation.contribution[explanation.at], kind="stable").tolist()
    shown, rest = order[: channels or _SHOWN], [] if channels else order[_SHOWN:_MOST]
    by_branch = stack_of(
        [name.replace("_", " ") for name in explanation.branches], explanation.share_of_branches(), explanation.score
    )
    by_channel = stack_of(explanation.channels, explanation.contribution, explanation.score)
    legend = key(
        ("ink broad", "observed"),
        ("c1 stroke", "expected one step before"),
        ("c1 block", "± its usual error"),
        *([("quiet block", "under alert")] if explanation.alerts else []),
        *([("c2 block", "labelled")] if explanation.labels else []),
    )
    plots = [part for c in shown for part in _channel(explanation, c, time)]
    plots += _stacked("Score by branch", by_branch, explanation, time)
    plots += _stacked("Score by channel", by_channel, explanation, time)
    found = [legend, zoomed(*plots, label="Channels and score over time", time=time)]
    if rest:
        more = zoomed(
            *(part for c in rest for part in _channel(explanation, c, time)), label="Further channels", time=time
        )
        names = f"{len(rest)} further channels" + (f" of {len(order) - _SHOWN}" if len(order) > _MOST else "")
        found.append(element("details", None, element("summary", None, names), more))
    return found


def shade(plot: Plot, explanation: Explanation, time: TimeAxis) -> None:
    """Shade what was under alert and what is labelled, and mark the time that is asked about."""
    for alert in explanation.alerts:
        end = time.axis.high if alert.resolved_at is None else time.place(alert.resolved_at)
        plot.shade(time.place(alert.started_at), end, "quiet")
    for span in explanation.labels:
        plot.shade(time.place(span.begin_ms), time.place(span.end_ms), "c2 faint")
    plot.upright(float(time.across[explanation.at]), "ink")


def _channel(explanation: Explanation, c: int, time: TimeAxis) -> list[Markup]:
    name, unit, usual = explanation.channels[c], explanation.units[c], float(explanation.usual[c])
    came = explanation.values[:, c].astype(np.float64)
    expected = explanation.expected[:, c].astype(np.float64)
    plot = Plot(time.axis, covering(np.concatenate([came, expected])), height=92, x_ticks=0, y_ticks=4)
    shade(plot, explanation, time)
    rows, low = _extremes(expected - usual, np.fmin)
    _, high = _extremes(expected + usual, np.fmax)
    plot.band(time.across[rows], low, high, "c1 faint", title="± its usual error")
    _line(plot, time, came, "ink broad", title="observed")
    _line(plot, time, expected, "c1 thin", title="expected one step before")
    at = explanation.at
    told = f"{with_unit(float(came[at]), unit)} came, {with_band(float(expected[at]), usual, unit)} expected"
    part = share(float(explanation.contribution[at, c]))
    heading = element("p", {"class": "panel"}, name, element("small", None, f" {unit}" if unit else "", f" · {part}"))
    return [heading, plot.render(f"{name}: {told} at the time asked about; {part} of the surprise.")]


def _stacked(title: str, stack: Stack, explanation: Explanation, time: TimeAxis) -> list[Markup]:
    plot = score_plot(explanation.score, time, height=90)
    shade(plot, explanation, time)
    draw_stack(plot, stack, explanation.score, time)
    has_settled = bool(np.isfinite(explanation.settled).any())
    if has_settled:
        _line(plot, time, explanation.settled, "alarm", title="settled one period later")
    high = np.nan_to_num(explanation.score).max()
    cut = f" · above {HIGHEST:g} it is cut off" if high > HIGHEST else ""
    heading = element("p", {"class": "panel"}, title, element("small", None, cut))
    label = f"{title}: {number(float(high))} at its highest, 1.0 is the threshold."
    return [heading, stack.key(has_settled=has_settled), plot.render(label)]


def _line(plot: Plot, time: TimeAxis, column: NDArray[np.float64], css: str, *, title: str) -> None:
    rows, values = outline(column.astype(np.float32), _POINTS)
    plot.line(time.across[rows.astype(np.int64)], values, css, title=title)


def _extremes(column: NDArray[np.float64], most: np.ufunc) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return rows and, of the stretch that begins at each, the extreme."""
    starts = stretches(len(column), _POINTS)
    return starts, np.asarray(most.reduceat(column, starts))
