"""What a branch of the score is: statistics of each sample, whose tails are calibrated and whose surprises add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from streamlstm.scoring.forward import ForwardResult
from streamlstm.scoring.state import StatePiece

__all__ = ["Branch", "Measured", "StateArrays", "blended"]

StateArrays = Mapping[str, NDArray[Any]]
"""Arrays [S, ...] of all streams by the names of their pieces; a slot is zero until its stream's first sample."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a branch says of K samples.

    Shapes: statistics float32 [K, parts], higher = less usual; contribution float32 [K, C], the channels' shares in
    them, which add up to 1 by row; expected float32 [K, C], what it expected of each channel, standardised.
    """

    statistics: NDArray[np.float32]
    contribution: NDArray[np.float32]
    expected: NDArray[np.float32]

    @classmethod
    def empty(cls, samples: int, *, parts: int, channels: int) -> Self:
        """Make room for as many samples; nothing is said of them yet."""
        shapes = ((samples, parts), (samples, channels), (samples, channels))
        return cls(*(np.empty(shape, np.float32) for shape in shapes))


def blended(measured: Sequence[Measured], said: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the channels' shares in the surprise: those in each branch, by how much of it that branch said.

    Shapes: said float64 [K, branches]; returned [K, C]. Where nothing was said the first branch's count.
    State: the contributions of all branches are used up.
    """
    blended, total = measured[0].contribution, said[:, 0].copy()
    for k in range(1, len(measured)):
        total += said[:, k]
        share = np.divide(said[:, k], total, out=np.zeros_like(total), where=total > 0)
        other = measured[k].contribution
        other -= blended
        other *= share.astype(np.float32)[:, None]
        blended += other
    return blended


class Branch(Protocol):
    """One branch with its fitted numbers.

    Its statistics of a sample depend on the samples of that stream alone, in their order, whatever the batches: all it
    remembers of a stream lies in the pieces of its state.
    """

    @property
    def name(self) -> str:
        """Name of its fitted numbers in the calibration."""

    @property
    def parts(self) -> Sequence[str]:
        """Names of its statistics; each has its own tail in the calibration."""

    @property
    def weight(self) -> float:
        """What its surprises count for beside those of other branches; its parts share it evenly."""

    @property
    def lightest_tail(self) -> float:
        """Least shape that the tail of one of its statistics may have."""

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Its fitted numbers, as they stand in the calibration and in bundles."""

    @property
    def fill_rows(self) -> int:
        """Samples of a stream that its statistics rest on."""

    @property
    def state(self) -> Mapping[str, StatePiece]:
        """The pieces of a stream's state row that are its own."""

    def advance(self, result: ForwardResult, state: StateArrays) -> Measured:
        """Measure samples in arrival order, and advance the state of their streams.

        Where `result.reset` is set the stream begins anew: what it remembered of it is zeroed first.
        """
