"""The worst windows: what came, what was expected, and the score beneath."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlstm.reporting.axes import Axis, covering
from streamlstm.reporting.markup import Markup, element
from streamlstm.reporting.phrases import phrases_of
from streamlstm.reporting.plots import Plot, figure, key
from streamlstm.reporting.quantities import duration, number, share
from streamlstm.reporting.report import TrainingReport
from streamlstm.reporting.worst_windows import WorstWindow

__all__ = ["window_section"]

_CHANNELS = 3
_TOLD = 0.8
"""Share of the score that the channels shown explain, if they are enough."""
_CLOCKS = ((86_400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"))


def window_section(report: TrainingReport, windows: list[WorstWindow]) -> Markup:
    """Return the section."""
    if not windows:
        said = "No row of the validation and calibration parts has a score above 0."
        return element("section", None, element("h2", None, "Worst windows"), element("p", None, said))
    intro = (
        "The highest scores of the validation and calibration parts, with the channels that contributed most. A model "
        "learns what normal is from these recordings: is what you see here normal? 1.0 is the alert threshold. "
        f"{phrases_of(report).scores}"
    )
    return element(
        "section",
        None,
        element("h2", None, "Worst windows"),
        element("p", None, intro),
        key(
            ("ink broad", "observed"),
            ("c1 stroke", phrases_of(report).expected),
            *([("c2 stroke", "reconstruction")] if report.is_causal else []),
        ),
        element("div", {"class": "two"}, *(_window(report, window) for window in windows)),
    )


def _window(report: TrainingReport, window: WorstWindow) -> Markup:
    clock_s, unit = _clock(report, len(window.score))
    across: NDArray[np.float64] = (np.arange(len(window.score)) + window.begin - window.peak) * np.float64(clock_s)
    x = Axis(float(across[0]), float(max(across[-1], across[0] + 1e-9)))
    order = np.argsort(-window.contribution, kind="stable")
    needed = int(np.searchsorted(np.cumsum(window.contribution[order]), _TOLD)) + 1
    plots: list[Markup] = []
    for channel in order[: min(needed, _CHANNELS)].tolist():
        plots += _channel(report, window, channel, across, x)
    plots += _score(report, window, across, x, unit)
    part = "calibration" if window.peak >= report.cuts[window.stream_id][1] else "validation"
    when = f", {duration(window.peak * report.period_s)} from its start" if report.period_s else ""
    note = f"Peak at row {window.peak:,}{when}; {part} part."
    if _trained(report, window):
        note += " Shaded: rows of the training part, which the weights know."
    return figure(f"{number(window.peak_score)} · {window.stream_id}", *plots, note=note, css="window")


def _channel(
    report: TrainingReport, window: WorstWindow, channel: int, across: NDArray[np.float64], x: Axis
) -> list[Markup]:
    name, unit = report.bundle.channels[channel], report.unit(channel)
    came, expected = window.values[:, channel], window.expected[:, channel]
    rebuilt = window.rebuilt[:, channel]
    plot = Plot(x, covering(np.concatenate([came, expected, rebuilt])), height=92, x_ticks=0, y_ticks=4)
    _shade_trained(plot, report, window, across)
    plot.line(across, came, "ink broad", title="observed")
    if report.is_causal:
        plot.line(across, rebuilt, "c2 thin", title="reconstruction")
    plot.line(across, expected, "c1 thin", title=phrases_of(report).expected)
    part = f"{share(float(window.contribution[channel]))} of the score"
    heading = element("p", {"class": "panel"}, name, element("small", None, f" {unit}" if unit else "", f" · {part}"))
    at = window.peak - window.begin
    told = f"observed {number(float(came[at]))}, expected {number(float(expected[at]))} at the peak"
    return [heading, plot.render(f"{name}: {told}; {part}.")]


def _score(
    report: TrainingReport, window: WorstWindow, across: NDArray[np.float64], x: Axis, unit: str
) -> list[Markup]:
    top = max(float(np.nanmax(window.score)), 1.0)
    plot = Plot(x, Axis(0.0, 1.15 * top), height=52, x_ticks=7, y_ticks=2, x_title=unit)
    held = np.where(np.isfinite(window.score), window.score, 0.0)
    _shade_trained(plot, report, window, across)
    plot.band(across, np.zeros_like(held), held, "c3")
    plot.across(1.0, "alarm")
    plot.dot(0.0, window.peak_score, "c3", title=f"score {number(window.peak_score)}")
    heading = element("p", {"class": "panel"}, "score", element("small", None, f" · {unit} from the peak"))
    return [heading, plot.render(f"Score: {number(window.peak_score)} at the peak, 1.0 is the threshold.")]


def _trained(report: TrainingReport, window: WorstWindow) -> int:
    """Return how many of the window's rows are of the training part."""
    return min(max(report.cuts[window.stream_id][0] - window.begin, 0), len(window.score))


def _shade_trained(plot: Plot, report: TrainingReport, window: WorstWindow, across: NDArray[np.float64]) -> None:
    if rows := _trained(report, window):
        plot.shade(float(across[0]), float(across[min(rows, len(across) - 1)]), "quiet")


def _clock(report: TrainingReport, rows: int) -> tuple[float, str]:
    """Return what a row is on the axis, and in which unit."""
    if not report.period_s:
        return 1.0, "rows"
    span_s = rows * report.period_s
    size, unit = next((one for one in _CLOCKS if span_s >= 2 * one[0]), _CLOCKS[-1])
    return report.period_s / size, unit
