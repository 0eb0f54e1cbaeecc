"""What every kernel's face checks before any state changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from streamlstm.errors import ShapeError

__all__ = ["check_array"]


def check_array(name: str, array: Any, dtype: Any, shape: tuple[int | None, ...]) -> None:
    """Raise ShapeError unless `array` has this dtype and shape (None = any size) and is C-contiguous."""
    if not isinstance(array, np.ndarray):
        raise ShapeError(f"{name}: expected an array {_described(dtype, shape)}, got {type(array).__name__}")
    if array.dtype == dtype and array.ndim == len(shape) and array.flags.c_contiguous:
        for want, got in zip(shape, array.shape, strict=True):
            if want is not None and want != got:
                break
        else:
            return
    order = "" if array.flags.c_contiguous else ", not in C order"
    raise ShapeError(f"{name}: expected {_described(dtype, shape)}, got {array.dtype} {list(array.shape)}{order}")


def _described(dtype: Any, shape: tuple[int | None, ...]) -> str:
    """Say in words what an array was to be; only on failure, for a check must cost less than a step."""
    return f"{np.dtype(dtype)} [{', '.join('any' if size is None else str(size) for size in shape)}] in C order"
