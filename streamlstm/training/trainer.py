"""The training loop, of every kind of network: early stopping on the validation parts, checkpoints, the best kept.

Each update:  1 the trainable draws a batch and differentiates its loss; 2 the gradient's norm is clipped;
              3 the optimizer updates the parameters; 4 now and then the validation loss is taken, the best parameters
              are kept, and a checkpoint is written.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from streamlstm.errors import DataError
from streamlstm.kernels import single_thread
from streamlstm.training.checkpoint import TrainingCheckpoint
from streamlstm.training.optimizer import Optimizer, clip_gradients, make_optimizer
from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import Parameters
from streamlstm.training.schedules import is_better, learning_rate
from streamlstm.training.trainable import Trainable, TrainableState

__all__ = ["FitResult", "TrainingProgress", "ValidationPoint", "fit"]

N = TypeVar("N")

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
class FitResult(Generic[N]):
    """The best network and how training went. Losses are NaN where there was no validation part to measure on."""

    network: N
    history: tuple[ValidationPoint, ...]
    updates: int
    best_update: int
    best_validation_loss: float


def fit(
    trainable: Trainable[N],
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    on_validation: Callable[[ValidationPoint], None] | None = None,
) -> FitResult[N]:
    """Train, and return the network as it was at its lowest validation loss.

    A `checkpoint` is written at every validation; with `resume` training goes on from it, if it is there.
    `on_validation` is told every validation point, after a resumption the earlier ones first.
    State: the same trainable gives the same bits on one machine, resumed or not: wall time is shown, and decides
    nothing.
    Raises: DataError when the gradient is no longer a number, or the checkpoint is not of this training.
    """
    o, parameters = trainable.options, trainable.parameters
    with single_thread():
        optimizer = make_optimizer({name: parameters[name] for name in trainable.trained}, o)
        course = _Course(best=parameters)
        if checkpoint is not None and resume and checkpoint.exists():
            course = _resume(checkpoint, trainable, optimizer)
            for point in course.history:
                if on_validation is not None:
                    on_validation(point)
        began_s, began_at, rows = time.perf_counter(), optimizer.updates, 0
        while optimizer.updates < o.max_updates and not course.is_over(optimizer.updates, o):
            update = optimizer.updates + 1
            rate = learning_rate(o, update, [point.validation_loss for point in course.history])
            loss, gradients, rows_of_batch = trainable.differentiate()
            norm = clip_gradients(gradients, o.clip_norm)
            if not math.isfinite(norm):
                raise DataError(f"update {update}: expected a finite gradient, got {norm}; lower learning_rate")
            optimizer.update(gradients, learning_rate=rate)
            course.show(loss)
            rows += rows_of_batch

            if update % o.validate_every == 0 or update == o.max_updates:
                validation_loss = trainable.validate()
                point = ValidationPoint(update, trainable.epochs, course.shown, validation_loss, rate, norm)
                course.add(point, parameters)
                if checkpoint is not None:
                    _checkpoint(trainable, optimizer, course).save(checkpoint)
                if on_validation is not None:
                    on_validation(point)
            if on_progress is not None:
                elapsed_s = max(time.perf_counter() - began_s, 1e-9)
                on_progress(
                    TrainingProgress(
                        update=update,
                        of=o.max_updates,
                        epoch=trainable.epochs,
                        loss=course.shown,
                        validation_loss=course.history[-1].validation_loss if course.history else math.nan,
                        rows_per_second=rows / elapsed_s,
                        seconds_left=elapsed_s / (update - began_at) * (o.max_updates - update),
                    )
                )
        network = trainable.network(course.best)
    return FitResult(network, tuple(course.history), optimizer.updates, course.best_update, course.best_loss)


@dataclass(slots=True)
class _Course:
    """How training has gone so far: the loss that is shown, and the parameters of the lowest validation loss."""

    best: Parameters
    shown: float = math.nan
    best_loss: float = math.nan
    best_update: int = 0
    history: list[ValidationPoint] = field(default_factory=list)

    def show(self, loss: float) -> None:
        self.shown = loss if math.isnan(self.shown) else self.shown + _SMOOTHING * (loss - self.shown)

    def add(self, point: ValidationPoint, parameters: Parameters) -> None:
        """Take a validation point, and keep the parameters if it is the best."""
        self.history.append(point)
        if math.isnan(self.best_loss) or is_better(point.validation_loss, self.best_loss):
            self.best_loss, self.best_update = point.validation_loss, point.update
            self.best = {name: array.copy() for name, array in parameters.items()}

    def is_over(self, updates: int, o: TrainerOptions) -> bool:
        """Return whether patience is at its end."""
        return bool(self.history) and updates - self.best_update >= o.patience * o.validate_every


def _checkpoint(trainable: Trainable[N], optimizer: Optimizer, course: _Course) -> TrainingCheckpoint:
    state = trainable.export()
    own = {"parameters": dict(trainable.parameters), "best": dict(course.best), "moments": dict(optimizer.moments)}
    progress = {
        "shown": course.shown,
        "best_loss": course.best_loss,
        "best_update": course.best_update,
        "history": [astuple(point) for point in course.history],
        "updates": optimizer.updates,
    }
    return TrainingCheckpoint(trainable.identity, own | state.arrays, state.generators, progress)


def _resume(checkpoint: Path, trainable: Trainable[N], optimizer: Optimizer) -> _Course:
    """Set the trainable and the optimizer to where the checkpoint's training was; return how it had gone."""
    saved = TrainingCheckpoint.load(checkpoint, identity=trainable.identity)
    arrays, progress = saved.arrays, saved.progress
    for own, kept in ((trainable.parameters, arrays["parameters"]), (optimizer.moments, arrays["moments"])):
        for name, array in own.items():
            array[...] = kept[name]
    optimizer.updates = progress["updates"]
    trainable.restore(TrainableState(arrays, saved.generators))
    return _Course(
        best=arrays["best"],
        shown=progress["shown"],
        best_loss=progress["best_loss"],
        best_update=progress["best_update"],
        history=[ValidationPoint(*values) for values in progress["history"]],
    )
