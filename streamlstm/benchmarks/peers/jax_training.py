"""JAX in training: scans by layer, value_and_grad and Adam in one compiled function whose weights are donated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamlstm.benchmarks.peers.jax import gates, prepare
from streamlstm.benchmarks.training_work import LEARNING_RATE, TrainingWork
from streamlstm.benchmarks.workloads import RecurrentNetwork
from streamlstm.kernels.cells import CellKind

__all__ = ["prepare", "training"]

_UNROLLED = (1, 4)
_BETA_1, _BETA_2, _EPS = 0.9, 0.999, 1e-8


def training(network: RecurrentNetwork, work: TrainingWork) -> Sequence[_Training]:
    """Return the scans unrolled or not, of LSTMs."""
    if work.cell is not CellKind.LSTM:
        return []
    return [_Training(network, work, unroll=unroll) for unroll in _UNROLLED]


def _loss(unroll: int) -> Any:
    import jax.numpy as jnp
    from jax import lax

    def loss(weights: Any, x: Any, targets: Any) -> Any:
        below = x
        for w_ih, w_hh, bias in weights["layers"]:
            zeros = jnp.zeros((x.shape[1], w_hh.shape[0]), x.dtype)

            def one(carry: Any, sums: Any, w_hh: Any = w_hh) -> Any:
                carry = gates(sums + carry[0] @ w_hh, carry[1])
                return carry, carry[0]

            _, below = lax.scan(one, (zeros, zeros), below @ w_ih + bias, unroll=unroll)
        weight, bias = weights["head"]
        return jnp.square(below @ weight + bias - targets).mean()

    return loss


def _update(unroll: int) -> Any:
    import jax
    import jax.numpy as jnp

    differentiate = jax.value_and_grad(_loss(unroll))

    def update(state: Any, x: Any, targets: Any) -> Any:
        weights, first, second, count = state
        loss, gradients = differentiate(weights, x, targets)
        count = count + 1
        first = jax.tree.map(lambda m, g: _BETA_1 * m + (1 - _BETA_1) * g, first, gradients)
        second = jax.tree.map(lambda v, g: _BETA_2 * v + (1 - _BETA_2) * g * g, second, gradients)
        by_first, by_second = 1 / (1 - _BETA_1**count), 1 / (1 - _BETA_2**count)
        weights = jax.tree.map(
            lambda w, m, v: w - LEARNING_RATE * m * by_first / (jnp.sqrt(v * by_second) + _EPS), weights, first, second
        )
        return (weights, first, second, count), loss

    return jax.jit(update, donate_argnums=0)


class _Training:
    def __init__(self, network: RecurrentNetwork, work: TrainingWork, *, unroll: int) -> None:
        import jax
        import jax.numpy as jnp

        weights = {
            "layers": [(jnp.array(w.w_ih.T), jnp.array(w.w_hh.T), jnp.array(w.bias)) for w in network.layers],
            "head": (jnp.array(network.head_weight.T), jnp.array(network.head_bias)),
        }
        first, second = (jax.tree.map(jnp.zeros_like, weights) for _ in range(2))
        self._compiled = _update(unroll)
        self._state = (weights, first, second, jnp.zeros((), jnp.float32))
        series = work.series()
        self._x, self._targets = jax.device_put(series[:-1]), jax.device_put(series[1:])
        self._last: Any = None

    def update(self) -> None:
        self._state, self._last = self._compiled(self._state, self._x, self._targets)
        self._last.block_until_ready()

    def loss(self) -> float:
        return float(self._last)
