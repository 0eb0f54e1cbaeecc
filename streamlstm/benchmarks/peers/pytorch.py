"""PyTorch: its LSTM module on a sequence, or cell by cell, in inference mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.benchmarks.workloads import RecurrentNetwork, Workload

__all__ = ["contestants", "prepare"]


def prepare() -> None:
    """Import it and hold it to one thread."""
    import torch

    torch.set_num_threads(1)


def contestants(network: RecurrentNetwork, work: Workload) -> Sequence[_Module | _Cells]:
    """Return the module, and for single steps the cells as well."""
    module = _Module(network, work)
    return [module] if work.steps is not None else [module, _Cells(network, work)]


def _assign(network: RecurrentNetwork, index: int, module: Any, suffix: str) -> None:
    """Copy a layer's weights into a module; the second of PyTorch's two biases is zero."""
    import torch

    layer = network.layers[index]
    with torch.no_grad():
        getattr(module, f"weight_ih{suffix}").copy_(torch.from_numpy(layer.w_ih))
        getattr(module, f"weight_hh{suffix}").copy_(torch.from_numpy(layer.w_hh))
        getattr(module, f"bias_ih{suffix}").copy_(torch.from_numpy(layer.bias))
        getattr(module, f"bias_hh{suffix}").zero_()


class _Module:
    """torch.nn.LSTM; a single step is a sequence of one."""

    def __init__(self, network: RecurrentNetwork, work: Workload) -> None:
        import torch

        shape = work.shape
        self._inference = torch.inference_mode
        self._linear = torch.nn.functional.linear
        self._is_step = work.steps is None
        self._lstm = torch.nn.LSTM(shape.channels, shape.hidden, shape.layers).eval()
        for index in range(shape.layers):
            _assign(network, index, self._lstm, f"_l{index}")
        self._weight, self._bias = torch.from_numpy(network.head_weight), torch.from_numpy(network.head_bias)
        with torch.inference_mode():
            self._x = torch.zeros(work.steps or 1, work.streams, shape.channels)
            size = (shape.layers, work.streams, shape.hidden)
            self._state = (torch.zeros(size), torch.zeros(size))
        self._out: Any = None
        self._errors: Any = None

    def load(self, x: NDArray[np.float32]) -> None:
        with self._inference():
            self._x.numpy()[...] = x

    def advance(self) -> None:
        with self._inference():
            hidden, self._state = self._lstm(self._x, self._state)
            self._out = self._linear(hidden, self._weight, self._bias)
            if self._is_step:
                self._errors = (self._out - self._x).square().mean(dim=2)

    def read(self) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        if self._is_step:
            return self._out[0].numpy(), self._errors[0].numpy()
        return self._out.numpy(), None


class _Cells:
    """torch.nn.LSTMCell, one a layer."""

    def __init__(self, network: RecurrentNetwork, work: Workload) -> None:
        import torch

        shape = work.shape
        self._inference = torch.inference_mode
        self._linear = torch.nn.functional.linear
        self._cells = [torch.nn.LSTMCell(layer.input_size, shape.hidden).eval() for layer in network.layers]
        for index, cell in enumerate(self._cells):
            _assign(network, index, cell, "")
        self._weight, self._bias = torch.from_numpy(network.head_weight), torch.from_numpy(network.head_bias)
        with torch.inference_mode():
            self._x = torch.zeros(work.streams, shape.channels)
            size = (work.streams, shape.hidden)
            self._states = [(torch.zeros(size), torch.zeros(size)) for _ in self._cells]
        self._out: Any = None
        self._errors: Any = None

    def load(self, x: NDArray[np.float32]) -> None:
        with self._inference():
            self._x.numpy()[...] = x

    def advance(self) -> None:
        with self._inference():
            below = self._x
            for index, cell in enumerate(self._cells):
                self._states[index] = cell(below, self._states[index])
                below = self._states[index][0]
            self._out = self._linear(below, self._weight, self._bias)
            self._errors = (self._out - self._x).square().mean(dim=1)

    def read(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self._out.numpy(), self._errors.numpy()
