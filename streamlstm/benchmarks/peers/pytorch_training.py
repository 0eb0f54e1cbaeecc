"""PyTorch in training: its module of the cell (LSTM, GRU, RNN) and a linear head, eager, with fused Adam."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from streamlstm.benchmarks.peers.pytorch import prepare
from streamlstm.benchmarks.training_work import LEARNING_RATE, TrainingWork
from streamlstm.benchmarks.workloads import RecurrentNetwork
from streamlstm.kernels.cells import CellKind

__all__ = ["prepare", "training"]


def training(network: RecurrentNetwork, work: TrainingWork) -> Sequence[_Training]:
    """Return the one way."""
    return [_Training(network, work)]


def _keep_last(begin: int, gradient: Any) -> Any:
    gradient[:begin] = 0
    return gradient


class _Training:
    """The second of PyTorch's two biases stays zero and is not trained: it would only double the first.

    But for a GRU's n, which has two: there the other gates' part gets no gradient.
    """

    def __init__(self, network: RecurrentNetwork, work: TrainingWork) -> None:
        import torch

        shape = work.shape
        module = {CellKind.LSTM: torch.nn.LSTM, CellKind.GRU: torch.nn.GRU, CellKind.RNN: torch.nn.RNN}[work.cell]
        self._layers = module(shape.channels, shape.hidden, shape.layers)
        self._head = torch.nn.Linear(shape.hidden, shape.channels)
        self._mean_squared_error = torch.nn.functional.mse_loss
        with torch.no_grad():
            for index, layer in enumerate(network.layers):
                getattr(self._layers, f"weight_ih_l{index}").copy_(torch.from_numpy(layer.w_ih))
                getattr(self._layers, f"weight_hh_l{index}").copy_(torch.from_numpy(layer.w_hh))
                getattr(self._layers, f"bias_ih_l{index}").copy_(torch.from_numpy(layer.bias))
                second = getattr(self._layers, f"bias_hh_l{index}").zero_()
                if layer.bias_hn is None:
                    second.requires_grad_(False)
                else:
                    second[2 * shape.hidden :] = torch.from_numpy(layer.bias_hn)
                    second.register_hook(partial(_keep_last, 2 * shape.hidden))
            self._head.weight.copy_(torch.from_numpy(network.head_weight))
            self._head.bias.copy_(torch.from_numpy(network.head_bias))
        trained = [p for module in (self._layers, self._head) for p in module.parameters() if p.requires_grad]
        self._optimizer = torch.optim.Adam(trained, lr=LEARNING_RATE, fused=True)
        series = torch.from_numpy(work.series())
        self._x, self._targets = series[:-1], series[1:]
        self._loss: Any = None

    def update(self) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        hidden, _ = self._layers(self._x)
        self._loss = self._mean_squared_error(self._head(hidden), self._targets)
        self._loss.backward()
        self._optimizer.step()

    def loss(self) -> float:
        return float(self._loss.detach())
