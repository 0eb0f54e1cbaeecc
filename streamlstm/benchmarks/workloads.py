"""What is timed: networks of four shapes, single steps and whole blocks of them, and what a processor could do at best.

A step of S streams takes x [S, C] and the state (h, c) that the last step left, and gives out [S, D], D = C, from a
linear head on the top layer, and the mean squared error of out to x by stream. A block does T steps of S streams in
one call and gives out [T, S, D].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels.cells import CellKind, CellWeights

__all__ = ["SHAPES", "RecurrentNetwork", "Shape", "Workload", "kernel_workloads"]

_SEED = 20261121


@dataclass(frozen=True, slots=True)
class Shape:
    """C channels in and out, H hidden units in each of L layers."""

    channels: int
    hidden: int
    layers: int

    def __str__(self) -> str:
        return f"({self.channels},{self.hidden},{self.layers})"

    @property
    def flops(self) -> int:
        """Floating-point operations of one step of one stream: the products of the LSTM layers and of the head."""
        return self.flops_of(CellKind.LSTM)

    def flops_of(self, cell: CellKind) -> int:
        """Return those of another cell."""
        inputs = self.channels + (self.layers - 1) * self.hidden
        return 2 * (inputs + self.layers * self.hidden) * cell.gates * self.hidden + 2 * self.hidden * self.channels

    def limit_s(self, *, peak_gflops: float, gate_ns: float) -> float:
        """Return the seconds that no step of one stream can stay under: products at the peak, then the gates."""
        return self.flops / (peak_gflops * 1e9) + self.layers * self.hidden * gate_ns * 1e-9


SHAPES = (Shape(1, 32, 1), Shape(8, 64, 1), Shape(8, 64, 2), Shape(38, 128, 2))


@dataclass(frozen=True, slots=True)
class RecurrentNetwork:
    """A stack of layers of one cell, an LSTM unless said, with a linear head.

    Shapes: head_weight float32 [D, H]; head_bias [D].
    """

    layers: tuple[CellWeights, ...]
    head_weight: NDArray[np.float32]
    head_bias: NDArray[np.float32]

    @classmethod
    def random(cls, shape: Shape, cell: CellKind = CellKind.LSTM) -> RecurrentNetwork:
        """Return the same weights for the same shape and cell, every time."""
        rng = np.random.default_rng((_SEED, shape.channels, shape.hidden, shape.layers))
        spread = 1.5 / np.sqrt(shape.hidden)

        def draw(*size: int) -> NDArray[np.float32]:
            return rng.uniform(-spread, spread, size).astype(np.float32)

        sizes = (shape.channels, *[shape.hidden] * (shape.layers - 1))
        gates = cell.gates * shape.hidden
        layers = tuple(
            CellWeights(
                cell,
                draw(gates, inputs),
                draw(gates, shape.hidden),
                draw(gates),
                bias_hn=draw(shape.hidden) if cell is CellKind.GRU else None,
            )
            for inputs in sizes
        )
        return cls(layers, draw(shape.channels, shape.hidden), draw(shape.channels))


@dataclass(frozen=True, slots=True)
class Workload:
    """One cell of the table: a shape, S streams, and T steps a call (None: single steps, state carried by call)."""

    shape: Shape
    streams: int
    steps: int | None = None

    @property
    def name(self) -> str:
        """A name for files: step.c8_h64_l1.s64, block.c8_h64_l1.t100_s64."""
        shape = f"c{self.shape.channels}_h{self.shape.hidden}_l{self.shape.layers}"
        if self.steps is None:
            return f"step.{shape}.s{self.streams}"
        return f"block.{shape}.t{self.steps}_s{self.streams}"

    @property
    def title(self) -> str:
        """A name for readers: step (8,64,1) S=64."""
        if self.steps is None:
            return f"step {self.shape} S={self.streams}"
        return f"block {self.shape} T={self.steps} S={self.streams}"

    @property
    def stream_steps(self) -> int:
        """Steps of a stream that one call does."""
        return self.streams * (self.steps or 1)

    def inputs(self, calls: int) -> NDArray[np.float32]:
        """Return the same standard normal inputs every time: [calls, S, C], or [calls, T, S, C] for blocks."""
        rng = np.random.default_rng((_SEED, self.streams, self.steps or 0))
        block = () if self.steps is None else (self.steps,)
        return rng.standard_normal((calls, *block, self.streams, self.shape.channels), np.float32)


def kernel_workloads(*, is_quick: bool) -> list[Workload]:
    """Return the cells of `bench kernel`; a quick run leaves out the smallest differences, no shape."""
    streams = (1, 8, 512) if is_quick else (1, 8, 64, 512, 4096)
    blocks = ((1000, 1),) if is_quick else ((1000, 1), (200, 8), (100, 64))
    steps = [Workload(shape, count) for shape in SHAPES for count in streams]
    return steps + [Workload(shape, count, length) for shape in SHAPES for length, count in blocks]
