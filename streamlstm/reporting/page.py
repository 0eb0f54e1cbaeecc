"""The page of a training: one HTML file that needs nothing else, the same bytes for the same training."""

from __future__ import annotations

from pathlib import Path

from streamlstm._version import __version__
from streamlstm.errors import BundleError, DataError
from streamlstm.model.bundles.whole_file import replace_file
from streamlstm.reporting.calibration_section import calibration_section
from streamlstm.reporting.channel_figures import describe_channels
from streamlstm.reporting.curves import curves_section
from streamlstm.reporting.data_section import channel_section, data_summary
from streamlstm.reporting.error_section import error_section
from streamlstm.reporting.markup import Markup, element
from streamlstm.reporting.measurements import measure
from streamlstm.reporting.overview import head, verdict
from streamlstm.reporting.power_section import power_section
from streamlstm.reporting.report import TrainingReport
from streamlstm.reporting.settings_section import settings_section
from streamlstm.reporting.style import STYLE
from streamlstm.reporting.window_section import window_section
from streamlstm.reporting.worst_windows import find_peaks, trace_windows, window_rows

__all__ = ["TrainingReport", "render_report", "write_report"]

_WINDOWS = 6


def write_report(path: str | Path, report: TrainingReport) -> None:
    """Write the page; a file that was there is replaced in one step, or not at all.

    Raises: DataError when it cannot be written.
    """
    page = render_report(report).encode("utf-8", errors="replace")
    try:
        replace_file(Path(path), page)
    except BundleError as error:
        raise DataError(f"report {error}") from error


def render_report(report: TrainingReport) -> str:
    """Return the page."""
    figures = describe_channels(report)
    measured = measure(report)
    rows = window_rows(report)
    windows = trace_windows(report, find_peaks(measured.scores, rows=rows, most=_WINDOWS), rows=rows)
    body = element(
        "main",
        None,
        head(report),
        verdict(report, figures, measured),
        data_summary(report),
        curves_section(report, figures),
        window_section(report, windows),
        calibration_section(report, measured),
        power_section(report),
        error_section(report, measured),
        channel_section(report, figures, measured),
        settings_section(report),
        element("footer", None, f"Made by streamlstm {__version__}. All figures follow from the bundle and its data."),
    )
    page_head = element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("title", None, f"{report.bundle.label} · training report"),
        element("style", None, Markup(STYLE)),
    )
    return "<!doctype html>\n" + element("html", {"lang": "en"}, page_head, element("body", None, body)) + "\n"
