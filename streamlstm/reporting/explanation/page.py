"""The page of an explanation: one HTML file that needs nothing else, the same bytes for the same explanation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from streamlstm._version import __version__
from streamlstm.errors import BundleError, DataError
from streamlstm.evaluation.explanation import Explanation
from streamlstm.model.bundles.whole_file import replace_file
from streamlstm.reporting.data_section import table
from streamlstm.reporting.explanation.gate_figures import gate_figures
from streamlstm.reporting.explanation.time_axis import TimeAxis
from streamlstm.reporting.explanation.verdict import clock_time, verdict_of, with_band, with_unit
from streamlstm.reporting.explanation.window_figures import window_figures
from streamlstm.reporting.explanation.zoom import SCRIPT, ZOOM_STYLE
from streamlstm.reporting.markup import Child, Markup, element
from streamlstm.reporting.quantities import counted, number, share
from streamlstm.reporting.style import STYLE
from streamlstm.types import Status

__all__ = ["page_of", "render_explanation", "tables", "write_page"]

_CHANNELS = 40


def write_page(path: Path, page: str) -> None:
    """Write a page; a file that was there is replaced in one step, or not at all.

    Raises: DataError when it cannot be written.
    """
    try:
        replace_file(path, page.encode("utf-8", errors="replace"))
    except BundleError as error:
        raise DataError(f"page {error}") from error


def render_explanation(explanation: Explanation) -> str:
    """Return the page of one window."""
    times, at = explanation.event_time_ms, explanation.at
    time = TimeAxis.of(times, origin_ms=int(times[at]))
    span = f"{counted(len(times), 'row')} from {clock_time(int(times.min()))} to {clock_time(int(times.max()))}"
    gates = gate_figures(explanation, time)
    body = [
        element("p", {"class": "kicker"}, "streamlstm explain"),
        element("h1", None, explanation.stream_id),
        element("p", {"class": "facts"}, f"{explanation.model} · {span}"),
        element("p", {"class": "lead"}, verdict_of(explanation)),
        element(
            "p",
            {"class": "note"},
            f"Time runs in {time.unit} from the time asked about, which is marked. Zoom with the buttons, with two "
            "fingers, with the wheel while Ctrl or Shift is held, or with the keys plus and minus; move by dragging or "
            "with the arrow keys.",
        ),
        element("h2", None, "What came, what was expected, and the score"),
        *window_figures(explanation, time),
        element("h2", None, "At the time asked about"),
        *tables(explanation),
        *_alerts(explanation),
    ]
    if gates:
        body += [
            element("h2", None, "The network's gates"),
            element(
                "p",
                None,
                "A line is a unit; the units stand in one order in all pictures of a layer, those that keep what they "
                "have the longest at the top. Blue is above 0, orange below, and the stronger the farther.",
            ),
            *gates,
        ]
    return page_of(f"{explanation.stream_id} · explained", body)


def page_of(title: str, body: list[Markup]) -> str:
    """Return a page with its style and script."""
    head = element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("title", None, title),
        element("style", None, Markup(STYLE + ZOOM_STYLE)),
    )
    footer = element("footer", None, f"Made by streamlstm {__version__}. docs/explain.md says how to read this page.")
    main = element("main", None, *body, footer)
    script = element("script", None, Markup(SCRIPT))
    return "<!doctype html>\n" + element("html", {"lang": "en"}, head, element("body", None, main, script)) + "\n"


def tables(explanation: Explanation) -> list[Markup]:
    """Return what each channel and each part of the score said at the row that is asked about."""
    at = explanation.at
    if not np.isfinite(explanation.score[at]):
        status = Status(int(explanation.status[at])).label
        return [element("p", None, f"There was no score; the sample's status is {status}.")]
    return [element("div", {"class": "two"}, _channels(explanation), _parts(explanation))]


def _channels(explanation: Explanation) -> Markup:
    at = explanation.at
    order = np.argsort(-explanation.contribution[at], kind="stable").tolist()
    rows: list[list[Child]] = []
    for c in order[:_CHANNELS]:
        unit, usual = explanation.units[c], float(explanation.usual[c])
        came, expected = float(explanation.values[at, c]), float(explanation.expected[at, c])
        away = number(abs(came - expected) / usual, 2) if usual else ""
        rows.append(
            [
                explanation.channels[c],
                share(float(explanation.contribution[at, c])),
                with_unit(came, unit),
                with_band(expected, usual, ""),
                away,
            ]
        )
    more = len(order) - _CHANNELS
    note = element("p", {"class": "note"}, f"{more} more with less.") if more > 0 else None
    header = ["channel", "of the surprise", "came", "expected", "usual errors away"]
    return element("div", None, table(header, rows), note)


def _parts(explanation: Explanation) -> Markup:
    said = explanation.said[explanation.at]
    total = float(said.sum())
    shares = explanation.share_of_branches()[explanation.at]
    rows: list[list[Child]] = []
    for (name, parts), of_branch in zip(explanation.branches.items(), shares.tolist(), strict=True):
        rows.append([element("strong", None, name.replace("_", " ")), share(of_branch)])
        for k in sorted(range(parts.start, parts.stop), key=lambda k: -said[k]):
            rows.append([explanation.parts[k], share(float(said[k]) / total if total else 0.0)])
    return element("div", None, table(["branch and part", "of the surprise"], rows))


def _alerts(explanation: Explanation) -> list[Markup]:
    if not explanation.alerts:
        return []
    rows: list[list[Child]] = [
        [
            _when(alert.started_at),
            "still open" if alert.resolved_at is None else _when(alert.resolved_at),
            alert.kind,
            alert.severity,
            number(alert.peak.score),
            alert.summary,
        ]
        for alert in explanation.alerts
    ]
    header = ["since", "resolved", "kind", "severity", "peak", "summary"]
    return [element("h3", None, "Alerts in the window"), table(header, rows, texts=(0, 1, 2, 3, 5))]


def _when(time_ms: int) -> Markup:
    return element("span", {"class": "when"}, clock_time(time_ms))
