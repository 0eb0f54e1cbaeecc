"""What the figures say, in sentences: the ones that a reader should not have to find."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from streamlstm.model.bundles.window import WindowBundle
from streamlstm.reporting.channel_figures import ChannelFigures
from streamlstm.reporting.measurements import Measurements
from streamlstm.reporting.phrases import phrases_of
from streamlstm.reporting.quantities import counted, duration, number, share
from streamlstm.reporting.report import TrainingReport

__all__ = ["Finding", "explained_in_all", "find", "is_mean_square", "stream_days", "time_of"]

_MOVED = 1.0
_MISSING = 0.2
_NAMED = 4
_LITTLE = 0.9
_OVERFITTED = 1.5
_WORSE = 1.1
_MISCALIBRATED = 2.0
_CHECKED_AT = (0.01, 0.1)
_LEAST_CLUSTERS = 3
"""Of a part that are to be expected at a level, so that twice or half as many say something."""
_ROWS_PER_DAY_WITHOUT_CLOCK = 10_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence; `is_warning` where something may have to be done."""

    text: str
    is_warning: bool


def find(report: TrainingReport, figures: ChannelFigures, measured: Measurements) -> list[Finding]:
    """Return the findings, warnings first."""
    found = [
        *_of_training(report, figures),
        *_of_errors(report, figures, measured),
        *_of_channels(report, figures),
        *_of_calibration(report, measured),
    ]
    return sorted(found, key=lambda finding: not finding.is_warning)


def explained_in_all(measured: Measurements) -> tuple[float, float]:
    """Return the explained share of the variance one step ahead, and that of repeating the last value.

    Over all channels: squares are divided by the channel's scale, so each counts as it does in training.
    """
    e = measured.errors
    held = (e.rows > 0) & (e.guess_rms > 0)
    if not held.any():
        return math.nan, math.nan
    weight = e.rows[held] / np.square(e.scale[held])
    guess, ahead, last = (float((weight * np.square(rms[held])).sum()) for rms in (e.guess_rms, e.rms[1], e.last_rms))
    return 1 - ahead / guess, 1 - last / guess


def stream_days(report: TrainingReport, rows: int) -> float:
    """Return how many days of one stream so many rows are; without a clock 10,000 rows are a day."""
    return rows * report.period_s / 86_400 if report.period_s > 0 else rows / _ROWS_PER_DAY_WITHOUT_CLOCK


def time_of(report: TrainingReport, rows: int) -> str:
    """Return how long so many rows are, as streams' time taken together; how many there are without a clock."""
    return duration(rows * report.period_s) if report.period_s else counted(rows, "row")


def is_mean_square(report: TrainingReport) -> bool:
    """Say whether the losses are mean squared errors, in the channels' scales: only those have a guess to beat."""
    options = report.bundle.training.get("options")
    return not isinstance(options, dict) or options.get("loss", "mse") == "mse"


def _of_training(report: TrainingReport, figures: ChannelFigures) -> list[Finding]:
    best, history = report.best, report.history
    if best is None or not math.isfinite(best.validation_loss):
        return [Finding("No validation loss could be measured: the weights are those of the first validation.", True)]
    found = []
    trained, validated = figures.guess_losses
    if is_mean_square(report) and trained > 0 and validated > 0:
        left, left_unseen = best.loss / trained, best.validation_loss / validated
        if left_unseen > 1:
            found.append(
                Finding(
                    "On the validation part guessing each channel's training mean does better (loss "
                    f"{number(validated)}): what was learned does not carry over to it.",
                    True,
                )
            )
        elif left_unseen > _LITTLE:
            found.append(
                Finding(
                    f"{phrases_of(report).over_all} {share(left_unseen)} of what guessing the mean leaves remains: "
                    "there is little in this data that can be predicted, or the network has not found it.",
                    True,
                )
            )
        elif left_unseen > _OVERFITTED * left:
            found.append(
                Finding(
                    f"Of what guessing the mean leaves, the network leaves {share(left)} in the training part, but "
                    f"{share(left_unseen)} in the validation part: the parts differ, or rows were learned by heart. "
                    "More data, or fewer hidden units, would tell.",
                    True,
                )
            )
    if len(history) > 1 and best is history[-1]:
        found.append(
            Finding(
                "The validation loss was at its lowest at the last validation: more updates may still bring it down.",
                False,
            )
        )
    return found


