"""One training run: all that the next update depends on, and the update.

Each update:  1 every lane moves on by T rows, with the state it has come to (zero where its stretch begins);
              2 forward, the heads' loss, backward; 3 the gradient's norm is clipped, the optimizer updates.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.kernels import LayerMasks, TrainingScratch, backward, state_size, unroll
from streamlstm.model.network import Architecture, Network
from streamlstm.training.causal.augmentation import Augmentation
from streamlstm.training.causal.long_head import fit_long_head
from streamlstm.training.causal.loss import HeadLoss
from streamlstm.training.causal.padded_series import BatchSampler, PaddedSeries, TrainingSequence, network_inputs
from streamlstm.training.checkpoint import TrainingCheckpoint
from streamlstm.training.optimizer import SGD, AdamW, Optimizer, clip_gradients
from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import (
    Parameters,
    cell_gradients,
    cell_weights,
    initial_parameters,
    take_over,
    trained_names,
)
from streamlstm.training.segments import Segment

__all__ = ["TrainingRun", "Update"]


class Update(NamedTuple):
    """What one update met: the loss before it, and the norm of the gradient before it was clipped."""

    loss: float
    gradient_norm: float


class TrainingRun:
    """Parameters in training, with lanes, states, moments and random generators. `updates` counts those made."""

    def __init__(
        self,
        parts: Sequence[Segment],
        o: TrainerOptions,
        *,
        start: Network | None = None,
        frozen: Sequence[str] = (),
    ) -> None:
        if not sum(len(part.x) for part in parts):
            raise DataError("expected rows to train on, got none")
        self.options = o
        self.updates = 0
        self.architecture = Architecture(
            parts[0].x.shape[1], o.hidden, o.cells, o.forecast, o.reconstruct, o.projection, o.mask_inputs
        )
        names = ("first_values", "cuts", "augmentation", "dropout")
        self._generators = dict(zip(names, np.random.default_rng(o.seed).spawn(len(names)), strict=True))
        self.parameters = initial_parameters(
            self.architecture, self._generators["first_values"], has_spread=o.loss == "gaussian"
        )
        track = PaddedSeries(parts, reconstruct=o.reconstruct, forecast=o.forecast, segment=o.segment)
        if start is not None:
            take_over(self.parameters, start)
            fit_long_head(self.parameters, track, o)
            take_over(self.parameters, start)  # its own part of the head is better than any fit
        self._trained = trained_names(self.parameters, frozen)
        self._optimizer = _optimizer({name: self.parameters[name] for name in self._trained}, o)
        self._layers = cell_weights(o.cells, self.parameters)  # they see every update
        self._scratch = TrainingScratch()
        self._augmentation = Augmentation(track, o, self._generators["augmentation"])
        self._loss = HeadLoss(self._augmentation.track, o)
        self._lanes = BatchSampler(
            self._augmentation.track,
            batch=o.batch,
            segment=o.segment,
            refill=lambda: _shuffled_stretches(track, o, self._generators["cuts"]),
            place=self._augmentation.place,
        )
        self._state = np.zeros((o.batch, state_size(self._layers)), np.float32)
        self._identity = _identity(parts, o, start, frozen)

    @property
    def epochs(self) -> int:
        """How often all stretches have been begun."""
        return self._lanes.epochs

    def update(self, rate: float) -> Update:
        """Make one update with a learning rate. Raises: DataError when the gradient is no longer a number."""
        o, parameters = self.options, self.parameters
        batch = self._lanes.advance()
        assert batch is not None  # training lanes are refilled for ever
        self._state[batch.fresh] = 0
        inputs = network_inputs(*self._augmentation.inputs(batch), has_mask=o.mask_inputs)
        trace = unroll(self._layers, inputs, state=self._state, masks=self._masks(), scratch=self._scratch)
        sums, d_y, gradients = self._loss.differentiate(trace.y, parameters, batch)
        gradients |= cell_gradients(backward(self._layers, trace, d_y, wants_d_x=False).layers)
        gradients = {name: gradients[name] for name in self._trained}
        norm = clip_gradients(gradients, o.clip_norm)
        self.updates += 1
        if not math.isfinite(norm):
            raise DataError(f"update {self.updates}: expected a finite gradient, got {norm}; lower learning_rate")
        self._optimizer.update(gradients, learning_rate=rate)
        self._state = trace.state
        return Update(sums.loss, norm)

    def checkpoint(self, best: Parameters, progress: dict[str, Any]) -> TrainingCheckpoint:
        """Return what is needed to go on from here; `best` and `progress` are kept with it."""
        arrays: dict[str, dict[str, NDArray[Any]]] = {
            "parameters": dict(self.parameters),
            "best": dict(best),
            "moments": dict(self._optimizer.moments),
            "lanes": dict(self._lanes.export()),
            "augmentation": dict(self._augmentation.export()),
            "run": {"state": self._state},
        }
        generators = {name: dict(one.bit_generator.state) for name, one in self._generators.items()}
        return TrainingCheckpoint(self._identity, arrays, generators, progress | {"updates": self.updates})

    def restore(self, checkpoint: TrainingCheckpoint) -> None:
        """Go on from a checkpoint of this run."""
        arrays = checkpoint.arrays
        for own, saved in ((self.parameters, arrays["parameters"]), (self._optimizer.moments, arrays["moments"])):
            for name, array in own.items():
                array[...] = saved[name]
        self._augmentation.restore(arrays["augmentation"])
        self._lanes.restore(arrays["lanes"])
        self._state = arrays["run"]["state"].copy()
        for name, generator in self._generators.items():
            generator.bit_generator.state = checkpoint.generators[name]
        self.updates = self._optimizer.updates = checkpoint.progress["updates"]

    @property
    def identity(self) -> str:
        """Names the run in its checkpoints: a hash of options, data, start and what is frozen."""
        return self._identity

    def _masks(self) -> list[LayerMasks] | None:
        """Draw what each layer does not see of the one below (the lowest sees all), and of itself."""
        o, rng = self.options, self._generators["dropout"]
        if not (o.dropout or o.recurrent_dropout):
            return None
        masks = []
        for index, layer in enumerate(self._layers):
            below = _kept((o.segment, o.batch, layer.input_size), o.dropout, rng) if o.dropout and index else None
            itself = _kept((o.batch, layer.output_size), o.recurrent_dropout, rng) if o.recurrent_dropout else None
            masks.append(LayerMasks(below, itself))
        return masks


def _optimizer(parameters: Parameters, o: TrainerOptions) -> Optimizer:
    if o.optimizer == "sgd":
        return SGD(parameters, momentum=o.momentum, weight_decay=o.weight_decay)
    return AdamW(parameters, weight_decay=o.weight_decay)


def _kept(shape: tuple[int, ...], dropped: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a mask of zeros and of what keeps the mean."""
    return (rng.random(shape, np.float32) >= np.float32(dropped)).astype(np.float32) / np.float32(1 - dropped)


def _shuffled_stretches(track: PaddedSeries, o: TrainerOptions, rng: np.random.Generator) -> list[TrainingSequence]:
    """Cut all series at a new phase and mix the stretches: one epoch."""
    stretches = track.cut(stretch=o.stretch, least=o.segment, phase=lambda: int(rng.integers(o.stretch)))
    return [stretches[index] for index in rng.permutation(len(stretches))]


def _identity(parts: Sequence[Segment], o: TrainerOptions, start: Network | None, frozen: Sequence[str]) -> str:
    sha = hashlib.sha256(json.dumps([asdict(o), list(frozen)], sort_keys=True).encode())
    for part in parts:
        sha.update(part.x.tobytes() + part.observed.tobytes())
    if start is not None:
        for layer in start.layers:
            sha.update(layer.w_ih.tobytes() + layer.w_hh.tobytes() + layer.bias.tobytes())
        sha.update(start.head_weight.tobytes())
    return sha.hexdigest()
