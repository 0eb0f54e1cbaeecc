"""Bytes of a stored tensor to float32, and the tensors of a safetensors file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors
from numpy.typing import NDArray

from streamlstm.errors import BundleError

__all__ = ["FLOATS", "decode_floats", "read_file", "read_safetensors"]

FLOATS = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": "u2"}
"""Types that weights come in, by their names in safetensors, and how their bytes are read."""


def decode_floats(data: bytes, kind: str, *, byte_order: str = "<") -> NDArray[np.float32]:
    """Return stored floats as float32 [N]; a bfloat16 is the upper half of a float32."""
    stored = np.frombuffer(data, byte_order + FLOATS[kind])
    if kind == "BF16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # an infinite weight is refused where the layers are made
        return stored.astype(np.float32)


def read_file(path: str) -> bytes:
    """Read a whole file. Raises: BundleError when that cannot be done."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error


def read_safetensors(path: str) -> dict[str, NDArray[np.float32]]:
    """Return the tensors by name.

    Raises: BundleError when the file is missing, truncated, a bundle of this package or not of floats.
    """
    content = read_file(path)
    try:
        stored = safetensors.deserialize(content)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise BundleError(
            f"{path}: expected a whole safetensors file, got a truncated or foreign one ({error})"
        ) from error
    tensors = {}
    for name, parts in sorted(stored, key=lambda one: one[0]):
        if name.startswith("calibration."):
            raise BundleError(f"{path}: is a streamlstm bundle already; there is nothing to import")
        if parts["dtype"] not in FLOATS:
            raise BundleError(f"{path}: {name}: expected floats ({', '.join(FLOATS)}), got {parts['dtype']}")
        tensors[name] = decode_floats(bytes(parts["data"]), parts["dtype"]).reshape(parts["shape"])
    return tensors
