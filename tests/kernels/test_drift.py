"""State carried for long: ten million steps of one stream, and no drift away from float64.

A network forgets: two copies that begin in different states come together. So float64 need not be run from the first
step on: begun at zero some thousand steps before a place, it has come to the true trajectory there.
"""

from __future__ import annotations

import numpy as np
import pytest
from kernels.networks import stack
from numpy.typing import NDArray

from streamlstm.kernels import CellWeights, NetworkWeights, StateArena, isas, run

STEPS, BLOCK, LEAD = 10_000_000, 1_000_000, 3_000


def sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-z))


def lstm_float64(layer: CellWeights, x: NDArray[np.float32], state: float) -> NDArray[np.float64]:
    """Return h after the last row of x [T, I], h and c begun at `state`."""
    w, u, bias = (a.astype(np.float64) for a in (layer.w_ih, layer.w_hh, layer.bias))
    h = c = np.full(layer.hidden_size, state)
    for z_x in x @ w.T + bias:
        i, f, g, o = np.split(z_x + u @ h, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


BEST, *OTHERS = isas()


@pytest.mark.parametrize("isa", [BEST, *(pytest.param(isa, marks=pytest.mark.slow) for isa in OTHERS)])
def test_ten_million_steps_without_drift(isa: str) -> None:
    layers = stack("lstm")
    layers[0].bias[13:26] += 3.0  # a forget gate near 0.95: a long memory
    weights = NetworkWeights(layers, isa=isa)
    arena, rng = StateArena(weights, 1), np.random.default_rng(8)
    out = np.empty((BLOCK, 1, 13), np.float32)
    for _ in range(STEPS // BLOCK):
        x = rng.normal(0, 1, (BLOCK, 1, 3)).astype(np.float32)
        run(weights, arena, np.zeros(1, np.int64), x, out)
        end = x[-LEAD:, 0]
        exact = lstm_float64(layers[0], end, 0.0)
        assert np.abs(exact - lstm_float64(layers[0], end, 0.5)).max() < 1e-12, "it has not forgotten where it began"
        np.testing.assert_allclose(out[-1, 0], exact, rtol=0, atol=1e-6)
