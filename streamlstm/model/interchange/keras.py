"""Keras 3: `.weights.h5` holds arrays alone, `.keras` is a zip with them and config.json.

    LSTM       kernel [I, 4H], recurrent_kernel [H, 4H], bias [4H]           gates i, f, c, o
    GRU        kernel [I, 3H], recurrent_kernel [H, 3H], bias [2, 3H]        gates z, r, h; reset after the product
                                                   or bias [3H]              reset before it
    SimpleRNN  kernel [I, H], recurrent_kernel [H, H], bias [H]
    Dense      kernel [R, D], bias [D]

`.weights.h5` does not name activations, nor layers without weights between the others: they are taken to be the usual
ones, and none. `.keras` does, and what a bundle cannot compute is refused.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import BundleError, ShapeError, UsageError
from streamlstm.kernels import CellKind, CellWeights
from streamlstm.model.interchange.biases import join_biases
from streamlstm.model.interchange.foreign import FileContent, Linear
from streamlstm.model.interchange.gates import gate_order, reorder
from streamlstm.model.interchange.keras_config import read_config
from streamlstm.model.interchange.size_limit import Expansion
from streamlstm.model.interchange.stored_tensors import read_file

__all__ = ["read_keras", "read_keras_weights"]

_Arrays = dict[int, NDArray[np.float32]]
_CLASSES = {"lstm": 4, "gru": 3, "simple_rnn": 1}
_VARIABLE = re.compile(r"layers/([^/]+)/(?:(.+)/)?vars/(\d+)")
_NUMBERED = re.compile(r"(.+?)(?:_(\d+))?")


def read_keras_weights(path: str) -> FileContent:
    """Read a `.weights.h5` file. Raises: BundleError; UsageError without h5py."""
    return _content(path, read_file(path), reset_after={}, order=None)


def read_keras(path: str) -> FileContent:
    """Read a `.keras` file. Raises: BundleError; UsageError without h5py."""
    try:
        with zipfile.ZipFile(io.BytesIO(read_file(path))) as archive:
            expansion = Expansion(path)
            config, weights = (expansion.read(archive, name) for name in ("config.json", "model.weights.h5"))
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
        raise BundleError(
            f"{path}: expected a zip archive with config.json and model.weights.h5, as Keras 3 saves it, got another "
            f"file or a part of one ({error})"
        ) from error
    order, reset_after = read_config(path, config)
    return _content(path, weights, reset_after=reset_after, order=order)


def _content(
    path: str, weights: bytes, *, reset_after: Mapping[str, bool], order: tuple[str, ...] | None
) -> FileContent:
    """`order` names the groups of layers with weights as they stand on each other; None: the file does not say."""
    cells: dict[str, _Arrays] = {}
    dense: dict[str, _Arrays] = {}
    for name, array in _datasets(path, weights).items():
        match = _VARIABLE.fullmatch(name)
        layer, inner = (match[1], match[2]) if match else ("", None)
        kind = _NUMBERED.fullmatch(layer)
        class_name = kind[1] if kind else ""
        if class_name == "bidirectional":
            raise BundleError(
                f"{path}: {name}: expected causal layers, got a bidirectional one, which needs later samples"
            )
        is_dense = (class_name, inner) in (("dense", None), ("time_distributed", "layer"))
        if match is None or not (is_dense or (class_name in _CLASSES and inner == "cell")):
            raise BundleError(
                f"{path}: {name} {list(array.shape)}: expected LSTM, GRU, SimpleRNN and Dense layers of Keras 3, got "
                "another one, which a bundle cannot hold; save the recurrent layers alone"
            )
        (dense if is_dense else cells).setdefault(layer, {})[int(match[3])] = array
    names = [name for name in order if name in cells] if order else sorted(cells, key=_numbered)
    if order and len(names) != len(cells):
        raise BundleError(f"{path}: config.json and the weights do not name the same layers ({', '.join(cells)})")
    modules = {name: (_cell(path, name, cells[name], reset_after.get(name)),) for name in names}
    is_ordered = order is not None or len({_numbered(name)[0] for name in cells}) == 1
    return FileContent("Keras", modules, {n: _dense(path, n, a) for n, a in dense.items()}, is_ordered=is_ordered)


def _datasets(path: str, content: bytes) -> dict[str, NDArray[np.float32]]:
    try:
        import h5py  # an extra
    except ImportError as error:
        raise UsageError(f'{path}: needs h5py to be read: pip install "streamlstm[keras]"') from error
    found: dict[str, NDArray[np.float32]] = {}
    expansion = Expansion(path)

    def keep(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if item.dtype.kind != "f" or item.external is not None or item.is_virtual:
            raise BundleError(f"{path}: {name}: expected floats in the file itself, got {item.dtype}")
        expansion.take(item.size * (item.dtype.itemsize + 4), name)  # as they are stored, and as float32
        found[name] = np.asarray(item[()], np.float32)

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            if "layers" not in file:
                found_groups = ", ".join(file) or "none"
                raise BundleError(
                    f"{path}: expected the weights of a Keras 3 model (a group `layers`), got {found_groups}; "
                    "load it with Keras 3 and save it as .keras or .weights.h5"
                )
            file.visititems(keep)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise BundleError(f"{path}: expected a whole HDF5 file, got a truncated or foreign one ({error})") from error
    return found


def _numbered(name: str) -> tuple[str, int]:
    """`lstm`, `lstm_1`, `lstm_2`, ... in the order in which the model holds them."""
    match = _NUMBERED.fullmatch(name)
    return (match[1], int(match[2] or 0)) if match else (name, 0)


def _cell(path: str, name: str, arrays: _Arrays, reset_after: bool | None) -> CellWeights:
    try:
        return _weights(_CLASSES[_numbered(name)[0]], arrays, reset_after)
    except (ShapeError, KeyError) as error:
        shapes = ", ".join(str(list(array.shape)) for _, array in sorted(arrays.items()))
        raise BundleError(
            f"{path}: {name}: expected kernel [I, G*H], recurrent_kernel [H, G*H] and bias, got {shapes} ({error})"
        ) from error


def _weights(gates: int, arrays: _Arrays, reset_after: bool | None) -> CellWeights:
    kernel, recurrent, bias = arrays[0], arrays[1], arrays.get(2)
    if kernel.ndim != 2 or recurrent.ndim != 2 or recurrent.shape[1] != gates * recurrent.shape[0]:
        raise ShapeError(f"recurrent_kernel: expected [H, {gates} * H]")
    if kernel.shape[1] != recurrent.shape[1]:
        raise ShapeError(f"kernel: expected {recurrent.shape[1]} columns")
    rows = recurrent.shape[1]
    if gates != 3:
        kind = CellKind.LSTM if gates == 4 else CellKind.RNN
        given = np.zeros(rows, np.float32) if bias is None else bias
        return CellWeights(kind, *(np.ascontiguousarray(array) for array in (kernel.T, recurrent.T, given)))
    if bias is None and reset_after is None:
        raise ShapeError("a GRU without bias does not say when it resets; save it as .keras")
    is_after = bias is not None and bias.ndim == 2 if reset_after is None else reset_after
    shape = (2, rows) if is_after else (rows,)
    given = np.zeros(shape, np.float32) if bias is None else bias
    if given.shape != shape:
        raise ShapeError(f"bias: expected {list(shape)}")
    kind = CellKind.GRU if is_after else CellKind.GRU_RESET_BEFORE
    came, wanted = gate_order("keras", kind), gate_order("pytorch", kind)
    w_ih, w_hh = reorder(kernel.T, came, wanted), reorder(recurrent.T, came, wanted)
    if not is_after:
        return CellWeights(kind, w_ih, w_hh, reorder(given, came, wanted))
    of_input, of_hidden = (reorder(row, came, wanted) for row in given)
    return CellWeights(kind, w_ih, w_hh, *join_biases(kind, of_input, of_hidden))


def _dense(path: str, name: str, arrays: _Arrays) -> Linear:
    kernel = arrays.get(0)
    if kernel is None or kernel.ndim != 2:
        raise BundleError(f"{path}: {name}: expected a kernel [R, D], got {'none' if kernel is None else kernel.shape}")
    bias = arrays.get(1, np.zeros(kernel.shape[1], np.float32))
    if bias.shape != kernel.shape[1:]:
        raise BundleError(f"{path}: {name}: bias: expected [{kernel.shape[1]}], got {list(bias.shape)}")
    return np.ascontiguousarray(kernel.T), bias
