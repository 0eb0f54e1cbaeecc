"""NumPy: two products a layer through its BLAS, gates in place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamlstm.benchmarks.workloads import RecurrentNetwork, Workload

__all__ = ["contestants", "prepare"]


def prepare() -> None:
    """Do nothing: BLAS is held to one thread for everyone."""


def contestants(network: RecurrentNetwork, work: Workload) -> Sequence[_Step | _Block]:
    """Return single steps, or blocks whose input products are taken out of the loop."""
    return [_Step(network, work) if work.steps is None else _Block(network, work)]


class _Layers:
    """Weights as the products take them, state, and buffers for the gates."""

    def __init__(self, network: RecurrentNetwork, work: Workload) -> None:
        self.w_ih = [np.ascontiguousarray(layer.w_ih.T) for layer in network.layers]
        self.w_hh = [np.ascontiguousarray(layer.w_hh.T) for layer in network.layers]
        self.bias = [layer.bias for layer in network.layers]
        self.head = (np.ascontiguousarray(network.head_weight.T), network.head_bias)
        size = (work.streams, work.shape.hidden)
        self.hidden = [np.zeros(size, np.float32) for _ in network.layers]
        self.cell = [np.zeros(size, np.float32) for _ in network.layers]
        self.sums = np.zeros((work.streams, 4 * work.shape.hidden), np.float32)
        self.products = np.zeros_like(self.sums)

    def gates(self, layer: int) -> NDArray[np.float32]:
        """Advance (h, c) of a layer from the sums; return h."""
        sums, hidden, cell = self.sums, self.hidden[layer], self.cell[layer]
        units = hidden.shape[1]
        g = np.tanh(sums[:, 2 * units : 3 * units])
        np.negative(sums, out=sums)
        np.exp(sums, out=sums)
        sums += 1
        np.reciprocal(sums, out=sums)
        cell *= sums[:, units : 2 * units]
        g *= sums[:, :units]
        cell += g
        np.tanh(cell, out=hidden)
        hidden *= sums[:, 3 * units :]
        return hidden


class _Step:
    def __init__(self, network: RecurrentNetwork, work: Workload) -> None:
        self._layers = _Layers(network, work)
        self._x = np.zeros((work.streams, work.shape.channels), np.float32)
        self._out = np.zeros_like(self._x)
        self._errors = np.zeros(work.streams, np.float32)

    def load(self, x: NDArray[np.float32]) -> None:
        self._x[...] = x

    def advance(self) -> None:
        layers, below = self._layers, self._x
        for index, bias in enumerate(layers.bias):
            np.matmul(below, layers.w_ih[index], out=layers.sums)
            np.matmul(layers.hidden[index], layers.w_hh[index], out=layers.products)
            layers.sums += layers.products
            layers.sums += bias
            below = layers.gates(index)
        weight, bias = layers.head
        np.matmul(below, weight, out=self._out)
        self._out += bias
        difference = self._out - self._x
        difference *= difference
        difference.mean(axis=1, out=self._errors)

    def read(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self._out, self._errors


class _Block:
    def __init__(self, network: RecurrentNetwork, work: Workload) -> None:
        self._layers = _Layers(network, work)
        assert work.steps is not None
        self._x = np.zeros((work.steps, work.streams, work.shape.channels), np.float32)
        self._inner = np.zeros((work.steps, work.streams, work.shape.hidden), np.float32)
        self._out = np.zeros_like(self._x)

    def load(self, x: NDArray[np.float32]) -> None:
        self._x[...] = x

    def advance(self) -> None:
        layers, below = self._layers, self._x
        for index, bias in enumerate(layers.bias):
            from_inputs = below.reshape(-1, below.shape[2]) @ layers.w_ih[index]
            from_inputs += bias
            from_inputs = from_inputs.reshape(len(below), below.shape[1], -1)
            for t, sums in enumerate(from_inputs):
                np.matmul(layers.hidden[index], layers.w_hh[index], out=layers.sums)
                layers.sums += sums
                self._inner[t] = layers.gates(index)
            below = self._inner
        weight, bias = layers.head
        np.matmul(below, weight, out=self._out)
        self._out += bias

    def read(self) -> tuple[NDArray[np.float32], None]:
        return self._out, None
