"""States of streams, one a slot: by layer h, then c. Rows stay where they are; the arena grows by whole chunks."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels.weights import NetworkWeights

class StateArena:
    """The states of S streams of a network, zero at first; every value is finite, always.

    With state_dtype "float16" they are rounded to it after every step. With `threads` above 1 the step shards streams
    over as many. Not for two threads at once.
    """

    capacity: int
    state_size: int
    state_dtype: Literal["float32", "float16"]
    def __init__(
        self,
        weights: NetworkWeights,
        capacity: int,
        *,
        state_dtype: Literal["float32", "float16"] = "float32",
        threads: int = 1,
    ) -> None: ...
    def grow(self, capacity: int) -> None:
        """Make room for more slots; what exists is not moved. Raises: MemoryError, and nothing has changed."""

    def reset(self, slots: NDArray[np.int64]) -> None:
        """Zero the rows of slots [B]."""

    def export(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return copies of the states of slots [B]: [B, state_size], by layer h, then c."""

    def load(self, slots: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        """Write finite states [B, state_size] to slots [B]. Raises: ShapeError before anything changes."""
