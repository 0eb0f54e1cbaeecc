"""The network in float64 NumPy, one stream-step after the other's textbook: what every contestant is checked against.

lstm    i, f, g, o = sigma, sigma, tanh, sigma (W x + U h + b)     c = f c + i g     h = o tanh(c)     out = V h + b_v
gru     r, z = sigma(W x + U h + b)     n = tanh(W x + b + r (U h + b_hn))     h = (1 - z) n + z h
rnn     h = tanh(W x + U h + b)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlstm.benchmarks.workloads import RecurrentNetwork
from streamlstm.kernels.cells import CellKind

__all__ = ["Reference"]


class Reference:
    """State of S streams in float64, zero at first."""

    def __init__(self, network: RecurrentNetwork, streams: int) -> None:
        self._network = network
        self._state = [np.zeros((2, streams, layer.hidden_size)) for layer in network.layers]

    def step(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Advance every stream; return out [S, D] and the mean squared error [S] of out to x [S, C]."""
        below = x.astype(np.float64)
        for layer, state in zip(self._network.layers, self._state, strict=True):
            hidden, cell = state
            fresh = np.einsum("si,gi->sg", below, layer.w_ih.astype(np.float64)) + layer.bias.astype(np.float64)
            past = np.einsum("sh,gh->sg", hidden, layer.w_hh.astype(np.float64))
            if layer.kind is CellKind.LSTM:
                i, f, g, o = np.split(fresh + past, 4, axis=1)
                cell[...] = cell / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
                hidden[...] = np.tanh(cell) / (1 + np.exp(-o))
            elif layer.kind is CellKind.GRU and layer.bias_hn is not None:
                (r, z, n), (past_r, past_z, past_n) = np.split(fresh, 3, axis=1), np.split(past, 3, axis=1)
                n = np.tanh(n + (past_n + layer.bias_hn) / (1 + np.exp(-r - past_r)))
                hidden[...] = n + (hidden - n) / (1 + np.exp(-z - past_z))
            else:
                hidden[...] = np.tanh(fresh + past)
            below = hidden
        out = below @ self._network.head_weight.astype(np.float64).T + self._network.head_bias
        return out, np.square(out - x).mean(axis=1)
