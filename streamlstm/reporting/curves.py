"""How training went: both losses, and whatever else was noted at each validation."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np

from streamlstm.reporting.axes import Axis, covering
from streamlstm.reporting.channel_figures import ChannelFigures
from streamlstm.reporting.findings import is_mean_square
from streamlstm.reporting.markup import Markup, element
from streamlstm.reporting.plots import Plot, figure, key
from streamlstm.reporting.quantities import number
from streamlstm.reporting.report import TrainingReport

__all__ = ["curves_section"]

_SHOWN_AS_LOSS = ("update", "epoch", "loss", "validation_loss")
_STEEP = 5.0
"""Losses that fall by more than this factor are drawn by their logarithm."""


def curves_section(report: TrainingReport, figures: ChannelFigures) -> Markup:
    """Return the section."""
    if not report.history:
        return element("section", None, element("h2", None, "Training"), element("p", None, "There was no validation."))
    return element(
        "section",
        None,
        element("h2", None, "Training"),
        element(
            "div",
            {"class": "wide-first"},
            _losses(report, figures.guess_losses[1]),
            element("div", None, *_further(report), *_choices(report)),
        ),
    )


def _updates(report: TrainingReport) -> Axis:
    return Axis(0.0, float(max(report.history[-1].update, 1)))


def _losses(report: TrainingReport, guess: float) -> Markup:
    updates = [float(point.update) for point in report.history]
    losses = [point.loss for point in report.history]
    validation = [point.validation_loss for point in report.history]
    finite = [value for value in (*losses, *validation) if math.isfinite(value)]
    is_log = bool(finite) and min(finite) > 0 and max(finite) > _STEEP * min(finite)
    include = [] if is_log or not finite or min(finite) < 0 else [0.0]
    is_late = report.best_update > report.history[-1].update / 2
    plot = Plot(_updates(report), covering(finite, include=include, is_log=is_log), height=230, x_title="updates")
    if is_mean_square(report) and math.isfinite(guess):
        plot.across(guess, "quiet", f"guessing the mean: {number(guess)}", is_left=is_late)
    plot.line(updates, losses, "c1", title="training loss")
    plot.line(updates, validation, "c2", title="validation loss")
    best = report.best
    seen = "no validation loss"
    if best is not None and math.isfinite(best.validation_loss):
        seen = f"lowest validation loss {number(best.validation_loss)} at update {best.update:,}"
        plot.dot(best.update, best.validation_loss, "c2", text=f"{number(best.validation_loss)} kept", title=seen)
    told = [
        f"update {point.update:,}, epoch {point.epoch:,}: training {number(point.loss)}, "
        f"validation {number(point.validation_loss)}"
        for point in report.history
    ]
    plot.touch(updates, np.where(np.isfinite(validation), validation, losses).tolist(), told)
    notes = [
        "The training loss is a running mean of about the last ten updates, with whatever noise training adds.",
        "The weights at the lowest validation loss are kept.",
        *(["Guessing each channel's mean is measured on the validation part."] if is_mean_square(report) else []),
        *(["Logarithmic scale."] if is_log else []),
    ]
    label = f"Training and validation loss over {report.history[-1].update:,} updates; {seen}."
    return figure(
        "Loss",
        key(("c1 stroke", "training"), ("c2 stroke", "validation")),
        plot.render(label),
        note=" ".join(notes),
    )


def _further(report: TrainingReport) -> list[Markup]:
    names = [f.name for f in fields(report.history[0]) if f.name not in _SHOWN_AS_LOSS]
    plots = []
    for name in names:
        values = [_as_float(getattr(point, name)) for point in report.history]
        finite = [value for value in values if math.isfinite(value)]
        if not finite:
            continue
        include = [0.0] if min(finite) >= 0 else []
        plot = Plot(_updates(report), covering(finite, include=include), height=70, y_ticks=3, x_title="updates")
        plot.line([float(point.update) for point in report.history], values, "c3", title=name.replace("_", " "))
        words = name.replace("_", " ")
        seen = f"{words}, {number(min(finite))} to {number(max(finite))}"
        plots.append(figure(words.capitalize(), plot.render(seen[0].upper() + seen[1:] + ".")))
    return plots


def _choices(report: TrainingReport) -> list[Markup]:
    if not report.choices:
        return []
    items = (element("li", None, choice) for choice in report.choices)
    return [element("h3", None, "Chosen from the data"), element("ul", {"class": "choices"}, *items)]


def _as_float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
