"""Rows of network state: hidden and cell [S, L, H], advanced in place by `step`."""

import numpy as np
from numpy.typing import NDArray

class StateArena:
    """The state of S streams, zero at first; every value is finite, always. Not for two threads at once."""

    capacity: int
    layers: int
    hidden_size: int
    def __init__(self, capacity: int, *, layers: int, hidden: int) -> None: ...
    def grow(self, capacity: int) -> None:
        """Make room for more slots; what exists stays where it is."""

    def reset(self, slots: NDArray[np.int64]) -> None:
        """Zero the rows of slots [B]."""

    def export(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return copies of hidden and cell, [B, L, H] each, of slots [B]."""

    def load(self, slots: NDArray[np.int64], *, hidden: NDArray[np.float32], cell: NDArray[np.float32]) -> None:
        """Write finite rows [B, L, H] to slots [B]. Raises: ShapeError before anything changes."""
