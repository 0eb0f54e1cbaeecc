"""A whole-window network in training.

A bidirectional network is asked for the blocks of rows that a batch blanks, an encoder-decoder for all rows. Only
observed values count.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.kernels import CELL_FIELDS, CellKind, CellWeights, single_thread
from streamlstm.model.network import Architecture
from streamlstm.model.windows.batch import WindowBatch
from streamlstm.model.windows.network import BLANKS, Arrangement, WindowArchitecture, WindowNetwork
from streamlstm.training.options import WINDOW_OPTIONS, TrainerOptions
from streamlstm.training.parameters import Parameters, initial_parameters
from streamlstm.training.segments import Segment, fingerprint_of
from streamlstm.training.trainable import BatchGradients, TrainableState, TrainingIdentity
from streamlstm.training.windows.sampler import WindowSampler, cut_windows, gather, with_gaps

__all__ = ["WindowTraining", "differentiate_windows", "initial_window_parameters"]

_MOST_VALIDATED = 64  # windows of a validation, which so costs as much as a few updates
_VALIDATED_AT_ONCE = 32


class WindowTraining:
    """A `Trainable`: parts of series to train and to validate on, and the network.

    Of the options those in `WINDOW_OPTIONS` apply; `batch` is how many windows an update has.
    Raises: DataError when there is nothing to train on.
    """

    def __init__(
        self,
        training: Sequence[Segment],
        validation: Sequence[Segment],
        architecture: WindowArchitecture,
        options: TrainerOptions,
    ) -> None:
        if not any(part.observed.any() for part in training):
            raise DataError("expected observed values to train on, got none")
        self.options = options
        self._architecture = architecture
        self._training, self._validation = training, validation
        names = ("first_values", "cuts", "gaps", "blanks")
        self._generators = dict(zip(names, np.random.default_rng(options.seed).spawn(len(names)), strict=True))
        with single_thread():
            self.parameters = initial_window_parameters(architecture, self._generators["first_values"])
        self.trained = tuple(self.parameters)
        self.identity = TrainingIdentity(_identity(training, architecture, options), fingerprint_of(validation))
        self._network = _network(architecture, self.parameters)  # it sees every update
        self._sampler = WindowSampler(training, architecture.rows, self._generators["cuts"])
        self._rows, self._seen_rows = sum(len(part.x) for part in training), 0
        windows = cut_windows(validation, architecture.rows, lambda: 0)
        chosen = np.linspace(0, len(windows) - 1, min(len(windows), _MOST_VALIDATED)).round().astype(int)
        self._validated = [windows[index] for index in chosen]

    @property
    def epochs(self) -> int:
        """Return how often as many rows as there are have been seen."""
        return self._seen_rows // self._rows

    def differentiate(self) -> BatchGradients:
        """Draw windows, make gaps in some, and return the loss and its gradients."""
        a = self._architecture
        windows = [self._sampler.draw() for _ in range(self.options.batch)]
        batch = with_gaps(gather(self._training, windows), self._generators["gaps"])
        rows = int(batch.lengths.sum())
        self._seen_rows += rows
        phase = self._generators["blanks"].integers(0, BLANKS * a.blank, len(batch.lengths))
        return BatchGradients(*differentiate_windows(self._network, batch, phase), rows)

    def validate(self) -> float:
        """Return the mean squared error over every observed value of the windows; NaN when there is none."""
        squares = count = 0.0
        for at in range(0, len(self._validated), _VALIDATED_AT_ONCE):
            batch = gather(self._validation, self._validated[at : at + _VALIDATED_AT_ONCE])
            error = (self._network.estimate(batch) - batch.x) * batch.observed
            squares += float(np.square(error, dtype=np.float64).sum())
            count += float(batch.observed.sum())
        return squares / count if count else math.nan

    def network(self, parameters: Parameters) -> WindowNetwork:
        """Return the network that these parameters make; it holds copies."""
        return _network(self._architecture, {name: array.copy() for name, array in parameters.items()})

    def export(self) -> TrainableState:
        """Return where the windows have come to."""
        sampler = self._sampler.export() | {"seen_rows": np.array([self._seen_rows], np.int64)}
        generators = {name: dict(one.bit_generator.state) for name, one in self._generators.items()}
        return TrainableState({"sampler": dict(sampler)}, generators)

    def restore(self, state: TrainableState) -> None:
        """Go on from where an exported state had come to."""
        sampler = state.arrays["sampler"]
        self._sampler.restore(sampler)
        self._seen_rows = sampler["seen_rows"].item()
        for name, generator in self._generators.items():
            generator.bit_generator.state = state.generators[name]


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


def _network(a: WindowArchitecture, parameters: Parameters) -> WindowNetwork:
    """Return the network of the parameters, which sees them change."""
    layers = (
        CellWeights(CellKind(cell), **{f: parameters[key] for f in CELL_FIELDS if (key := f"{name}.{f}") in parameters})
        for name, cell, _ in a.layers
    )
    return WindowNetwork(a, tuple(layers), parameters["head.weight"], parameters["head.bias"])


def _identity(parts: Sequence[Segment], a: WindowArchitecture, o: TrainerOptions) -> str:
    options = {name: getattr(o, name) for name in WINDOW_OPTIONS}
    sha = hashlib.sha256(json.dumps([asdict(a), options], sort_keys=True).encode())
    for part in parts:
        sha.update(part.x.tobytes() + part.observed.tobytes())
    return sha.hexdigest()
