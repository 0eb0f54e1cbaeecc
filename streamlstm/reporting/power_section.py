"""What the model finds of injected faults: a picture of kinds and sizes, sentences, and a row for every channel."""

from __future__ import annotations

from streamlstm.evaluation.power.power import Power, PowerCell
from streamlstm.evaluation.power.sentences import FOUND_SHARE, least_found, power_sentences, span_of
from streamlstm.reporting.data_section import table
from streamlstm.reporting.markup import Child, Markup, element
from streamlstm.reporting.plots import figure
from streamlstm.reporting.quantities import MISSING, counted, share
from streamlstm.reporting.report import TrainingReport

__all__ = ["power_section"]

_NAMES = 19.0
"""Percent of the width that the names of kinds take."""
_ROW = 42
_GAP = 2


def power_section(report: TrainingReport) -> Markup:
    """Return the section."""
    power = Power.of(report.bundle.training)
    if power is None:
        return element("section", None, element("h2", None, "Power"), element("p", None, _why_not(report)))
    intro = (
        f"Faults of known kind and size, injected into the calibration part at {counted(power.quiet, 'place')} and "
        f"followed for {span_of(power.followed_rows, report.period_s)}. A fault is found if an alert opens in that "
        "time, with the default budget and the default alerts, in a stream that is no longer young. Sizes count the "
        "usual deviations of a channel, which are its scale in the table of channels."
    )
    left_out = power.places - power.quiet
    if left_out:
        intro += f" At {counted(left_out, 'more place')} an alert opens without a fault; none was injected there."
    sentences = [element("li", None, _sentence(one)) for one in power_sentences(power, period_s=report.period_s)]
    return element(
        "section",
        None,
        element("h2", None, "Power"),
        element("p", None, intro),
        figure(
            "Share of faults that are found, and the median delay",
            _picture(power, report.period_s),
            note="A cell has the size, the share that is found, and the median time from the first faulty row to the "
            "alert. Sizes are usual deviations; 1/4 is a quarter of the activity, 2x twice the rate.",
        ),
        element("ul", {"class": "choices"}, *sentences),
        _named(power),
        _channels(report, power),
    )


def _why_not(report: TrainingReport) -> str:
    if not report.is_causal:
        return "Not measured: a whole-window model opens no alerts as samples come."
    return "Not measured: it was switched off, or the calibration part is shorter than faults are followed for."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _picture(power: Power, period_s: float) -> Markup:
    """Return the heat map: a row for each kind, a column for each size. Widths are percentages, heights pixels."""
    columns = max(len(power.of_kind(kind)) for kind in power.kinds)
    width = (100 - _NAMES) / columns
    parts = []
    for row, kind in enumerate(power.kinds):
        top = row * _ROW
        parts.append(element("text", {"class": "tick", "x": 0, "y": top + _ROW // 2 + 4}, kind))
        for column, cell in enumerate(power.of_kind(kind)):
            parts += _square(cell, left=_NAMES + column * width, top=top, width=width, period_s=period_s)
    whole = {"role": "img", "aria-label": _label(power), "width": "100%", "height": len(power.kinds) * _ROW}
    return element("svg", whole | {"class": "plot heat"}, *parts)


def _square(cell: PowerCell, *, left: float, top: int, width: float, period_s: float) -> list[Markup]:
    found = cell.total
    fill = {
        "class": "cell",
        "x": f"{left:.2f}%",
        "y": top,
        "width": f"{width - 0.2:.2f}%",
        "height": _ROW - _GAP,
        "fill-opacity": f"{0.05 + 0.5 * found.share:.3f}",
    }
    title = f"{cell.phrase}: {_counts(cell)}"
    size = f"{cell.label}: " if cell.label else ""
    delay = "" if found.delay_rows is None else span_of(found.delay_rows, period_s)
    middle = f"{left + width / 2:.2f}%"
    return [
        element("rect", fill, element("title", None, title)),
        element(
            "text",
            {"class": "middle value", "x": middle, "y": top + 17},
            f"{size}{share(found.share) if found.cases else MISSING}",
        ),
        element("text", {"class": "middle", "x": middle, "y": top + 33}, delay) if delay else Markup(),
    ]


def _counts(cell: PowerCell) -> str:
    return f"{cell.total.found} of {cell.total.cases} found, in {cell.total.named} the faulty channel is named first"


def _label(power: Power) -> str:
    seen = "; ".join(f"{cell.phrase} {share(cell.total.share)}" for cell in power.cells if cell.total.cases)
    return f"Share of injected faults that are found: {seen}."


def _named(power: Power) -> Markup | None:
    if not any(cell.total.found for cell in power.cells):
        return None
    said = f"The alert names the faulty channel first in {share(power.named_share)} of what is found."
    return element("p", {"class": "note"}, said)


def _channels(report: TrainingReport, power: Power) -> Markup | None:
    """Return the least size that is found in each channel, and the delay."""
    if not power.cells or not power.cells[0].channels:
        return None
    rows: list[list[Child]] = []
    for c, name in enumerate(report.bundle.channels):
        row: list[Child] = [name]
        for kind in power.kinds:
            least = least_found(power.of_kind(kind), c)
            row.append(MISSING if least is None else _size_and_delay(least, c, report.period_s))
        rows.append(row)
    return element(
        "div",
        None,
        element("h3", None, f"Least size that is found in {share(FOUND_SHARE)} of cases, and the median delay"),
        table(["channel", *power.kinds], rows),
    )


def _size_and_delay(cell: PowerCell, channel: int, period_s: float) -> str:
    delay = cell.channels[channel].delay_rows
    assert delay is not None  # the cell is one that is found
    return f"{cell.label or 'yes'} · {span_of(delay, period_s)}"
