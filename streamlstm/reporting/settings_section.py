"""Every setting, so that a training can be told from another, and repeated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict

from streamlstm._version import __version__
from streamlstm.evaluation.power.power import POWER_KEY
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.reporting.data_section import table
from streamlstm.reporting.markup import Child, Markup, element
from streamlstm.reporting.quantities import duration, number
from streamlstm.reporting.report import TrainingReport
from streamlstm.scoring.branches.known import network_residuals_of

__all__ = ["settings_section"]

_SOURCES_SHOWN = 20
_DIGEST = 64


def settings_section(report: TrainingReport) -> Markup:
    """Return the section."""
    bundle = report.bundle
    options = bundle.training.get("options")
    groups = (
        ("Architecture", asdict(bundle.network.architecture)),
        ("Training options", options if isinstance(options, dict) else {}),
        ("Calibration", _calibration(report)),
        ("Bundle", dict(_bundle(report))),
    )
    return element(
        "section",
        None,
        element("h2", None, "Settings"),
        _command(report),
        element("div", {"class": "grid settings"}, *(_group(title, values) for title, values in groups if values)),
    )


def _command(report: TrainingReport) -> Markup | None:
    if not report.command:
        return None
    return element("div", None, element("p", None, "To repeat it:"), element("pre", None, report.command))


def _group(title: str, values: dict[str, object]) -> Markup:
    rows: list[list[Child]] = [[name.replace("_", " "), _value(value)] for name, value in values.items()]
    return element("div", None, element("h3", None, title), table(["setting", "value"], rows, texts=(0, 1)))


def _value(value: object) -> Child:
    """Return a setting as it would be typed."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    text = str(value)
    return element("code", None, text) if len(text) >= _DIGEST else text


def _calibration(report: TrainingReport) -> dict[str, object]:
    bundle = report.bundle
    if isinstance(bundle, WindowBundle):
        window = bundle.calibration
        return {"rows": window.rows, "mean width, rows": window.width, "rows of a cluster": window.cluster_rows}
    c, residuals = bundle.calibration, network_residuals_of(bundle)
    return {
        "rows": c.rows,
        "mean widths, rows": ", ".join(number(float(width)) for width in residuals.widths),
        "rows of a cluster": c.cluster_rows,
        "burn-in, rows": c.burn_in,
        "warm-up, rows": c.warm_up,
        "rows in which the level follows": c.horizon,
    }


def _bundle(report: TrainingReport) -> Iterator[tuple[str, object]]:
    bundle = report.bundle
    yield "model", bundle.label
    yield "digest", bundle.digest
    for name, value in bundle.training.items():
        if name not in ("options", POWER_KEY):
            yield ("data fingerprint" if name == "fingerprint" else name), value
    yield "sampling period", duration(report.period_s) if report.period_s else "unknown"
    if math.isfinite(report.seconds):
        yield "training took", duration(report.seconds)
    yield "created", bundle.created_at or None
    yield "library", f"streamlstm {__version__}"
    shown = list(report.sources[:_SOURCES_SHOWN])
    if len(report.sources) > _SOURCES_SHOWN:
        shown.append(f"and {len(report.sources) - _SOURCES_SHOWN} more")
    if shown:
        yield "sources", shown
