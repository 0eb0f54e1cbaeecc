"""The training loop: truncated backpropagation through time with carried state, early stopping on a validation part.

Updates are made by `TrainingRun`; now and then the validation loss is taken, the best parameters are kept, and a
checkpoint is written.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from streamlstm.kernels import single_thread
from streamlstm.model.network import Network
from streamlstm.training.causal.trainable import TrainingRun
from streamlstm.training.causal.validation import Validator
from streamlstm.training.checkpoint import TrainingCheckpoint
from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import to_network
from streamlstm.training.schedules import is_better, learning_rate
from streamlstm.training.segments import Segment

__all__ = ["FitResult", "TrainingProgress", "ValidationPoint", "fit_network"]

_SMOOTHING = 0.1  # of the training loss that is shown: the mean of about the last ten updates


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """How far training has come. Losses as in `ValidationPoint`; NaN before the first."""

    update: int
    of: int
    epoch: int
    loss: float
    validation_loss: float
    rows_per_second: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class ValidationPoint:
    """One validation. Losses: of mse, 1.0 is what predicting every channel's mean gives."""

    update: int
    epoch: int
    loss: float
    validation_loss: float
    learning_rate: float
    gradient_norm: float
    """Before it was clipped, at the last update."""


@dataclass(frozen=True, slots=True)
class FitResult:
    """The best network and how training went. Losses are NaN where there was no validation part to measure on."""

    network: Network
    history: tuple[ValidationPoint, ...]
    updates: int
    best_update: int
    best_validation_loss: float


def fit_network(
    training: Sequence[Segment],
    validation: Sequence[Segment],
    options: TrainerOptions,
    *,
    start: Network | None = None,
    frozen: Sequence[str] = (),
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Callable[[TrainingProgress], None] | None = None,
    on_validation: Callable[[ValidationPoint], None] | None = None,
) -> FitResult:
    """Train a network on parts of one series or of many; return it as it was at its lowest validation loss.

    Training begins from `start` where it is given, and leaves the parameters named in `frozen` as they are. A
    `checkpoint` is written at every validation; with `resume` training goes on from it, if it is there. `on_validation`
    is told every validation point, after a resumption the earlier ones first.
    State: the same parts, options and seed give the same bits on one machine, resumed or not: wall time is shown, and
    decides nothing.
    Raises: DataError when there is nothing to train on, the loss is no longer a number, or the checkpoint is not of
    this training; UsageError when a frozen name is of no parameter.
    """
    o = options
    with single_thread():
        run = TrainingRun(training, o, start=start, frozen=frozen)
        judge = Validator(validation, o)
        shown = best_loss = math.nan
        best_update, best, history = 0, run.parameters, list[ValidationPoint]()
        if checkpoint is not None and resume and checkpoint.exists():
            saved = TrainingCheckpoint.load(checkpoint, training=run.identity)
            run.restore(saved)
            best = saved.arrays["best"]
            shown, best_loss, best_update = (saved.progress[key] for key in ("shown", "best_loss", "best_update"))
            history = [ValidationPoint(*values) for values in saved.progress["history"]]
            for point in history:
                if on_validation is not None:
                    on_validation(point)
        began_s, began_at = time.perf_counter(), run.updates
        while run.updates < o.max_updates:
            if history and run.updates - best_update >= o.patience * o.validate_every:
                break
            rate = learning_rate(o, run.updates + 1, [point.validation_loss for point in history])
            made = run.update(rate)
            shown = made.loss if math.isnan(shown) else shown + _SMOOTHING * (made.loss - shown)

            if run.updates % o.validate_every == 0 or run.updates == o.max_updates:
                measured = judge.measure(run.parameters)
                history.append(ValidationPoint(run.updates, run.epochs, shown, measured, rate, made.gradient_norm))
                if math.isnan(best_loss) or is_better(measured, best_loss):
                    best_loss, best_update = measured, run.updates
                    best = {name: array.copy() for name, array in run.parameters.items()}
                if checkpoint is not None:
                    numbers = {"shown": shown, "best_loss": best_loss, "best_update": best_update}
                    run.checkpoint(best, numbers | {"history": list(map(astuple, history))}).save(checkpoint)
                if on_validation is not None:
                    on_validation(history[-1])
            if progress is not None:
                an_update_s = (time.perf_counter() - began_s) / (run.updates - began_at)
                progress(_progress(run, shown, history, an_update_s))
    return FitResult(to_network(run.architecture, best), tuple(history), run.updates, best_update, best_loss)


def _progress(
    run: TrainingRun, loss: float, history: Sequence[ValidationPoint], an_update_s: float
) -> TrainingProgress:
    o = run.options
    return TrainingProgress(
        update=run.updates,
        of=o.max_updates,
        epoch=run.epochs,
        loss=loss,
        validation_loss=history[-1].validation_loss if history else math.nan,
        rows_per_second=o.batch * o.segment / max(an_update_s, 1e-9),
        seconds_left=an_update_s * (o.max_updates - run.updates),
    )
