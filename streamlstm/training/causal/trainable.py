"""A causal network in training, by truncated backpropagation through time with carried state.

Each batch:  1 every sequence moves on by T rows, with the state it has come to (zero where it begins); 2 forward, the
             loss of the long head, backward.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.kernels import LayerMasks, TrainingScratch, backward, single_thread, state_size, unroll
from streamlstm.model.network import Architecture, Network
from streamlstm.training.causal.augmentation import Augmentation
from streamlstm.training.causal.batch_sampler import BatchSampler
from streamlstm.training.causal.long_head import fit_long_head
from streamlstm.training.causal.loss import HeadLoss
from streamlstm.training.causal.padded_series import PaddedSeries, TrainingSequence, network_inputs
from streamlstm.training.causal.validation import Validator
from streamlstm.training.options import TrainerOptions, as_first_named
from streamlstm.training.parameters import (
    Parameters,
    cell_gradients,
    cell_weights,
    initial_parameters,
    take_over,
    to_network,
    trained_names,
)
from streamlstm.training.segments import Segment, fingerprint_of
from streamlstm.training.trainable import BatchGradients, TrainableState, TrainingIdentity

__all__ = ["CausalTraining", "causal_architecture"]


def causal_architecture(o: TrainerOptions, *, channels: int) -> Architecture:
    """Return the network that the options describe."""
    return Architecture(channels, o.hidden, o.cells, o.forecast, o.reconstruct, o.projection, o.mask_inputs)


class CausalTraining:
    """A `Trainable`: parts of series to train and to validate on, and the network.

    Training begins from `start` where it is given, and leaves the parameters named in `frozen` as they are.
    Raises: DataError when there is nothing to train on; UsageError when a frozen name is of no parameter.
    """

    def __init__(
        self,
        training: Sequence[Segment],
        validation: Sequence[Segment],
        options: TrainerOptions,
        *,
        start: Network | None = None,
        frozen: Sequence[str] = (),
    ) -> None:
        if not sum(len(part.x) for part in training):
            raise DataError("expected rows to train on, got none")
        self.options = o = options
        self._architecture = causal_architecture(o, channels=training[0].x.shape[1])
        names = ("first_values", "cuts", "augmentation", "dropout")
        self._generators = dict(zip(names, np.random.default_rng(o.seed).spawn(len(names)), strict=True))
        series = PaddedSeries(training, reconstruct=o.reconstruct, forecast=o.forecast, bptt_steps=o.bptt_steps)
        with single_thread():
            self.parameters = initial_parameters(
                self._architecture, self._generators["first_values"], has_spread=o.loss == "gaussian"
            )
            if start is not None:
                take_over(self.parameters, start)
                fit_long_head(self.parameters, series, o)
                take_over(self.parameters, start)  # its own part of the head is better than any fit
        self.trained = trained_names(self.parameters, frozen)
        self.identity = TrainingIdentity(_identity(training, o, start, frozen), fingerprint_of(validation))
        self._layers = cell_weights(o.cells, self.parameters)  # they see every update
        self._scratch = TrainingScratch()
        self._augmentation = Augmentation(series, o, self._generators["augmentation"])
        self._loss = HeadLoss(self._augmentation.series, o)
        self._sampler = BatchSampler(
            self._augmentation.series,
            batch=o.batch,
            bptt_steps=o.bptt_steps,
            refill=lambda: _shuffled(series, o, self._generators["cuts"]),
            place=self._augmentation.place,
        )
        self._state = np.zeros((o.batch, state_size(self._layers)), np.float32)
        self._validator = Validator(validation, o)

    @property
    def epochs(self) -> int:
        """Return how often all sequences have been begun."""
        return self._sampler.epochs

    def differentiate(self) -> BatchGradients:
        """Move every sequence on, and return the loss there and its gradients by what is trained."""
        o = self.options
        batch = self._sampler.advance()
        assert batch is not None  # the sampler of training is refilled for ever
        self._state[batch.fresh] = 0
        inputs = network_inputs(*self._augmentation.inputs(batch), has_mask=o.mask_inputs)
        trace = unroll(self._layers, inputs, state=self._state, masks=self._masks(), scratch=self._scratch)
        sums, d_y, gradients = self._loss.differentiate(trace.y, self.parameters, batch)
        gradients |= cell_gradients(backward(self._layers, trace, d_y, wants_d_x=False).layers)
        self._state = trace.state
        return BatchGradients(sums.loss, {name: gradients[name] for name in self.trained}, o.batch * o.bptt_steps)

    def validate(self) -> float:
        """Return the loss on the validation parts; NaN when no row counts."""
        return self._validator.measure(self.parameters)

    def network(self, parameters: Parameters) -> Network:
        """Return the network that these parameters make."""
        return to_network(self._architecture, parameters)

    def export(self) -> TrainableState:
        """Return where the sequences have come to."""
        arrays: dict[str, dict[str, NDArray[Any]]] = {
            "lanes": dict(self._sampler.export()),
            "augmentation": dict(self._augmentation.export()),
            "run": {"state": self._state},
        }
        return TrainableState(arrays, {name: dict(one.bit_generator.state) for name, one in self._generators.items()})

    def restore(self, state: TrainableState) -> None:
        """Go on from where an exported state had come to."""
        self._augmentation.restore(state.arrays["augmentation"])
        self._sampler.restore(state.arrays["lanes"])
        self._state = state.arrays["run"]["state"].copy()
        for name, generator in self._generators.items():
            generator.bit_generator.state = state.generators[name]

    def _masks(self) -> list[LayerMasks] | None:
        """Draw what each layer does not see of the one below (the lowest sees all), and of itself."""
        o, rng = self.options, self._generators["dropout"]
        if not (o.dropout or o.recurrent_dropout):
            return None
        masks = []
        for index, layer in enumerate(self._layers):
            below = _kept((o.bptt_steps, o.batch, layer.input_size), o.dropout, rng) if o.dropout and index else None
            itself = _kept((o.batch, layer.output_size), o.recurrent_dropout, rng) if o.recurrent_dropout else None
            masks.append(LayerMasks(below, itself))
        return masks


def _kept(shape: tuple[int, ...], dropped: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a mask of zeros and of what keeps the mean."""
    return (rng.random(shape, np.float32) >= np.float32(dropped)).astype(np.float32) / np.float32(1 - dropped)


def _shuffled(series: PaddedSeries, o: TrainerOptions, rng: np.random.Generator) -> list[TrainingSequence]:
    """Cut all series at a new phase and mix the sequences: one epoch."""
    sequences = series.cut(rows=o.reset_every, least=o.bptt_steps, phase=lambda: int(rng.integers(o.reset_every)))
    return [sequences[index] for index in rng.permutation(len(sequences))]


def _identity(parts: Sequence[Segment], o: TrainerOptions, start: Network | None, frozen: Sequence[str]) -> str:
    sha = hashlib.sha256(json.dumps([as_first_named(o), list(frozen)], sort_keys=True).encode())
    for part in parts:
        sha.update(part.x.tobytes() + part.observed.tobytes())
    if start is not None:
        for layer in start.layers:
            sha.update(layer.w_ih.tobytes() + layer.w_hh.tobytes() + layer.bias.tobytes())
        sha.update(start.head_weight.tobytes())
    return sha.hexdigest()
