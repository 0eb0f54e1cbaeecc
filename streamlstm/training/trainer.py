"""The training loop: truncated backpropagation through time with carried state, early stopping on a validation part.

Each update:  1 every lane moves on by T rows, with the state it has come to (zero where its stretch begins);
              2 forward, both heads' loss, backward; 3 the gradient's norm is clipped, AdamW updates;
              4 now and then the validation loss is taken, and the best parameters are kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from streamlstm.errors import DataError
from streamlstm.kernels import backward, single_thread, state_size, unroll
from streamlstm.model.network import Architecture, Network
from streamlstm.training.loss import HeadLoss, Squares
from streamlstm.training.optimizer import AdamW, clip_gradients, cosine_rate
from streamlstm.training.options import TrainerOptions, choose_options
from streamlstm.training.parameters import (
    Parameters,
    cell_gradients,
    cell_weights,
    initial_parameters,
    to_network,
)
from streamlstm.training.windows import Lanes, Segment, Stretch, Track

__all__ = ["FitResult", "Look", "Progress", "Segment", "TrainerOptions", "choose_options", "fit_network"]

_BETTER = 1e-3  # share by which a validation loss must fall to count as better: less is the noise of one update
_SMOOTHING = 0.1  # of the training loss that is shown: the mean of about the last ten updates


@dataclass(frozen=True, slots=True)
class Progress:
    """How far training has come. Losses: 1.0 is what predicting every channel's mean gives; NaN before the first."""

    update: int
    of: int
    loss: float
    validation_loss: float
    rows_per_second: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the validation part."""

    update: int
    loss: float
    validation_loss: float


@dataclass(frozen=True, slots=True)
class FitResult:
    """The best network and how training went. Losses are NaN where there was no validation part to measure on."""

    network: Network
    history: tuple[Look, ...]
    updates: int
    best_update: int
    best_validation_loss: float


def fit_network(
    training: Sequence[Segment],
    validation: Sequence[Segment],
    options: TrainerOptions,
    *,
    progress: Callable[[Progress], None] | None = None,
) -> FitResult:
    """Train a network on parts of one series or of many; return it as it was at its lowest validation loss.

    The same parts, options and seed give the same bits on one machine: wall time is shown, and decides nothing.
    Raises: DataError when there is nothing to train on, or the loss is no longer a number.
    """
    o = options
    if not sum(len(part.x) for part in training):
        raise DataError("expected rows to train on, got none")
    channels = training[0].x.shape[1]
    architecture = Architecture(channels, o.hidden, o.cells, o.forecast, o.reconstruct, o.projection)
    first_values, cuts = np.random.default_rng(o.seed).spawn(2)
    with single_thread():
        parameters = initial_parameters(architecture, first_values)
    optimizer = AdamW(parameters, weight_decay=o.weight_decay)
    track, loss = _prepare(training, o)
    judge = _Judge(validation, o)
    lanes = Lanes(track, batch=o.batch, segment=o.segment, refill=lambda: _shuffled_stretches(track, o, cuts))
    state = np.zeros((o.batch, state_size(cell_weights(o.cells, parameters))), np.float32)
    shown = best_loss = math.nan
    best_update, best, history = 0, parameters, list[Look]()
    began_s, update = time.perf_counter(), 0

    with single_thread():
        for update in range(1, o.max_updates + 1):
            batch = lanes.advance()
            assert batch is not None  # training lanes are refilled for ever
            state[batch.fresh] = 0
            layers = cell_weights(o.cells, parameters)
            trace = unroll(layers, track.values[batch.rows], state=state)
            squares, head = loss.differentiate(trace.y, parameters["head.weight"], parameters["head.bias"], batch)
            gradients = {"head.weight": head.d_weight, "head.bias": head.d_bias}
            gradients |= cell_gradients(backward(layers, trace, head.d_y).layers)
            norm = clip_gradients(gradients, o.clip_norm)
            if not math.isfinite(norm):
                raise DataError(f"update {update}: expected a finite gradient, got {norm}; lower learning_rate")
            rate = cosine_rate(update, peak=o.learning_rate, warm_up=max(o.max_updates // 20, 1), of=o.max_updates)
            optimizer.update(gradients, learning_rate=rate)
            state = trace.state
            shown = squares.loss if math.isnan(shown) else shown + _SMOOTHING * (squares.loss - shown)

            if update % o.validate_every == 0 or update == o.max_updates:
                measured = judge.measure(parameters)
                history.append(Look(update, shown, measured))
                if not measured >= best_loss * (1 - _BETTER):  # the first, a better one, or none can be measured
                    best_loss, best_update = measured, update
                    best = {name: array.copy() for name, array in parameters.items()}
            if progress is not None:
                progress(_progress(update, shown, history, time.perf_counter() - began_s, o))
            if update - best_update >= o.patience * o.validate_every and history:
                break
    return FitResult(to_network(architecture, best), tuple(history), update, best_update, best_loss)


class _Judge:
    """Measures the loss on the validation parts, state carried, the same rows each time."""

    _MOST_STRETCHES = 64
    """Spread over all parts: 65,536 rows tell two networks apart, and more would cost more than training."""

    def __init__(self, validation: Sequence[Segment], options: TrainerOptions) -> None:
        self._options = options
        self._track, self._loss = _prepare(validation, options)
        stretches = self._track.cut(stretch=options.stretch, least=options.segment, phase=lambda: options.stretch)
        chosen = np.linspace(0, len(stretches) - 1, min(len(stretches), self._MOST_STRETCHES)).round().astype(int)
        self._stretches = [stretches[index] for index in chosen]

    def measure(self, parameters: Parameters) -> float:
        """Return the loss; NaN when no row counts."""
        o = self._options
        waiting = [self._stretches]
        batch_size = max(len(self._stretches), 1)
        lanes = Lanes(self._track, batch=batch_size, segment=o.segment, refill=lambda: waiting.pop() if waiting else [])
        layers = cell_weights(o.cells, parameters)
        total = Squares()
        state = np.zeros((batch_size, state_size(layers)), np.float32)
        for batch in iter(lanes.advance, None):
            trace = unroll(layers, self._track.values[batch.rows], state=state)
            state = trace.state
            total = total.plus(self._loss.measure(trace.y, parameters["head.weight"], parameters["head.bias"], batch))
        return total.loss if total.forecasted else math.nan


def _prepare(parts: Sequence[Segment], o: TrainerOptions) -> tuple[Track, HeadLoss]:
    track = Track(parts, reconstruct=o.reconstruct, forecast=o.forecast, segment=o.segment)
    return track, HeadLoss(track, reconstruct=o.reconstruct, forecast=o.forecast, burn_in=o.burn_in)


def _shuffled_stretches(track: Track, o: TrainerOptions, rng: np.random.Generator) -> list[Stretch]:
    """Cut all series at a new phase and mix the stretches: one epoch."""
    stretches = track.cut(stretch=o.stretch, least=o.segment, phase=lambda: int(rng.integers(o.stretch)))
    return [stretches[index] for index in rng.permutation(len(stretches))]


def _progress(update: int, loss: float, history: Sequence[Look], elapsed_s: float, o: TrainerOptions) -> Progress:
    per_update_s = elapsed_s / update
    return Progress(
        update=update,
        of=o.max_updates,
        loss=loss,
        validation_loss=history[-1].validation_loss if history else math.nan,
        rows_per_second=o.batch * o.segment / max(per_update_s, 1e-9),
        seconds_left=per_update_s * (o.max_updates - update),
    )
