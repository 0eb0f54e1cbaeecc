"""Orders of gates. Letters: i, f, o gates and c candidate of an LSTM; r, z gates and h candidate of a GRU.

PyTorch, this package   ifco   rzh   peepholes ifo
Keras                   ifco   zrh
ONNX                    iofc   zrh   peepholes iof
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import CellKind

__all__ = ["Framework", "gate_order", "reorder"]

Framework: TypeAlias = Literal["pytorch", "keras", "onnx"]

_LSTM: dict[Framework, str] = {"pytorch": "ifco", "keras": "ifco", "onnx": "iofc"}
_GRU: dict[Framework, str] = {"pytorch": "rzh", "keras": "zrh", "onnx": "zrh"}


def gate_order(framework: Framework, kind: CellKind) -> str:
    """Return the letters of the gates as the framework stacks them; this package's order is PyTorch's."""
    if kind is CellKind.RNN:
        return "h"
    return (_LSTM if kind.has_cell else _GRU)[framework]


def reorder(array: NDArray[np.float32], came: str, wanted: str) -> NDArray[np.float32]:
    """Return the blocks of rows, one a letter of `came`, as `wanted` orders them; a copy in C order."""
    blocks = dict(zip(came, np.split(array, len(came)), strict=True))
    return np.ascontiguousarray(np.concatenate([blocks[letter] for letter in wanted]))
