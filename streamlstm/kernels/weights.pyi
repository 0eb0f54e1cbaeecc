"""A recurrent stack and its head, packed once for the step; immutable."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels.cells import CellWeights

class NetworkWeights:
    """Packed copies of a stack's weights and of the linear head on top.

    Shapes: head is (weight float32 [D, R], bias [D]) or None, when the output is the top layer's h.
    backend: "fused" keeps products in registers, "blas" is the reference, "bfloat16" multiplies rounded values, where
    the processor can: faster, and about 1e-3 off. Sums, gates and states are float32 in each.
    Raises: ShapeError when they do not fit each other or are not finite; UsageError for an unknown backend or isa.
    """

    input_size: int
    """I."""
    output_size: int
    """D, or R without a head."""
    state_size: int
    num_layers: int
    isa: str
    backend: str
    def __init__(
        self,
        layers: Sequence[CellWeights],
        head: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
        *,
        backend: Literal["fused", "blas", "bfloat16"] = "fused",
        isa: str | None = None,
    ) -> None: ...
