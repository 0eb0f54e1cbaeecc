"""One update of AdamW over an array, in one pass."""

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.float32]

def adamw_update(
    parameter: _Array,
    gradient: _Array,
    first: _Array,
    second: _Array,
    *,
    beta1: float,
    beta2: float,
    decay: float,
    rate: float,
    correction: float,
    eps: float,
) -> None:
    """Update a parameter and its moments in place.

    Shapes: all four float32 of one shape. m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2, then
    w = decay w - rate m / (correction sqrt(v) + eps).
    Raises: ShapeError before anything changes.
    """
