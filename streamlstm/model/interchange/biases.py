"""Two biases a gate, one of the input's product and one of the state's, as PyTorch, Keras and ONNX hold them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import CellKind, CellWeights

__all__ = ["join_biases", "split_biases"]

_Array = NDArray[np.float32]


def join_biases(kind: CellKind, of_input: _Array, of_hidden: _Array) -> tuple[_Array, _Array | None]:
    """Return the bias [G*H] and, of the kind `gru`, bias_hn [H], which stands inside the reset gate's product.

    Shapes: of_input, of_hidden [G*H], gates in this package's order.
    """
    if kind is not CellKind.GRU:
        return of_input + of_hidden, None
    inner = 2 * len(of_input) // 3
    return np.concatenate([of_input[:inner] + of_hidden[:inner], of_input[inner:]]), of_hidden[inner:].copy()


def split_biases(layer: CellWeights) -> tuple[_Array, _Array]:
    """Return of_input, of_hidden [G*H] that join to the layer's own, bit for bit; the second mostly zero."""
    of_hidden = np.zeros_like(layer.bias)
    if layer.bias_hn is not None:
        of_hidden[2 * layer.hidden_size :] = layer.bias_hn
    return layer.bias, of_hidden
