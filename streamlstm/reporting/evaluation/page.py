"""The page of an evaluation: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamlstm._version import __version__
from streamlstm.errors import BundleError, DataError
from streamlstm.evaluation.excerpts import Excerpt
from streamlstm.model.bundles.whole_file import replace_file
from streamlstm.reporting.data_section import table
from streamlstm.reporting.evaluation.pictures import legend, picture
from streamlstm.reporting.evaluation.report import EvaluationReport, SetTable
from streamlstm.reporting.markup import Markup, element
from streamlstm.reporting.style import STYLE

__all__ = ["render_evaluation", "write_evaluation_page"]

_EACH = 4
"""As many misses and as many false alarms of a set are shown."""


def write_evaluation_page(path: Path, report: EvaluationReport) -> None:
    """Write the page; a file that was there is replaced in one step, or not at all.

    Raises: DataError when it cannot be written.
    """
    try:
        replace_file(path, render_evaluation(report).encode("utf-8", errors="replace"))
    except BundleError as error:
        raise DataError(f"page {error}") from error


def render_evaluation(report: EvaluationReport) -> str:
    """Return the page."""
    body = element(
        "main",
        None,
        element("p", {"class": "kicker"}, "streamlstm evaluate"),
        element("h1", None, "How well anomalies are found"),
        *(element("p", {"class": "facts"}, fact) for fact in report.facts),
        *(_set(one, [excerpt for excerpt in report.excerpts if excerpt.set_name == one.name]) for one in report.tables),
        element("footer", None, f"Made by streamlstm {__version__}. docs/detection.md explains every measure."),
    )
    head = element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("title", None, f"{report.data} · evaluation"),
        element("style", None, Markup(STYLE)),
    )
    return "<!doctype html>\n" + element("html", {"lang": "en"}, head, element("body", None, body)) + "\n"


def _set(one: SetTable, found: Sequence[Excerpt]) -> Markup:
    misses = sorted((e for e in found if e.kind == "miss"), key=lambda e: -e.badness)[:_EACH]
    alarms = sorted((e for e in found if e.kind == "false alarm"), key=lambda e: -e.badness)[:_EACH]
    return element(
        "section",
        None,
        element("h2", None, one.name),
        element("p", None, one.summary),
        *(table(list(part.header), [list(row) for row in part.rows]) for part in one.tables),
        element("ul", {"class": "choices"}, *(element("li", None, remark) for remark in one.remarks))
        if one.remarks
        else None,
        legend() if misses or alarms else None,
        *_pictures("The worst misses", misses),
        *_pictures("The worst false alarms", alarms),
    )


def _pictures(title: str, found: Sequence[Excerpt]) -> list[Markup]:
    if not found:
        return []
    return [element("h3", None, title), element("div", {"class": "two"}, *map(picture, found))]
