"""PyTorch's names for weights: read from a dictionary of tensors, and written as safetensors.

    weight_ih_l0 [G*H, I]   weight_hh_l0 [G*H, R]   bias_ih_l0, bias_hh_l0 [G*H]   weight_hr_l0 [P, H]

Gates i, f, g, o or r, z, n, as here. Both biases are added, but for the GRU's n, whose bias_hh stands inside the reset
gate's product. A plain RNN is taken to be of tanh: the names do not tell it from one of relu.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as encode_tensors

from streamlstm.errors import BundleError, ShapeError, UsageError
from streamlstm.kernels import CellKind, CellWeights
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.whole_file import replace_file
from streamlstm.model.interchange.biases import join_biases, split_biases
from streamlstm.model.interchange.foreign import FileContent, Linear
from streamlstm.model.standardizer import Standardizer

__all__ = ["content_of_tensors", "write_pytorch"]

_RECURRENT = re.compile(r"(?:(.*)\.)?(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)_l(\d+)(_reverse)?")
_KINDS = {4: CellKind.LSTM, 3: CellKind.GRU, 1: CellKind.RNN}
_MODULES = {CellKind.LSTM: "lstm", CellKind.GRU: "gru", CellKind.RNN: "rnn"}
_MEAN, _SCALE = "standardizer.mean", "standardizer.scale"

_Array = NDArray[np.float32]


def content_of_tensors(path: str, tensors: Mapping[str, _Array]) -> FileContent:
    """Return the recurrent modules, linear layers and standardizer that tensors of these names are.

    Raises: BundleError for names of other layers, a bidirectional module, and shapes that do not fit each other.
    """
    parts: dict[str, dict[int, dict[str, _Array]]] = {}
    rest = {}
    for name, tensor in tensors.items():
        match = _RECURRENT.fullmatch(name)
        if match is None:
            rest[name] = tensor
        elif match[4]:
            raise BundleError(
                f"{path}: {name}: expected a causal module, got a bidirectional one, which needs later samples"
            )
        else:
            parts.setdefault(match[1] or "", {}).setdefault(int(match[3]), {})[match[2]] = tensor
    modules = {name: _module(path, name, layers) for name, layers in parts.items()}
    standardizer = _standardizer(path, rest.pop(_MEAN, None), rest.pop(_SCALE, None))
    return FileContent("PyTorch", modules, _linear(path, rest), standardizer)


def write_pytorch(bundle: ModelBundle, path: str | Path) -> None:
    """Write the network as safetensors with PyTorch's names.

    They are those of a module `lstm`, `gru` or `rnn`, a linear layer `head`, and two buffers, `standardizer.mean` and
    `standardizer.scale`.
    Raises: UsageError for a network that PyTorch's modules cannot compute; BundleError when it cannot be written.
    """
    network = bundle.network
    kinds = {layer.kind for layer in network.layers}
    kind = network.layers[0].kind
    if len(kinds) > 1 or kind not in _MODULES:
        cells = ", ".join(network.architecture.cells)
        raise UsageError(
            f"{bundle.label}: expected layers of one kind that PyTorch has (lstm, gru, rnn), got {cells}; "
            "export it to ONNX (FILE.onnx)"
        )
    tensors: dict[str, _Array] = {
        "head.weight": network.head_weight,
        "head.bias": network.head_bias,
        _MEAN: bundle.standardizer.mean,
        _SCALE: bundle.standardizer.scale,
    }
    for index, layer in enumerate(network.layers):
        of_input, of_hidden = split_biases(layer)
        named = {"weight_ih": layer.w_ih, "weight_hh": layer.w_hh, "bias_ih": of_input, "bias_hh": of_hidden}
        if layer.w_hr is not None:
            named["weight_hr"] = layer.w_hr
        tensors |= {f"{_MODULES[kind]}.{part}_l{index}": array for part, array in named.items()}
    content = encode_tensors({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})
    replace_file(Path(path), content)


def _module(path: str, name: str, layers: dict[int, dict[str, _Array]]) -> tuple[CellWeights, ...]:
    if sorted(layers) != list(range(len(layers))):
        raise BundleError(f"{path}: {name or 'module'}: expected layers from 0 on, got {sorted(layers)}")
    made = []
    for index in range(len(layers)):
        where = f"{path}: {name}{'.' if name else ''}*_l{index}"
        try:
            made.append(_layer(layers[index]))
        except (ShapeError, KeyError) as error:
            raise BundleError(
                f"{where}: expected weight_ih [G*H, I], weight_hh [G*H, H] and biases [G*H] of an LSTM, GRU or RNN, "
                f"got {_shapes(layers[index])} ({_reason(error)})"
            ) from error
    return tuple(made)


def _layer(parts: dict[str, _Array]) -> CellWeights:
    w_ih, w_hh, w_hr = parts["weight_ih"], parts["weight_hh"], parts.get("weight_hr")
    if w_ih.ndim != 2 or w_hh.ndim != 2:
        raise ShapeError("weights: expected matrices")
    rows, hidden = len(w_ih), w_hh.shape[1] if w_hr is None else w_hr.shape[-1]
    kind = _KINDS.get(rows // max(hidden, 1))
    if kind is None:
        raise ShapeError(f"weight_ih: expected 4, 3 or 1 times {hidden} rows, got {rows}")
    nothing = np.zeros(rows, np.float32)
    of_input, of_hidden = parts.get("bias_ih", nothing), parts.get("bias_hh", nothing)
    if of_input.shape != (rows,) or of_hidden.shape != (rows,):
        raise ShapeError(f"biases: expected [{rows}]")
    return CellWeights(kind, w_ih, w_hh, *join_biases(kind, of_input, of_hidden), w_hr=w_hr)


def _linear(path: str, tensors: Mapping[str, _Array]) -> dict[str, Linear]:
    linear: dict[str, Linear] = {}
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        weight = tensors.get(f"{module}.weight" if module else "weight")
        if part not in ("weight", "bias") or weight is None or weight.ndim != 2:
            raise BundleError(
                f"{path}: {name} {list(tensor.shape)}: expected names of PyTorch's LSTM, GRU or RNN (weight_ih_l0, "
                "...) and of linear layers (weight, bias), got another layer, which a bundle cannot hold; save the "
                "recurrent module alone"
            )
        bias = tensors.get(f"{module}.bias" if module else "bias", np.zeros(len(weight), np.float32))
        if bias.shape != (len(weight),):
            raise BundleError(f"{path}: {module}.bias: expected [{len(weight)}], got {list(bias.shape)}")
        linear[module] = (weight, bias)
    return linear


def _standardizer(path: str, mean: _Array | None, scale: _Array | None) -> Standardizer | None:
    if mean is None and scale is None:
        return None
    if mean is None or scale is None:
        raise BundleError(f"{path}: expected both {_MEAN} and {_SCALE}, got one of them")
    try:
        return Standardizer(mean, scale)
    except ShapeError as error:
        raise BundleError(f"{path}: standardizer: {error}") from error


def _shapes(parts: Mapping[str, _Array]) -> str:
    return ", ".join(f"{name} {list(array.shape)}" for name, array in sorted(parts.items()))


def _reason(error: Exception) -> str:
    return f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)
