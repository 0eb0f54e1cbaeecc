"""The head of the page, the verdict in plain words, and the figures that carry it."""

from __future__ import annotations

import math

from streamlstm.kernels import CELL_FIELDS
from streamlstm.model.network import Network
from streamlstm.model.windows.network import WindowNetwork
from streamlstm.reporting.channel_figures import ChannelFigures
from streamlstm.reporting.findings import explained_in_all, find, is_mean_square, time_of
from streamlstm.reporting.markup import Markup, element
from streamlstm.reporting.measurements import Measurements
from streamlstm.reporting.phrases import phrases_of
from streamlstm.reporting.quantities import MISSING, counted, duration, number, share
from streamlstm.reporting.report import TrainingReport
from streamlstm.scoring.thresholds import Threshold

__all__ = ["head", "verdict"]


def head(report: TrainingReport) -> Markup:
    """Return name, version, date, and what it was trained on."""
    bundle = report.bundle
    rows = sum(report.rows())
    span = f", {duration(rows * report.period_s)} in all" if report.period_s else ""
    what = (
        f"{counted(rows, 'row')} of {counted(len(report.series), 'stream')}, "
        f"{counted(len(bundle.channels), 'channel')}{span}"
    )
    facts = [what, bundle.created_at.replace("T", " ").replace("+00:00", " UTC")]
    return element(
        "header",
        None,
        element("p", {"class": "kicker"}, "Training report"),
        element("h1", None, bundle.name, element("span", {"class": "version"}, f"@{bundle.version}")),
        element("p", {"class": "facts"}, " · ".join(fact for fact in facts if fact)),
    )


def verdict(report: TrainingReport, figures: ChannelFigures, measured: Measurements) -> Markup:
    """Return the sentence that sums it up, the figures behind it, and the findings."""
    ahead, last = explained_in_all(measured)
    if math.isfinite(ahead) and ahead > 0:
        sentence = (
            f"{phrases_of(report).how} the network explains {share(ahead)} of the variance of data that it was not "
            f"trained on; repeating the last value {_would(last)}."
        )
    elif math.isfinite(ahead):
        sentence = (
            f"{phrases_of(report).how} the network does no better than guessing each channel's training mean, on data "
            "that it was not trained on."
        )
    else:
        sentence = "The calibration part does not move, so there is nothing for the network to explain."
    findings = [
        element("li", {"class": "warning" if finding.is_warning else None}, finding.text)
        for finding in find(report, figures, measured)
    ]
    return element(
        "section",
        {"class": "verdict"},
        element("p", {"class": "lead"}, sentence),
        element("div", {"class": "tiles"}, *_tiles(report, figures, measured)),
        element("ul", {"class": "findings"}, *findings) if findings else None,
    )


def _would(last: float) -> str:
    return f"would explain {share(last)}" if last > 0 else "would do worse than guessing the mean"


def _tiles(report: TrainingReport, figures: ChannelFigures, measured: Measurements) -> list[Markup]:
    best = report.best
    loss, guess = best.validation_loss if best else math.nan, figures.guess_losses[1]
    options = report.bundle.training.get("options") or {}
    meaning = "validation loss" if is_mean_square(report) else f"validation loss ({options['loss']})"
    if is_mean_square(report) and math.isfinite(guess):
        meaning = f"{phrases_of(report).loss}; guessing each channel's mean gives {number(guess)}"
    part = measured.validation
    scored = time_of(report, len(part.p_values))
    alerts = (
        f"alert{'' if part.alerts == 1 else 's'} in {scored} of validation; by chance its alarm level allows "
        f"{number(part.allowed, 2)}"
        if len(part.p_values)
        else "no row of the validation part has a score"
    )
    updates = report.bundle.training.get("updates")
    took = f"{duration(report.seconds)} for {counted(int(updates), 'update')}" if updates else duration(report.seconds)
    parameters = _parameters(report.bundle.network)
    return [
        _tile(number(loss), meaning),
        _tile(f"{part.alerts:,}" if len(part.p_values) else MISSING, alerts),
        _tile(
            f"{number(Threshold().false_alarms_per_stream_day)} a day",
            "false alarms for each stream: the default budget",
        ),
        _tile(f"{parameters:,}", f"weights; trained in {took}" if math.isfinite(report.seconds) else "weights"),
    ]


def _parameters(network: Network | WindowNetwork) -> int:
    arrays = [getattr(layer, name) for layer in network.layers for name in CELL_FIELDS]
    arrays += [network.head_weight, network.head_bias]
    return sum(array.size for array in arrays if array is not None)


def _tile(value: str, meaning: str) -> Markup:
    return element("div", {"class": "tile"}, element("b", None, value), element("span", None, meaning))
