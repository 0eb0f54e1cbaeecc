"""JAX: the step compiled by XLA with the weights as constants and the state donated; blocks as scans by layer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.benchmarks.workloads import RecurrentNetwork, Workload

__all__ = ["contestants", "gates", "prepare"]

_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
_UNROLLED = (1, 8)


def prepare() -> None:
    """Import it, on the processor and with one thread; computing in the caller's own thread is the faster way here."""
    flags = os.environ.get("XLA_FLAGS", "")
    if _ONE_THREAD not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_ONE_THREAD}".strip()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)


def contestants(network: RecurrentNetwork, work: Workload) -> Sequence[_Compiled]:
    """Return two products a layer or one over x and h together; for blocks, scans unrolled or not."""
    if work.steps is None:
        return [_Compiled(_step(network, is_joined=is_joined), work) for is_joined in (False, True)]
    return [_Compiled(_block(network, unroll), work) for unroll in _UNROLLED]


def gates(sums: Any, cell: Any) -> tuple[Any, Any]:
    """Return h and c of an LSTM."""
    import jax
    import jax.numpy as jnp

    i, f, g, o = jnp.split(sums, 4, axis=-1)
    cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(cell), cell


def _step(network: RecurrentNetwork, *, is_joined: bool) -> Any:
    import jax.numpy as jnp

    w_ih = [np.ascontiguousarray(layer.w_ih.T) for layer in network.layers]
    w_hh = [np.ascontiguousarray(layer.w_hh.T) for layer in network.layers]
    joined = [np.concatenate(pair) for pair in zip(w_ih, w_hh, strict=True)]

    def step(state: Any, x: Any) -> Any:
        below, after = x, []
        for index, (hidden, cell) in enumerate(state):
            if is_joined:
                sums = jnp.concatenate([below, hidden], axis=1) @ joined[index]
            else:
                sums = below @ w_ih[index] + hidden @ w_hh[index]
            below, cell = gates(sums + network.layers[index].bias, cell)
            after.append((below, cell))
        out = below @ network.head_weight.T + network.head_bias
        return after, out, jnp.square(out - x).mean(axis=1)

    return step


def _block(network: RecurrentNetwork, unroll: int) -> Any:
    from jax import lax

    def block(state: Any, x: Any) -> Any:
        below, after = x, []
        for layer, (hidden, cell) in zip(network.layers, state, strict=True):
            from_inputs = below @ layer.w_ih.T + layer.bias
            w_hh = np.ascontiguousarray(layer.w_hh.T)

            def one(carry: Any, sums: Any, w_hh: Any = w_hh) -> Any:
                carry = gates(sums + carry[0] @ w_hh, carry[1])
                return carry, carry[0]

            carry, below = lax.scan(one, (hidden, cell), from_inputs, unroll=unroll)
            after.append(carry)
        out = below @ network.head_weight.T + network.head_bias
        return after, out, None

    return block


class _Compiled:
    def __init__(self, function: Any, work: Workload) -> None:
        import jax
        import jax.numpy as jnp

        self._compiled = jax.jit(function, donate_argnums=0)
        self._to_device = jax.device_put
        size = (work.streams, work.shape.hidden)
        self._state = [(jnp.zeros(size), jnp.zeros(size)) for _ in range(work.shape.layers)]
        self._x: Any = None
        self._out: Any = None
        self._errors: Any = None

    def load(self, x: NDArray[np.float32]) -> None:
        self._x = self._to_device(x.copy()).block_until_ready()

    def advance(self) -> None:
        self._state, self._out, self._errors = self._compiled(self._state, self._x)
        self._out.block_until_ready()

    def read(self) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        return np.asarray(self._out), None if self._errors is None else np.asarray(self._errors)
