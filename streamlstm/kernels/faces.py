"""What every kernel's face checks before any state changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from streamlstm.errors import ShapeError

__all__ = ["check_array"]


def check_array(name: str, array: Any, dtype: Any, shape: tuple[int | None, ...]) -> None:
    """Raise ShapeError unless `array` has this dtype and shape (None = any size) and is C-contiguous."""
    expected = f"{np.dtype(dtype)} [{', '.join('any' if size is None else str(size) for size in shape)}] in C order"
    if not isinstance(array, np.ndarray):
        raise ShapeError(f"{name}: expected an array {expected}, got {type(array).__name__}")
    if (
        array.dtype != dtype
        or array.ndim != len(shape)
        or any(want is not None and want != got for want, got in zip(shape, array.shape, strict=True))
        or not array.flags.c_contiguous
    ):
        order = "" if array.flags.c_contiguous else ", not in C order"
        raise ShapeError(f"{name}: expected {expected}, got {array.dtype} {list(array.shape)}{order}")
