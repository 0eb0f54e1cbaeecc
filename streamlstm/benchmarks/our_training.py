"""Our own contestant of `bench train`: the trainer's functions, as its loop calls them."""

from __future__ import annotations

import numpy as np

from streamlstm.benchmarks.training_work import LEARNING_RATE, TrainingWork
from streamlstm.benchmarks.workloads import RecurrentNetwork
from streamlstm.kernels import CELL_FIELDS, TrainingScratch, backward, state_size, unroll
from streamlstm.training.optimizer import AdamW
from streamlstm.training.parameters import cell_gradients, cell_weights

__all__ = ["OurTraining"]


class OurTraining:
    """Adam is AdamW without decay of the weights."""

    def __init__(self, network: RecurrentNetwork, work: TrainingWork) -> None:
        named = {
            f"layers.{index}.{name}": getattr(layer, name)
            for index, layer in enumerate(network.layers)
            for name in CELL_FIELDS
        }
        named |= {"head.weight": network.head_weight, "head.bias": network.head_bias}
        self._parameters = {name: array.copy() for name, array in named.items() if array is not None}
        self._optimizer = AdamW(self._parameters, weight_decay=0.0)
        self._scratch = TrainingScratch()
        series = work.series()
        self._x, self._targets = series[:-1], series[1:].reshape(-1, work.shape.channels)
        self._ones = np.ones(len(self._targets), np.float32)
        self._state = np.zeros((work.lanes, state_size(network.layers)), np.float32)
        self._layers = cell_weights([layer.kind for layer in network.layers], self._parameters)  # they see every update
        self._loss = np.nan

    def update(self) -> None:
        """Forward, loss, backward, Adam."""
        weight, bias = self._parameters["head.weight"], self._parameters["head.bias"]
        trace = unroll(self._layers, self._x, state=self._state, scratch=self._scratch)
        rows = trace.y.reshape(-1, trace.y.shape[-1])
        error = rows @ weight.T
        error += bias
        error -= self._targets
        self._loss = float(np.vdot(error, error)) / error.size
        error *= np.float32(2 / error.size)
        gradients = {"head.weight": error.T @ rows, "head.bias": self._ones @ error}
        d_y = self._scratch.allocate("d_y", trace.y.shape)
        np.matmul(error, weight, out=d_y.reshape(rows.shape))
        gradients |= cell_gradients(backward(self._layers, trace, d_y, wants_d_x=False).layers)
        self._optimizer.update(gradients, learning_rate=LEARNING_RATE)

    def loss(self) -> float:
        """Return the last update's loss."""
        return self._loss
