"""Our own contestants, and the gauges of what this processor could do at best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from streamlstm.benchmarks.workloads import LstmNetwork, Workload
from streamlstm.kernels import LstmWeights, StateArena, advance, project, step

__all__ = ["OURS", "contestants", "gauges", "kernel_path"]

OURS = "streamlstm"
"""The contestant that the others are compared with."""


def kernel_path() -> str:
    """Return the instruction set that the kernel's compiled path uses."""
    return "baseline"


def gauges() -> Mapping[str, Callable[[float], float]]:
    """Return what measures the limit: seconds to spend in, reading out.

    Units: fma_peak in GFLOP/s of one core; gate_cost in ns a hidden unit.
    """
    return {}


def contestants(network: LstmNetwork, work: Workload) -> Mapping[str, Sequence[OurStep | OurBlock]]:
    """Return our ways to do the work, by the name of their column; several under one name: the fastest is taken."""
    return {OURS: [OurStep(network, work) if work.steps is None else OurBlock(network, work)]}


class _Streams:
    """The streams lie in random slots of an arena twice as large as they need, as they do in a worker."""

    def __init__(self, network: LstmNetwork, work: Workload) -> None:
        shape, streams = work.shape, work.streams
        self.weights = LstmWeights([(layer.w_ih, layer.w_hh, layer.bias) for layer in network.layers])
        self.head = (network.head_weight, network.head_bias)
        self.arena = StateArena(2 * streams, layers=shape.layers, hidden=shape.hidden)
        self.slots = np.random.default_rng(3).permutation(2 * streams)[:streams].astype(np.int64)


class OurStep:
    """Single steps."""

    def __init__(self, network: LstmNetwork, work: Workload) -> None:
        self._streams = _Streams(network, work)
        self._x = np.zeros((work.streams, work.shape.channels), np.float32)
        self._hidden = np.zeros((work.streams, work.shape.hidden), np.float32)
        self._out = np.zeros((work.streams, work.shape.channels), np.float32)
        self._errors = np.zeros(work.streams, np.float32)

    def load(self, x: NDArray[np.float32]) -> None:
        """Take the input [S, C]."""
        self._x[...] = x

    def advance(self) -> None:
        """Do one step of every stream."""
        streams = self._streams
        step(streams.weights, streams.arena, streams.slots, self._x, self._hidden)
        project(self._hidden, *streams.head, self._out)
        np.square(self._out - self._x).mean(axis=1, out=self._errors)

    def read(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return out [S, D] and errors [S]."""
        return self._out, self._errors


class OurBlock:
    """Blocks of T steps in one call."""

    def __init__(self, network: LstmNetwork, work: Workload) -> None:
        self._streams = _Streams(network, work)
        self._samples = np.tile(self._streams.slots, work.steps or 1)
        self._shape = (work.steps or 1, work.streams, work.shape.channels)
        self._x = np.zeros((len(self._samples), work.shape.channels), np.float32)
        self._hidden = np.zeros((len(self._samples), work.shape.hidden), np.float32)
        self._out = np.zeros_like(self._x)

    def load(self, x: NDArray[np.float32]) -> None:
        """Take the input [T, S, C]."""
        self._x[...] = x.reshape(self._x.shape)

    def advance(self) -> None:
        """Do T steps of every stream."""
        streams = self._streams
        advance(streams.weights, streams.arena, self._samples, self._x, None, self._hidden)
        project(self._hidden, *streams.head, self._out)

    def read(self) -> tuple[NDArray[np.float32], None]:
        """Return out [T, S, D]."""
        return self._out.reshape(self._shape), None
