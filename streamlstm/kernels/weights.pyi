"""Weights of a stack of LSTM layers, packed for the kernels; immutable."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

class LstmWeights:
    """Copies of the weights of L layers. Gate order i, f, g, o.

    Shapes: layers is a sequence of (w_ih float32 [4H, I], w_hh [4H, H], bias [4H]); above the first layer I = H.
    Raises: ShapeError when they do not fit each other or are not finite.
    """

    input_size: int
    hidden_size: int
    num_layers: int
    def __init__(
        self, layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]
    ) -> None: ...
