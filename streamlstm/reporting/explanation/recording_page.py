"""The page of a scored recording: its streams in a table, the foremost from first to last row, and their alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamlstm.evaluation.explanation import Explanation
from streamlstm.evaluation.overview import StreamTally
from streamlstm.evaluation.summary import StreamSummary
from streamlstm.reporting.axes import covering
from streamlstm.reporting.data_section import table
from streamlstm.reporting.explanation.page import page_of
from streamlstm.reporting.explanation.stacked import HIGHEST, score_plot
from streamlstm.reporting.explanation.time_axis import TimeAxis
from streamlstm.reporting.explanation.verdict import clock_time, verdict_of
from streamlstm.reporting.explanation.window_figures import window_figures
from streamlstm.reporting.explanation.zoom import zoomed
from streamlstm.reporting.markup import Child, Markup, element
from streamlstm.reporting.plots import Plot, key
from streamlstm.reporting.quantities import MISSING, counted, number

__all__ = ["RecordingReport", "render_recording"]

_CHANNELS = 6
_FURTHER = 12
_LISTED = 50
_SHOWN_WINDOWS = 2
"""Of a stream; others are folded."""


@dataclass(frozen=True, slots=True)
class RecordingReport:
    """What is shown of a recording; `facts` say what was scored with what, `tallies` are of all its streams."""

    name: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    facts: tuple[str, ...]
    tallies: Sequence[StreamTally]
    streams: Sequence[StreamSummary]


def render_recording(report: RecordingReport) -> str:
    """Return the page."""
    body = [
        element("p", {"class": "kicker"}, "streamlstm score"),
        element("h1", None, report.name),
        *(element("p", {"class": "facts"}, fact) for fact in report.facts),
        element("p", {"class": "lead"}, _lead(report)),
        *_streams(report),
        *(part for one in report.streams for part in _stream(report, one)),
    ]
    return page_of(f"{report.name} · scored", body)


def _lead(report: RecordingReport) -> str:
    opened = sum(one.opened for one in report.tallies)
    with_alerts = sum(one.opened > 0 for one in report.tallies)
    if not opened:
        return f"No alert opened in {counted(len(report.tallies), 'stream')}."
    of = f" of {len(report.tallies):,}" if len(report.tallies) > 1 else ""
    return (
        f"{counted(opened, 'alert')} opened in {with_alerts:,}{of} {'streams' if of or with_alerts > 1 else 'stream'}."
    )


def _streams(report: RecordingReport) -> list[Markup]:
    if len(report.tallies) == 1:
        return []
    order = sorted(report.tallies, key=lambda one: (-one.opened, -one.highest, one.stream_id))
    rows: list[list[Child]] = [
        [one.stream_id, f"{one.rows:,}", f"{one.opened:,}", number(one.highest) if one.highest > -np.inf else MISSING]
        for one in order[:_LISTED]
    ]
    more = len(order) - _LISTED
    note = f"Shown below are the {len(report.streams)} streams with the most alerts." + (
        f" {more:,} more streams have no more alerts than the last of these." if more > 0 else ""
    )
    return [
        element("h2", None, "Streams"),
        table(["stream", "rows", "alerts", "highest score"], rows),
        element("p", {"class": "note"}, note) if len(report.streams) < len(order) else Markup(""),
    ]


def _stream(report: RecordingReport, one: StreamSummary) -> list[Markup]:
    windows = [part for window in one.windows[:_SHOWN_WINDOWS] for part in _window(window)]
    folded = [part for window in one.windows[_SHOWN_WINDOWS:] for part in _window(window)]
    count = len(one.windows) - _SHOWN_WINDOWS
    more = element("summary", None, f"{count} further places with alerts")
    left_out = one.tally.opened - len(one.tally.strongest)
    note = f"Shown are places around the {len(one.tally.strongest)} strongest of {one.tally.opened:,} alerts."
    return [
        element("h2", None, one.tally.stream_id),
        *_overview(report, one),
        element("p", {"class": "note"}, note) if left_out > 0 else Markup(""),
        *windows,
        element("details", None, more, *folded) if folded else Markup(""),
    ]


def _overview(report: RecordingReport, one: StreamSummary) -> list[Markup]:
    overview = one.overview
    times = overview.event_time_ms
    time = TimeAxis.of(times, origin_ms=int(times[0]))
    held = one.windows[0].contribution if one.windows else None
    order = np.arange(len(report.channels)) if held is None else np.argsort(-held.mean(axis=0), kind="stable")
    shown, rest = order[:_CHANNELS].tolist(), order[_CHANNELS:_FURTHER].tolist()
    legend = key(
        ("ink block", "observed"),
        ("c1 block", "expected one step before"),
        ("c3 block", "score, 1 is the alarm"),
        *([("alarm stroke", "settled one period later")] if np.isfinite(overview.settled).any() else []),
        *([("quiet block", "under alert")] if overview.under_alert.any() else []),
        *([("c2 block", "labelled")] if one.labels else []),
    )
    plots = [*_score(one, time), *(part for c in shown for part in _channel(report, one, c, time))]
    note = (
        f"{counted(one.tally.rows, 'row')} from {clock_time(int(times[0]))}; time runs in {time.unit} from there. Each "
        "place across stands for a stretch of rows, from the lowest to the highest in it."
    )
    found = [legend, zoomed(*plots, label="Score and channels", time=time), element("p", {"class": "note"}, note)]
    if rest:
        more = [part for c in rest for part in _channel(report, one, c, time)]
        names = f"{len(rest)} further channels" + (f" of {len(order) - _CHANNELS}" if len(order) > _FURTHER else "")
        folded = zoomed(*more, label="Further channels", time=time)
        found.append(element("details", None, element("summary", None, names), folded))
    return found


def _score(one: StreamSummary, time: TimeAxis) -> list[Markup]:
    score = np.nan_to_num(one.overview.score)
    plot = score_plot(one.overview.score, time, height=80)
    _shade(plot, one, time)
    plot.band(time.across, np.zeros_like(score), score, "c3", title="score")
    plot.line(time.across, one.overview.settled, "alarm thin", title="settled one period later")
    plot.across(1.0, "alarm", "alarm")
    high = float(score.max())
    cut = f" · above {HIGHEST:g} it is cut off" if high > HIGHEST else ""
    label = f"Score: {number(high)} at its highest, 1.0 is the threshold; {counted(one.tally.opened, 'alert')}."
    return [element("p", {"class": "panel"}, "score", element("small", None, cut)), plot.render(label)]


def _channel(report: RecordingReport, one: StreamSummary, c: int, time: TimeAxis) -> list[Markup]:
    overview, name, unit = one.overview, report.channels[c], report.units[c]
    columns = (overview.low[:, c], overview.high[:, c], overview.expected_low[:, c], overview.expected_high[:, c])
    low, high, expected_low, expected_high = (column.astype(np.float64) for column in columns)
    plot = Plot(time.axis, covering(np.concatenate([low, high])), height=84, x_ticks=0, y_ticks=4)
    _shade(plot, one, time)
    plot.band(time.across, low, high, "ink faint", title="observed")
    plot.line(time.across, high, "ink thin", title="highest")
    plot.line(time.across, low, "ink thin", title="lowest")
    plot.band(time.across, expected_low, expected_high, "c1", title="expected one step before")
    heading = element("p", {"class": "panel"}, name, element("small", None, f" {unit}" if unit else ""))
    seen = low[np.isfinite(low)]
    told = f"{number(float(seen.min()))} to {number(float(np.nanmax(high)))}" if len(seen) else "never observed"
    return [heading, plot.render(f"{name}: {told}.")]


def _shade(plot: Plot, one: StreamSummary, time: TimeAxis) -> None:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], one.overview.under_alert, [False]]).astype(np.int8)))
    across = np.append(time.across, time.axis.high)
    for first, end in edges.reshape(-1, 2).tolist():
        plot.shade(float(across[first]), float(across[end]), "quiet")
    for span in one.labels:
        plot.shade(time.place(span.begin_ms), time.place(span.end_ms), "c2 faint")


def _window(window: Explanation) -> list[Markup]:
    time = TimeAxis.of(window.event_time_ms, origin_ms=int(window.event_time_ms[window.at]))
    return [
        element("h3", None, clock_time(int(window.event_time_ms[window.at]))),
        element("p", None, verdict_of(window)),
        *window_figures(window, time, channels=3),
    ]
