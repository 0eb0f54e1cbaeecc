"""Training of whole-window networks: windows cut anew each epoch, the rest as for causal ones.

Each epoch the series are cut at another phase; what is left at their ends is shorter than a window and is padded, as
are some that are shortened on purpose. A bidirectional network is asked for the blocks of rows that an update blanks,
an encoder-decoder for all rows. Only observed values count, and some are made missing.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.kernels import CELL_FIELDS, CellKind, CellWeights, single_thread
from streamlstm.model.network import Architecture
from streamlstm.model.windows.batch import Window, WindowBatch, gather_windows
from streamlstm.model.windows.network import BLANKS, Arrangement, WindowArchitecture, WindowNetwork
from streamlstm.training.optimizer import SGD, AdamW, Optimizer, clip_gradients
from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import Parameters, initial_parameters
from streamlstm.training.schedules import is_better, learning_rate
from streamlstm.training.segments import Segment
from streamlstm.training.trainer import TrainingProgress, ValidationPoint

__all__ = ["WindowFitResult", "differentiate_windows", "fit_window_network", "initial_window_parameters"]

_SMOOTHING = 0.1  # of the training loss that is shown, as for causal networks
_JUDGED = 64  # most windows of a validation, which so costs as much as a few updates
_LEAST_SHARE = 0.5  # of a window that is left at a series' end: less is seen again at the next epoch's phase

_SHORTENED = 0.25  # of the windows: what is trained on full ones alone takes the end of a series for an anomaly

_WITHOUT_CHANNEL, _WITH_GAPS, _GAPS = 0.1, 0.1, 0.2
"""Shares of the windows that lose a channel, that lose single values, and of the values these lose: a network that has
never met a missing value takes the first one for an anomaly."""


@dataclass(frozen=True, slots=True)
class WindowFitResult:
    """The network at its lowest validation loss and how training went; losses are NaN without a validation part."""

    network: WindowNetwork
    history: tuple[ValidationPoint, ...]
    updates: int
    best_update: int
    best_validation_loss: float


def fit_window_network(
    training: Sequence[Segment],
    validation: Sequence[Segment],
    architecture: WindowArchitecture,
    options: TrainerOptions,
    *,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> WindowFitResult:
    """Train a network on windows of one series or of many.

    Of the options those of the optimizer, the schedule, early stopping, `batch` (windows an update) and `seed` apply.
    State: the same parts, architecture, options and seed give the same bits on one machine.
    Raises: DataError when there is nothing to train on, or the loss is no longer a number.
    """
    o, a = options, architecture
    if not any(part.observed.any() for part in training):
        raise DataError("expected observed values to train on, got none")
    first_values, cuts, gaps, blanks = np.random.default_rng(o.seed).spawn(4)
    with single_thread():
        parameters = initial_window_parameters(a, first_values)
    optimizer: Optimizer = AdamW(parameters, weight_decay=o.weight_decay)
    if o.optimizer == "sgd":
        optimizer = SGD(parameters, momentum=o.momentum, weight_decay=o.weight_decay)
    judged = _judged(validation, a.rows)
    windows = _shuffled(training, a.rows, cuts)
    shown = best_loss = math.nan
    best_update, best, history = 0, parameters, list[ValidationPoint]()
    rows, seen_rows = sum(len(part.x) for part in training), 0
    began_s, update = time.perf_counter(), 0

    with single_thread():
        for update in range(1, o.max_updates + 1):
            batch = _with_gaps(_gather(training, [next(windows) for _ in range(o.batch)]), gaps)
            seen_rows += int(batch.lengths.sum())
            phase = blanks.integers(0, BLANKS * a.blank, len(batch.lengths))
            loss, gradients = differentiate_windows(_network(a, parameters), batch, phase)
            norm = clip_gradients(gradients, o.clip_norm)
            if not math.isfinite(norm):
                raise DataError(f"update {update}: expected a finite gradient, got {norm}; lower learning_rate")
            rate = learning_rate(o, update, [point.validation_loss for point in history])
            optimizer.update(gradients, learning_rate=rate)
            shown = loss if math.isnan(shown) else shown + _SMOOTHING * (loss - shown)

            if update % o.validate_every == 0 or update == o.max_updates:
                measured = _measure(_network(a, parameters), validation, judged)
                history.append(ValidationPoint(update, seen_rows // rows, shown, measured, rate, norm))
                if math.isnan(best_loss) or is_better(measured, best_loss):
                    best_loss, best_update = measured, update
                    best = {name: array.copy() for name, array in parameters.items()}
            if progress is not None:
                elapsed_s = time.perf_counter() - began_s
                progress(
                    TrainingProgress(
                        update=update,
                        of=o.max_updates,
                        epoch=seen_rows // rows,
                        loss=shown,
                        validation_loss=history[-1].validation_loss if history else math.nan,
                        rows_per_second=seen_rows / max(elapsed_s, 1e-9),
                        seconds_left=elapsed_s / update * (o.max_updates - update),
                    )
                )
            if history and update - best_update >= o.patience * o.validate_every:
                break
    return WindowFitResult(_network(a, best, copy=True), tuple(history), update, best_update, best_loss)


def differentiate_windows(
    network: WindowNetwork, batch: WindowBatch, phase: NDArray[np.int64]
) -> tuple[float, Parameters]:
    """Return the mean squared error of the values that count and its gradient by every parameter.

    Shapes: phase int64 [B], where the blanked blocks of each window begin.
    """
    seen = counted = batch.observed
    if network.architecture.arrangement == Arrangement.BIDIRECTIONAL:
        blanked = network.architecture.blanked(batch, phase)
        seen, counted = batch.observed * (1 - blanked), batch.observed * blanked
    trace = network.run(batch, seen)
    error = (trace.expected - batch.x) * counted
    count = max(float(counted.sum()), 1.0)
    loss = float(np.square(error, dtype=np.float64).sum()) / count
    return loss, network.backward(trace, error * np.float32(2 / count))


def initial_window_parameters(architecture: WindowArchitecture, rng: np.random.Generator) -> Parameters:
    """Draw the first values: each layer's as for a causal network, the head's uniform."""
    a = architecture
    parameters: Parameters = {}
    for name, cell, inputs in a.layers:
        drawn = initial_parameters(Architecture(inputs, a.hidden, (cell,), 1, 1), rng)
        parameters |= {f"{name}.{f}": drawn[key] for f in CELL_FIELDS if (key := f"layers.0.{f}") in drawn}
    bound = 1 / math.sqrt(a.head_inputs)
    parameters["head.weight"] = rng.uniform(-bound, bound, (a.channels, a.head_inputs)).astype(np.float32)
    parameters["head.bias"] = np.zeros(a.channels, np.float32)
    return parameters


def _network(a: WindowArchitecture, parameters: Parameters, *, copy: bool = False) -> WindowNetwork:
    """Return the network of the parameters, which sees them change unless they are copied."""
    held = {name: array.copy() for name, array in parameters.items()} if copy else parameters
    layers = (
        CellWeights(CellKind(cell), **{f: held[key] for f in CELL_FIELDS if (key := f"{name}.{f}") in held})
        for name, cell, _ in a.layers
    )
    return WindowNetwork(a, tuple(layers), held["head.weight"], held["head.bias"])


def _gather(parts: Sequence[Segment], windows: Sequence[Window]) -> WindowBatch:
    return gather_windows([part.x for part in parts], [part.observed for part in parts], windows)


def _with_gaps(batch: WindowBatch, rng: np.random.Generator) -> WindowBatch:
    """Return the batch with values that are missing in some windows."""
    _, lanes, channels = batch.x.shape
    kept = np.ones(batch.x.shape, np.float32)
    fate, lost = rng.random((lanes,)), rng.integers(0, channels, (lanes,))
    if channels > 1:
        chosen = np.flatnonzero(fate < _WITHOUT_CHANNEL)
        kept[:, chosen, lost[chosen]] = 0
    chosen = np.flatnonzero(fate >= 1 - _WITH_GAPS)
    kept[:, chosen] = rng.random((len(kept), len(chosen), channels)) >= _GAPS
    return replace(batch, x=batch.x * kept, observed=batch.observed * kept)


def _cut(parts: Sequence[Segment], rows: int, phase: Callable[[], int]) -> list[Window]:
    """Cut every part into windows after the first phase() rows of it; pieces below half a window are left out."""
    windows = []
    for index, part in enumerate(parts):
        count = len(part.x)
        edges = [0, *range(phase(), count, rows), count]
        pieces = [Window(index, a, b - a) for a, b in pairwise(edges)]
        least = min(math.ceil(rows * _LEAST_SHARE), max(piece.rows for piece in pieces))
        windows += [piece for piece in pieces if piece.rows >= max(least, 1)]
    return windows


def _shuffled(parts: Sequence[Segment], rows: int, rng: np.random.Generator) -> Iterator[Window]:
    """Yield windows for ever, each epoch's in another order and cut at another phase; some of them are shortened."""
    waiting: deque[Window] = deque()
    while True:
        if not waiting:
            windows = _cut(parts, rows, lambda: int(rng.integers(rows)))
            waiting.extend(windows[index] for index in rng.permutation(len(windows)))
        window = waiting.popleft()
        if rng.random() < _SHORTENED:
            least = min(math.ceil(rows * _LEAST_SHARE), window.rows)
            window = window._replace(rows=int(rng.integers(least, window.rows + 1)))
        yield window


def _judged(parts: Sequence[Segment], rows: int) -> list[Window]:
    windows = _cut(parts, rows, lambda: 0)
    chosen = np.linspace(0, len(windows) - 1, min(len(windows), _JUDGED)).round().astype(int)
    return [windows[index] for index in chosen]


def _measure(network: WindowNetwork, parts: Sequence[Segment], windows: Sequence[Window]) -> float:
    """Return the mean squared error over every observed value of the windows; NaN when there is none."""
    squares = count = 0.0
    for at in range(0, len(windows), 32):
        batch = _gather(parts, windows[at : at + 32])
        error = (network.estimate(batch) - batch.x) * batch.observed
        squares += float(np.square(error, dtype=np.float64).sum())
        count += float(batch.observed.sum())
    return squares / count if count else math.nan
