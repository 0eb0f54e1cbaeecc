"""Rows of network state: hidden and cell [S, L, H], claimed by slot, advanced in place by `step`."""

import numpy as np

from streamlstm.errors import ShapeError, UsageError
from streamlstm.kernels.faces import check_array


cdef class StateArena:
    """The state of S streams, zero at first. Every value is finite, always.

    Not for two threads at once: the kernels' scratch belongs to the arena.
    """

    def __init__(self, capacity, *, layers, hidden):
        if capacity < 1 or layers < 1 or hidden < 1:
            raise ShapeError(f"expected capacity, layers and hidden above 0, got {capacity}, {layers} and {hidden}")
        self.capacity, self.layers, self.hidden_size = capacity, layers, hidden
        self.hidden = np.zeros((capacity, layers, hidden), np.float32)
        self.cell = np.zeros((capacity, layers, hidden), np.float32)
        self.seen = np.zeros(capacity, np.intc)
        self.z = np.zeros((BLOCK, 4 * hidden), np.float32)
        self.h = np.zeros((BLOCK, hidden), np.float32)
        self.block = np.zeros(BLOCK * hidden, np.float32)
        self.places = np.zeros((3, BLOCK), np.intp)

    def grow(self, capacity):
        """Make room for more slots; what exists stays where it is."""
        if self.is_busy:
            raise UsageError("arena: another thread is advancing it; it cannot grow now")
        if capacity < self.capacity:
            raise ShapeError(f"capacity: expected at least the present {self.capacity}, got {capacity}")
        for name in ("hidden", "cell"):
            old = np.asarray(self.hidden if name == "hidden" else self.cell)
            new = np.zeros((capacity, self.layers, self.hidden_size), np.float32)
            new[: self.capacity] = old
            if name == "hidden":
                self.hidden = new
            else:
                self.cell = new
        self.seen = np.zeros(capacity, np.intc)
        self.capacity = capacity

    def reset(self, slots):
        """Zero the rows of slots [B], int64."""
        self._check(slots)
        np.asarray(self.hidden)[slots] = 0.0
        np.asarray(self.cell)[slots] = 0.0

    def export(self, slots):
        """Return copies of hidden and cell, [B, L, H] each, of slots [B], int64."""
        self._check(slots)
        return np.asarray(self.hidden)[slots], np.asarray(self.cell)[slots]

    def load(self, slots, *, hidden, cell):
        """Write finite rows [B, L, H] to slots [B], int64. Raises: ShapeError before anything changes."""
        self._check(slots)
        shape = (len(slots), self.layers, self.hidden_size)
        check_array("hidden", hidden, np.float32, shape)
        check_array("cell", cell, np.float32, shape)
        if not (np.isfinite(hidden).all() and np.isfinite(cell).all()):
            raise ShapeError("hidden and cell: expected finite values")
        np.asarray(self.hidden)[slots] = hidden
        np.asarray(self.cell)[slots] = cell

    def _check(self, slots):
        check_array("slots", slots, np.int64, (None,))
        if len(slots) and not (0 <= slots.min() and slots.max() < self.capacity):
            raise ShapeError(f"slots: expected 0 to {self.capacity - 1}, got {slots.min()} to {slots.max()}")
