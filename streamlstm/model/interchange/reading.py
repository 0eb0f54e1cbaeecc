"""`read_layers`: recurrent layers of any file that is understood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from streamlstm.errors import UsageError
from streamlstm.model.interchange.foreign import FileContent, ForeignNetwork, select
from streamlstm.model.interchange.keras import read_keras, read_keras_weights
from streamlstm.model.interchange.onnx_nodes import read_onnx
from streamlstm.model.interchange.pytorch import content_of_tensors
from streamlstm.model.interchange.stored_tensors import read_safetensors
from streamlstm.model.interchange.torch_archive import read_torch

__all__ = ["read_layers"]

_READERS: dict[str, Callable[[str], FileContent]] = {
    ".safetensors": lambda path: content_of_tensors(path, read_safetensors(path)),
    ".pt": lambda path: content_of_tensors(path, read_torch(path)),
    ".pth": lambda path: content_of_tensors(path, read_torch(path)),
    ".h5": read_keras_weights,
    ".keras": read_keras,
    ".onnx": read_onnx,
}


def read_layers(path: str | Path, *, modules: Sequence[str] = (), head: str | None = None) -> ForeignNetwork:
    """Read recurrent layers that PyTorch, Keras or ONNX wrote; what the file is follows from its suffix.

    `modules` names the recurrent modules, the lowest first, where the file does not say how they are stacked; `head`
    the linear layer on top, the only one by default.
    Raises: BundleError when the file is missing, damaged or of what a bundle cannot compute; UsageError for an unknown
    suffix or name, and when the package that reads it is not installed.
    """
    read = _READERS.get(Path(path).suffix.lower())
    if read is None:
        raise UsageError(
            f"{path}: expected a file of weights ({', '.join(_READERS)}), got {Path(path).suffix or 'no suffix'}"
        )
    return select(str(path), read(str(path)), modules=modules, head=head)
