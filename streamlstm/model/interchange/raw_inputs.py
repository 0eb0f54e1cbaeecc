"""A network that was trained on values in the channels' own units, as one on standardised values.

    W x + b = W (s z + m) + b = (W s) z + (b + W m)          z = (x - m) / s
    z' = (A h + a - m) / s   = (A / s) h + (a - m) / s       for each horizon of the head

The function is the same; limits and floors that count in standard deviations then mean what they say.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streamlstm.kernels import CellWeights
from streamlstm.model.interchange.foreign import Linear
from streamlstm.model.standardizer import Standardizer

__all__ = ["take_standardized", "tell_standardized"]


def take_standardized(lowest: CellWeights, standardizer: Standardizer) -> CellWeights:
    """Return the lowest layer as one whose inputs are standardised."""
    weight, mean = lowest.w_ih.astype(np.float64), standardizer.mean.astype(np.float64)
    return replace(
        lowest,
        w_ih=(weight * standardizer.scale).astype(np.float32),
        bias=(lowest.bias + weight @ mean).astype(np.float32),
    )


def tell_standardized(head: Linear, standardizer: Standardizer) -> Linear:
    """Return the head as one whose outputs are standardised. Shapes: weight [n * C, R], bias [n * C]."""
    weight, bias = (array.astype(np.float64) for array in head)
    times = len(bias) // len(standardizer.mean)
    mean, scale = np.tile(standardizer.mean, times), np.tile(standardizer.scale, times)
    return (weight / scale[:, None]).astype(np.float32), ((bias - mean) / scale).astype(np.float32)
