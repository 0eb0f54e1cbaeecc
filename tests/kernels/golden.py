"""The golden files as stacks of CellWeights: what each framework's layout and gate order mean in ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import CellKind, CellWeights

FOLDER = Path(__file__).parents[1] / "data" / "golden"
TORCH = [
    "torch_lstm_1x1",
    "torch_lstm_3x13",
    "torch_lstm_8x64x2",
    "torch_lstm_38x100x3",
    "torch_lstm_proj_6x20_7",
    "torch_gru_5x19x2",
    "torch_rnn_tanh_4x9x2",
]
OTHERS = ["onnx_lstm_peephole", "onnx_gru_reset_before", "keras_lstm", "keras_gru"]

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Golden:
    """A stack and what it made of x. Shapes: x [T, B, I]; state, final [B, state_size]; y [T, B, R]."""

    layers: tuple[CellWeights, ...]
    x: Array
    state: Array
    y: Array
    final: Array | None
    data: dict[str, Array]


def load(name: str) -> Golden:
    with np.load(FOLDER / f"{name}.npz") as file:
        data = dict(file)
    return {"torch": _torch, "onnx": _onnx, "keras": _keras}[name.split("_")[0]](name, data)


def time_major(array: Array) -> Array:
    return np.ascontiguousarray(array.swapaxes(0, 1))


def rows_of_state(hidden: Array, cell: Array | None) -> Array:
    """[L, B, .] of h and c to [B, state_size]."""
    parts = hidden if cell is None else [part for pair in zip(hidden, cell, strict=True) for part in pair]
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def reorder(array: Array, order: list[int], units: int) -> Array:
    """Blocks of `units` rows in another order: the k-th block is what was block order[k]."""
    return np.ascontiguousarray(np.concatenate([array[k * units : (k + 1) * units] for k in order]))


def _torch(name: str, data: dict[str, Array]) -> Golden:
    kind = CellKind(name.split("_")[1])
    layers = []
    for n in range(len(data["h0"])):
        w_ih, w_hh, of_input, of_hidden = (
            data[f"w.{part}_l{n}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        bias, bias_hn = of_input + of_hidden, None
        if kind is CellKind.GRU:
            first = 2 * len(bias) // 3
            bias[first:], bias_hn = of_input[first:], of_hidden[first:].copy()
        layers.append(CellWeights(kind, w_ih, w_hh, bias, bias_hn, w_hr=data.get(f"w.weight_hr_l{n}")))
    state, final = (rows_of_state(data[h], data.get(c)) for h, c in (("h0", "c0"), ("hn", "cn")))
    return Golden(tuple(layers), time_major(data["x"]), state, time_major(data["y"]), final, data)


def _onnx(name: str, data: dict[str, Array]) -> Golden:
    w_ih, w_hh, bias = data["W"][0], data["R"][0], data["Bias"][0]
    units = w_hh.shape[1]
    bias = bias[: len(bias) // 2] + bias[len(bias) // 2 :]
    if name == "onnx_lstm_peephole":  # gates i, o, f, c; peepholes i, o, f
        w_ih, w_hh, bias = (reorder(array, [0, 2, 3, 1], units) for array in (w_ih, w_hh, bias))
        peephole = np.ascontiguousarray(data["P"].reshape(3, units)[[0, 2, 1]])
        layer = CellWeights(CellKind.PEEPHOLE, w_ih, w_hh, bias, peephole=peephole)
    else:  # gates z, r, h
        w_ih, w_hh, bias = (reorder(array, [1, 0, 2], units) for array in (w_ih, w_hh, bias))
        layer = CellWeights(CellKind.GRU_RESET_BEFORE, w_ih, w_hh, bias)
    state, final = (rows_of_state(data[h], data.get(c)) for h, c in (("h0", "c0"), ("hn", "cn")))
    return Golden((layer,), data["x"], state, np.ascontiguousarray(data["y"][:, 0]), final, data)


def _keras(name: str, data: dict[str, Array]) -> Golden:
    """y is that of the Dense layer behind: y W + b with w3, w4."""
    w_ih, w_hh, bias = data["w0"].T, data["w1"].T, data["w2"]
    units = w_hh.shape[1]
    if name == "keras_lstm":  # gates i, f, c, o
        arrays = [np.ascontiguousarray(array) for array in (w_ih, w_hh, bias)]
        layer = CellWeights(CellKind.LSTM, *arrays)
    else:  # gates z, r, h; two biases, the second inside the reset gate's product
        w_ih, w_hh, of_input, of_hidden = (reorder(array, [1, 0, 2], units) for array in (w_ih, w_hh, *bias))
        first = 2 * units
        both = np.concatenate([of_input[:first] + of_hidden[:first], of_input[first:]])
        layer = CellWeights(CellKind.GRU, w_ih, w_hh, both, of_hidden[first:].copy())
    state = np.zeros((len(data["x"]), layer.state_size), np.float32)
    return Golden((layer,), time_major(data["x"]), state, time_major(data["y"]), None, data)
