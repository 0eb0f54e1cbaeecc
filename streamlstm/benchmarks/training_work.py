"""What `bench train` times: one update of a forecaster, and what a processor could do at best.

An update takes x [T, B, C] and, as targets, the same series one sample later: forward from zero state, the mean squared
error of a linear head, backward through all T steps, Adam on every weight.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamlstm.benchmarks.reference import Reference
from streamlstm.benchmarks.workloads import RecurrentNetwork, Shape
from streamlstm.kernels.cells import CellKind

__all__ = ["LEARNING_RATE", "TrainingContestant", "TrainingWork", "first_loss", "training_workloads"]

LEARNING_RATE = 1e-3
_SEED = 20261122


class TrainingContestant(Protocol):
    """A network in training, in the form its library likes best."""

    def update(self) -> None:
        """Make one update, always on the same batch. This is what is timed."""

    def loss(self) -> float:
        """Return the last update's loss, that of the weights before it. Not timed."""


@dataclass(frozen=True, slots=True)
class TrainingWork:
    """One cell of the table: a shape of layers of one recurrent cell, B lanes of T steps."""

    shape: Shape
    cell: CellKind = CellKind.LSTM
    lanes: int = 64
    steps: int = 128

    @property
    def name(self) -> str:
        """A name for files: c8_h64_l2.t128_b64, gru.c8_h64_l2.t128_b64."""
        shape = f"c{self.shape.channels}_h{self.shape.hidden}_l{self.shape.layers}"
        cell = "" if self.cell is CellKind.LSTM else f"{self.cell}."
        return f"{cell}{shape}.t{self.steps}_b{self.lanes}"

    @property
    def title(self) -> str:
        """A name for readers: train (8,64,2) B=64 T=128, train gru (8,64,2) B=64 T=128."""
        cell = "" if self.cell is CellKind.LSTM else f"{self.cell} "
        return f"train {cell}{self.shape} B={self.lanes} T={self.steps}"

    @property
    def flops(self) -> int:
        """Operations of an update's products: forward, twice that backward, but nothing for the gradient by x."""
        shape = self.shape
        gradient_by_x = 2 * shape.channels * self.cell.gates * shape.hidden
        return self.lanes * self.steps * (3 * shape.flops_of(self.cell) - gradient_by_x)

    def limit_s(self, *, peak_gflops: float) -> float:
        """Return the seconds that the products alone take at the peak."""
        return self.flops / (peak_gflops * 1e9)

    def series(self) -> NDArray[np.float32]:
        """Return the same T + 1 samples of every lane, every time: [T + 1, B, C], sines with noise."""
        rng = np.random.default_rng((_SEED, self.shape.channels))
        size = (1, self.lanes, self.shape.channels)
        phases, rates = rng.uniform(0, 2 * np.pi, size), rng.uniform(0.05, 0.5, size)
        times = np.arange(self.steps + 1)[:, None, None]
        noise = rng.normal(0, 0.1, (self.steps + 1, *size[1:]))
        return (np.sin(phases + rates * times) + noise).astype(np.float32)


def training_workloads(*, is_quick: bool) -> list[TrainingWork]:
    """Return the cells of `bench train`, for each recurrent cell the one that its goals are set for first."""
    shapes = [Shape(8, 64, 2)] if is_quick else [Shape(8, 64, 2), Shape(1, 32, 1), Shape(38, 128, 2)]
    return [TrainingWork(shape, cell) for cell in (CellKind.LSTM, CellKind.GRU, CellKind.RNN) for shape in shapes]


def first_loss(network: RecurrentNetwork, work: TrainingWork) -> float:
    """Return in float64 the loss that a first update must begin with."""
    reference, series = Reference(network, work.lanes), work.series()
    errors = [reference.step(x)[0] - later for x, later in itertools.pairwise(series)]
    return float(np.square(errors).mean())