def _of_errors(report: TrainingReport, figures: ChannelFigures, measured: Measurements) -> list[Finding]:
    ahead, last = explained_in_all(measured)
    found = []
    if report.is_causal and last < 1 and 1 - ahead > _WORSE * (1 - last):
        ratio = number((1 - ahead) / (1 - last), 2)
        found.append(
            Finding(
                "One step ahead, repeating the last value is the better forecast: the network's squared errors are "
                f"{ratio} times as large. The data moves slowly, or by chance; what the network adds is the shape over "
                "longer stretches, and the calibration allows for its errors.",
                False,
            )
        )
    constant = [name for name, still in zip(report.bundle.channels, figures.is_constant, strict=True) if still]
    if constant:
        found.append(Finding(f"Constant or never observed, so any change will stand out: {_names(constant)}.", False))
    return found


def _of_channels(report: TrainingReport, figures: ChannelFigures) -> list[Finding]:
    found = []
    names = report.bundle.channels
    drift = np.where(np.isfinite(figures.drift), figures.drift, 0)
    order = np.argsort(-np.abs(drift), kind="stable")
    moved = [f"{names[c]} by {number(float(drift[c]), 2)}" for c in order.tolist() if abs(drift[c]) > _MOVED]
    if moved:
        found.append(
            Finding(
                f"Moved after the training part, in training deviations: {_names(moved)}. What is normal may have "
                "changed while it was recorded.",
                True,
            )
        )
    gaps = [
        f"{names[c]} {share(float(figures.missing[c]))}"
        for c in np.argsort(-figures.missing, kind="stable").tolist()
        if figures.missing[c] > _MISSING
    ]
    if gaps:
        found.append(Finding(f"Often missing: {_names(gaps)}.", True))
    return found


def _of_calibration(report: TrainingReport, measured: Measurements) -> list[Finding]:
    found = []
    part = measured.validation
    rows = len(part.p_values)
    if not rows:
        return [
            Finding(
                f"No row of the validation part has a score ({_too_short(report)}): the calibration could not be "
                "checked.",
                True,
            )
        ]
    clusters = rows / report.bundle.calibration.cluster_rows
    level = next((one for one in _CHECKED_AT if clusters * one >= _LEAST_CLUSTERS), math.inf)
    seen = float(part.shares(np.array([level]))[0])
    if seen > _MISCALIBRATED * level:
        found.append(
            Finding(
                f"Of the validation part {share(seen)} of the rows have a p-value of at most {share(level)}: the "
                f"calibration part was quieter than the validation part. {phrases_of(report).nervous}",
                True,
            )
        )
    elif math.isfinite(level) and seen < level / _MISCALIBRATED:
        found.append(
            Finding(
                f"Of the validation part only {share(seen)} of the rows have a p-value of at most {share(level)}: the "
                "calibration part held rarer events. If the worst windows show faults, train without them: what they "
                "raise is the alarm level.",
                True,
            )
        )
    held = report.bundle.calibration.rows
    if stream_days(report, held) < 1:
        span = time_of(report, held)
        found.append(
            Finding(
                f"The tails were fitted on {span}: what is rarer than that is extrapolated. "
                f"{phrases_of(report).levels}",
                False,
            )
        )
    return found


def _too_short(report: TrainingReport) -> str:
    if isinstance(report.bundle, WindowBundle):
        return f"parts of less than half a window, {report.bundle.network.architecture.rows // 2:,} rows, have none"
    return f"the first {report.bundle.calibration.warm_up:,} rows of a stream warm up"


def _names(items: list[str]) -> str:
    shown = ", ".join(items[:_NAMED])
    return shown + (f" and {len(items) - _NAMED} more" if len(items) > _NAMED else "")
