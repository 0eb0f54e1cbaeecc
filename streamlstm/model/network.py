"""The network a bundle holds: LSTM layers and the linear head that runs on every sample.

    x_t [C] -> LSTM layer 1 .. L -> h_t [H] -> head -> [newest reconstruction of x_t | forecast of x_t+1 .. x_t+p]

Only those C * (1 + p) outputs run per sample; the long reconstruction of the last k samples exists in training alone
(it forces the state to remember a window, which lifts the forecast).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import ShapeError

__all__ = ["Architecture", "LayerWeights", "Network"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of a network.

    C = channels, H = hidden, L = layers, p = forecast, k = reconstruct (training only).
    """

    channels: int
    hidden: int = 32
    layers: int = 1
    forecast: int = 16
    reconstruct: int = 128
    cell: str = "lstm"

    @property
    def head_outputs(self) -> int:
        """Outputs of the head that runs per sample: C * (1 + p)."""
        return self.channels * (1 + self.forecast)


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """Weights of one LSTM layer, in PyTorch's orientation; gate order i, f, g, o.

    Shapes: w_ih [4H, I], w_hh [4H, H], bias [4H] (the sum of PyTorch's two), float32, C order.
    """

    w_ih: NDArray[np.float32]
    w_hh: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Network:
    """Architecture and weights.

    Shapes: head_weight [C * (1 + p), H], head_bias [C * (1 + p)]; rows: C of the newest reconstruction, then C for each
    horizon 1 .. p.
    """

    architecture: Architecture
    layers: tuple[LayerWeights, ...]
    head_weight: NDArray[np.float32]
    head_bias: NDArray[np.float32]

    def __post_init__(self) -> None:
        a = self.architecture
        expected: list[tuple[str, tuple[int, ...], NDArray[np.float32]]] = []
        for index, layer in enumerate(self.layers):
            inputs = a.channels if index == 0 else a.hidden
            expected += [
                (f"layers[{index}].w_ih", (4 * a.hidden, inputs), layer.w_ih),
                (f"layers[{index}].w_hh", (4 * a.hidden, a.hidden), layer.w_hh),
                (f"layers[{index}].bias", (4 * a.hidden,), layer.bias),
            ]
        expected += [
            ("head_weight", (a.head_outputs, a.hidden), self.head_weight),
            ("head_bias", (a.head_outputs,), self.head_bias),
        ]
        if len(self.layers) != a.layers:
            raise ShapeError(f"expected {a.layers} layers, got {len(self.layers)}")
        for name, shape, array in expected:
            if array.shape != shape or array.dtype != np.float32:
                raise ShapeError(f"{name}: expected float32 {list(shape)}, got {array.dtype} {list(array.shape)}")
