"""The data: where it was cut, its streams, and a row for every channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlstm.reporting.axes import Axis, covering
from streamlstm.reporting.channel_figures import ChannelFigures, outline
from streamlstm.reporting.markup import Child, Markup, element
from streamlstm.reporting.measurements import Measurements
from streamlstm.reporting.phrases import phrases_of
from streamlstm.reporting.plots import Plot
from streamlstm.reporting.quantities import counted, duration, number, share
from streamlstm.reporting.report import TrainingReport

__all__ = ["channel_section", "data_summary", "table"]

_STREAMS_SHOWN = 12
_CHANNELS_SHOWN = 100
_SPARK_POINTS = 60
_PARTS = (("training", "c1"), ("validation", "c2"), ("calibration", "c3"))
_ROLES = ("the weights learn from it", "says when to stop", "tells how rare an error is")


def data_summary(report: TrainingReport) -> Markup:
    """Return where the data was cut, and its streams."""
    period = f"a row every {duration(report.period_s)}" if report.period_s else "the sampling period is unknown"
    detected = report.bundle.period_rows
    repeats = (
        f"; it repeats every {counted(detected, 'row')}"
        + (f" ({duration(detected * report.period_s)})" if report.period_s else "")
        if detected
        else "; no period was found"
    )
    return element(
        "section",
        None,
        element("h2", None, "Data"),
        element(
            "p",
            None,
            "Every stream is cut by time: the parts that judge come after the part that was learned; "
            f"{period}{repeats}.",
        ),
        _cuts(report),
        _streams(report),
    )


def channel_section(report: TrainingReport, figures: ChannelFigures, measured: Measurements) -> Markup:
    """Return a row for every channel: what it holds, and how well it is foreseen."""
    return element("section", None, element("h2", None, "Channels"), *_channels(report, figures, measured))


def table(header: list[str], rows: list[list[Child]], *, texts: tuple[int, ...] = (0,)) -> Markup:
    """Return a table that scrolls where it is too wide; columns but `texts` hold numbers."""
    cells = [
        element("th", {"scope": "col", "class": None if n in texts else "n"}, name) for n, name in enumerate(header)
    ]
    body = [
        element(
            "tr", None, *(element("td", {"class": None if n in texts else "n"}, cell) for n, cell in enumerate(row))
        )
        for row in rows
    ]
    whole = element("table", None, element("thead", None, element("tr", None, *cells)), element("tbody", None, *body))
    return element("div", {"class": "scroll", "tabindex": 0, "role": "group", "aria-label": header[0]}, whole)


def _cuts(report: TrainingReport) -> Markup:
    rows = report.rows()
    said = ", ".join(f"{name} {counted(count, 'row')}" for (name, _), count in zip(_PARTS, rows, strict=True))
    bars = []
    for (name, css), count, role in zip(_PARTS, rows, _ROLES, strict=True):
        span = f"{count:,} rows" + (f", {duration(count * report.period_s)}" if report.period_s else "")
        text = (element("b", None, name), element("span", None, span), element("small", None, role))
        bars.append(element("div", {"class": css, "style": f"flex-grow:{max(count, 1)}"}, *text))
    return element("div", {"class": "cuts", "role": "img", "aria-label": f"Rows by part: {said}."}, *bars)


def _streams(report: TrainingReport) -> Markup | None:
    if len(report.series) == 1:
        return None
    lengths = {stream_id: len(values) for stream_id, values in report.series.items()}
    longest = sorted(lengths, key=lambda stream_id: -lengths[stream_id])
    counts = np.array(list(lengths.values()))
    said = f"{len(lengths):,} streams of {counts.min():,} to {counts.max():,} rows"
    if len(longest) > _STREAMS_SHOWN:
        said += f"; the {_STREAMS_SHOWN} longest"
    rows: list[list[Child]] = [
        [
            stream_id,
            f"{lengths[stream_id]:,}",
            f"{report.cuts[stream_id][0]:,}",
            f"{report.cuts[stream_id][1]:,}",
            share(float(np.isnan(report.series[stream_id]).mean())),
        ]
        for stream_id in longest[:_STREAMS_SHOWN]
    ]
    return element(
        "details",
        {"open": "" if len(longest) <= _STREAMS_SHOWN else None},
        element("summary", None, said),
        table(["stream", "rows", "validation from", "calibration from", "missing"], rows),
    )


def _channels(report: TrainingReport, figures: ChannelFigures, measured: Measurements) -> list[Markup]:
    names, errors = report.bundle.channels, measured.errors
    stream_id = max(report.series, key=lambda one: len(report.series[one]))
    explained, repeated = errors.explained(errors.rms[1]), errors.explained(errors.last_rms)
    rows: list[list[Child]] = []
    for c, name in enumerate(names[:_CHANNELS_SHOWN]):
        unit = report.unit(c)
        label = element("span", None, name, element("small", None, f" {unit}") if unit else None)
        rows.append(
            [
                label,
                _spark(report.series[stream_id][:, c], report.cuts[stream_id], name),
                number(float(report.bundle.standardizer.mean[c])),
                number(float(report.bundle.standardizer.scale[c])),
                number(float(figures.low[c])),
                number(float(figures.high[c])),
                share(float(figures.missing[c])),
                number(_rounded(float(errors.rms[1, c]), float(errors.scale[c]))),
                share(float(np.maximum(explained[c], 0.0))),
                share(float(np.maximum(repeated[c], 0.0))),
            ]
        )
    header = ["channel", "course", "mean", "scale", "lowest", "highest", "missing", "error", "explained", "last value"]
    start = report.bundle.training.get("start")
    fitted = f"taken over from {start}" if start else "fitted on the training part"
    of = "" if len(report.series) == 1 else f" Courses are those of {stream_id}, the longest stream."
    note = (
        f"Mean and scale are the standardizer's, {fitted}. Error: root mean square of the "
        f"{phrases_of(report).estimate} on the calibration part, in the channel's unit; explained: the share of the "
        "squared deviations from the mean that it leaves out (0 % = no better than guessing the mean); last value: "
        f"what repeating the last value would explain.{of}"
    )
    if len(names) > _CHANNELS_SHOWN:
        note += f" The first {_CHANNELS_SHOWN} of {len(names):,} channels are shown."
    channels = table(header, rows, texts=(0, 1))
    return [channels, element("p", {"class": "note"}, note)]


def _rounded(error: float, scale: float) -> float:
    """Return 0 for what is the rounding of a channel that is predicted to the last bit."""
    return 0.0 if error < 1e-6 * scale else error


def _spark(column: NDArray[np.float32], cuts: tuple[int, int], name: str) -> Markup:
    rows, values = outline(column, _SPARK_POINTS)
    plot = Plot(Axis(0.0, float(max(len(column) - 1, 1))), covering(values), height=24, is_bare=True)
    plot.shade(cuts[0], cuts[1], "c2 faint")
    plot.shade(cuts[1], len(column), "c3 faint")
    plot.line(rows, values, "ink")
    return element("div", {"class": "spark"}, plot.render(f"Course of {name}"))
