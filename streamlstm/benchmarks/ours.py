"""Our own contestants, the fused kernel and its other backends, and the gauges of what this processor could do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.benchmarks.workloads import RecurrentNetwork, Workload
from streamlstm.kernels import NetworkWeights, StateArena, backends, fma_peak, gate_cost, run, step

__all__ = ["BACKENDS", "ONE_THREAD", "OURS", "OurBlock", "OurStep", "contestants", "gauges"]

_Backend: TypeAlias = Literal["fused", "blas", "bfloat16"]

OURS = "streamlstm"
"""The contestant that the others are compared with."""
ONE_THREAD = "one thread"
"""The same kernel without company: no peer either."""
BACKENDS: tuple[_Backend, ...] = ("blas", "bfloat16")
"""Our other backends: columns of their own, and no peers."""


def gauges() -> Mapping[str, Callable[[float], float]]:
    """Return what measures the limit: seconds to spend in, reading out.

    Units: fma_peak in GFLOP/s of one core; gate_cost in ns a hidden unit.
    """
    return {"fma_peak": fma_peak, "gate_cost": gate_cost}


def contestants(network: RecurrentNetwork, work: Workload) -> Mapping[str, Sequence[OurStep | OurBlock]]:
    """Return our ways to do the work, by the name of their column."""
    kind = OurStep if work.steps is None else OurBlock
    ways: dict[str, Sequence[OurStep | OurBlock]] = {OURS: [kind(network, work, backend="fused")]}
    for backend in BACKENDS:
        if backend in backends():
            ways[backend] = [kind(network, work, backend=backend)]
    return ways


class _Streams:
    """The streams lie in random slots of an arena twice as large as they need, as they do in a worker."""

    def __init__(self, network: RecurrentNetwork, work: Workload, *, backend: _Backend) -> None:
        head = (network.head_weight, network.head_bias)
        self.weights = NetworkWeights(network.layers, head, backend=backend)
        self.arena = StateArena(self.weights, 2 * work.streams)
        self.slots = np.random.default_rng(3).permutation(2 * work.streams)[: work.streams].astype(np.int64)


class OurStep:
    """Single steps."""

    def __init__(self, network: RecurrentNetwork, work: Workload, *, backend: _Backend) -> None:
        self._streams = _Streams(network, work, backend=backend)
        self._x = np.zeros((work.streams, work.shape.channels), np.float32)
        self._out = np.zeros_like(self._x)
        self._errors = np.zeros(work.streams, np.float32)

    def load(self, x: NDArray[np.float32]) -> None:
        """Take the input [S, C]."""
        self._x[...] = x

    def advance(self) -> None:
        """Do one step of every stream."""
        streams = self._streams
        step(streams.weights, streams.arena, streams.slots, self._x, self._out, self._errors)

    def read(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return out [S, D] and errors [S]."""
        return self._out, self._errors


class OurBlock:
    """Blocks of T steps in one call."""

    def __init__(self, network: RecurrentNetwork, work: Workload, *, backend: _Backend) -> None:
        assert work.steps is not None
        self._streams = _Streams(network, work, backend=backend)
        self._x = np.zeros((work.steps, work.streams, work.shape.channels), np.float32)
        self._out = np.zeros_like(self._x)

    def load(self, x: NDArray[np.float32]) -> None:
        """Take the input [T, S, C]."""
        self._x[...] = x

    def advance(self) -> None:
        """Do T steps of every stream."""
        run(self._streams.weights, self._streams.arena, self._streams.slots, self._x, self._out)

    def read(self) -> tuple[NDArray[np.float32], None]:
        """Return out [T, S, D]."""
        return self._out, None
