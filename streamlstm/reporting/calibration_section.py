"""Whether a p-value is what it says, on rows that the calibration has not seen."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from streamlstm.reporting.axes import Axis
from streamlstm.reporting.data_section import table
from streamlstm.reporting.findings import stream_days, time_of
from streamlstm.reporting.markup import Child, Markup, element
from streamlstm.reporting.measurements import Measurements, PartScores
from streamlstm.reporting.phrases import phrases_of
from streamlstm.reporting.plots import Plot, figure, key
from streamlstm.reporting.quantities import counted, number, share
from streamlstm.reporting.report import TrainingReport
from streamlstm.scoring.thresholds import Threshold

__all__ = ["calibration_section", "chance_band"]

_POINTS = 80
_CONFIDENCE = 0.95
_LEVELS = (0.1, 0.01, 0.001)


def calibration_section(report: TrainingReport, measured: Measurements) -> Markup:
    """Return the section."""
    part = measured.validation
    if not len(part.p_values):
        empty = "No row of the validation part has a score: the streams are too short for the model."
        return element("section", None, element("h2", None, "Calibration"), element("p", None, empty))
    intro = (
        "A p-value of 1 % should come up in 1 % of the rows of normal data. The validation part shows whether it does: "
        "the tails have not seen it (though the weights kept are those that did best on it). "
        f"{phrases_of(report).fitted}"
    )
    return element(
        "section",
        None,
        element("h2", None, "Calibration"),
        element("p", None, intro),
        element("div", {"class": "two"}, _reliability(report, measured), _alarms(report, measured)),
    )


def chance_band(claimed: NDArray[np.float64], clusters: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return between which shares chance leaves 95 % of what is observed.

    Shapes: claimed [K]. Rows above a level come in clusters, so it is clusters that are counted: Poisson, whose
    quantiles are those of gamma distributions.
    """
    mean = np.maximum(claimed * clusters, 1e-12)
    tail = (1 - _CONFIDENCE) / 2
    return (
        np.asarray(gammaincinv(mean, tail) / clusters),
        np.minimum(gammaincinv(mean + 1, 1 - tail) / clusters, 1.0),
    )


def _reliability(report: TrainingReport, measured: Measurements) -> Markup:
    part = measured.validation
    rows = len(part.p_values)
    rarest = 10.0 ** math.floor(math.log10(1 / max(rows, 10)))
    claimed = np.geomspace(1.0, rarest, _POINTS)
    across = Axis(1.0, rarest, True, share)
    plot = Plot(across, Axis(rarest, 1.0, True, share), height=300, x_ticks=6, y_ticks=6)
    low, high = chance_band(claimed, rows / report.bundle.calibration.cluster_rows)
    plot.band(claimed, np.clip(low, rarest, 1), high, "quiet")
    plot.line(claimed, claimed, "quiet")
    plot.line(claimed, _above_zero(measured.calibration, claimed), "c3", title="calibration part")
    plot.line(claimed, _above_zero(part, claimed), "c2", title="validation part")
    if rarest < part.alarm_p < 1:
        plot.upright(part.alarm_p, "alarm", "alarm level")
    seen = "; ".join(
        f"{share(float(observed))} of the rows at {share(level)}"
        for level, observed in zip(_LEVELS, part.shares(np.array(_LEVELS)), strict=True)
        if level >= rarest
    )
    return figure(
        "Share of rows at or below a p-value",
        key(
            ("c2 stroke", "validation, unseen"), ("c3 stroke", "calibration, fitted"), ("quiet block", "95 % of chance")
        ),
        plot.render(f"Observed share of rows against the claimed p-value, both logarithmic. Validation part: {seen}."),
        note="Across: the p-value claimed; up: the share observed. Above the band scores are too nervous, below it "
        "too calm. The band counts clusters of rows, because high scores come in clusters; their mean length here is "
        f"{number(report.bundle.calibration.cluster_rows)}.",
    )


def _above_zero(part: PartScores, claimed: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = part.shares(claimed)
    return np.where(shares > 0, shares, np.nan)


def _alarms(report: TrainingReport, measured: Measurements) -> Markup:
    budget = Threshold().false_alarms_per_stream_day
    rows: list[list[Child]] = []
    parts = (("validation", measured.validation), ("calibration", measured.calibration))
    for name, part in parts:
        days = stream_days(report, len(part.p_values))
        rows.append(
            [
                name,
                time_of(report, len(part.p_values)),
                number(budget * days, 2),
                number(part.allowed, 2),
                f"{part.alerts:,}",
                number(part.alerts / days, 2) if days > 0 else number(math.nan),
                f"{part.held_back:,}",
            ]
        )
    levels: list[list[Child]] = [
        [share(level), *(share(float(part.shares(np.array([level]))[0])) for _, part in parts)] for level in _LEVELS
    ]
    clock = "" if report.period_s else " Without a clock, 10,000 rows count as a day."
    age = f"The budget is the default, {number(budget)} false alarms for each stream and day."
    if report.is_causal and measured.validation.allowed > 1.1 * budget * stream_days(
        report, len(measured.validation.p_values)
    ):
        age += (
            " A stream is scored from its first row, so here it is young: its alarm level is never rarer than what "
            f"{counted(report.bundle.calibration.rows, 'calibration row')} and its own age can support. That allows "
            "more than the budget, to which it settles."
        )
    return element(
        "div",
        None,
        element("h3", None, "Alerts in the same rows"),
        table(["part", "scored", "budget", "allowed", "alerts", "alerts a day", "held back"], rows),
        element("p", {"class": "note"}, age + clock),
        element("h3", None, "Rows at or below a p-value"),
        table(["claimed", "validation", "calibration"], levels),
    )
