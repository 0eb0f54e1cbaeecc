"""The network a bundle holds: recurrent layers and the linear head that runs on every sample.

    x_t [C] -> layer 1 .. L -> h_t [R] -> head -> [newest reconstruction of x_t | forecast of x_t+1 .. x_t+p]

Only those C * (1 + p) outputs run per sample; the long reconstruction of the last k samples exists in training alone
(it forces the state to remember a window, which lifts the forecast).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels import CellKind, CellWeights, check_stack
from streamlstm.kernels.checks import MAX_LAYERS
from streamlstm.model.display import counted

__all__ = ["Architecture", "Network"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of a network.

    C = channels, H = hidden, L = layers, p = forecast, k = reconstruct (training only). `cells` names the cell of each
    layer, the first one the lowest; with a projection the LSTM kinds among them give out that many values, not H.
    With `mask_inputs` the lowest layer has 2 C inputs: the values, then 1 for each that was observed and 0 for each
    that was missing.
    Raises: ShapeError when a cell is unknown, or the projection does not fit the cells.
    """

    channels: int
    hidden: int = 32
    cells: tuple[str, ...] = ("lstm",)
    forecast: int = 16
    reconstruct: int = 128
    projection: int = 0
    mask_inputs: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", tuple(self.cells))
        if not 1 <= len(self.cells) <= MAX_LAYERS:
            raise ShapeError(f"cells: expected 1 to {MAX_LAYERS}, one a layer, got {len(self.cells)}")
        for cell in self.cells:
            if cell not in list(CellKind):
                raise ShapeError(f"cells: expected {', '.join(CellKind)}, got {cell!r}")
        if not 0 <= self.projection < self.hidden:
            raise ShapeError(
                f"projection: expected 0 to {self.hidden - 1}, below the hidden units, got {self.projection}"
            )
        if self.projection and not any(CellKind(cell).has_cell for cell in self.cells):
            raise ShapeError(f"projection: expected an LSTM layer to project, got {', '.join(self.cells)}")

    @property
    def summary(self) -> str:
        """The network in a line: `lstm, 1 layer of 32 units, forecast 16 samples`."""
        projected = f" projected to {self.projection}" if self.projection else ""
        layers = counted(self.layers, "layer")
        forecast = counted(self.forecast, "sample")
        return f"{', '.join(self.cells)}, {layers} of {self.hidden} units{projected}, forecast {forecast}"

    @property
    def layers(self) -> int:
        """L."""
        return len(self.cells)

    @property
    def outputs(self) -> tuple[int, ...]:
        """R by layer: what it gives to the one above, the last one to the head."""
        has_cell = (CellKind(cell).has_cell for cell in self.cells)
        return tuple(self.projection if is_lstm and self.projection else self.hidden for is_lstm in has_cell)

    @property
    def inputs(self) -> tuple[int, ...]:
        """I by layer."""
        return (self.channels * (2 if self.mask_inputs else 1), *self.outputs[:-1])

    @property
    def head_outputs(self) -> int:
        """Outputs of the head that runs per sample: C * (1 + p)."""
        return self.channels * (1 + self.forecast)


@dataclass(frozen=True, slots=True)
class Network:
    """Architecture and weights.

    Shapes: head_weight [C * (1 + p), R], head_bias [C * (1 + p)]; rows: C of the newest reconstruction, then C for each
    horizon 1 .. p.
    """

    architecture: Architecture
    layers: tuple[CellWeights, ...]
    head_weight: NDArray[np.float32]
    head_bias: NDArray[np.float32]

    def __post_init__(self) -> None:
        a = self.architecture
        if len(self.layers) != a.layers:
            raise ShapeError(f"expected {a.layers} layers, got {len(self.layers)}")
        check_stack(self.layers)
        wanted = zip(a.cells, a.inputs, a.outputs, strict=True)
        for index, (layer, (cell, inputs, outputs)) in enumerate(zip(self.layers, wanted, strict=True)):
            sizes = (cell, inputs, a.hidden, outputs)
            came = (layer.kind.value, layer.input_size, layer.hidden_size, layer.output_size)
            if came != sizes:
                raise ShapeError(
                    f"layers[{index}]: expected {_described(*sizes)}, got {_described(*came)}, of another architecture"
                )
        for name, shape, array in (
            ("head_weight", (a.head_outputs, a.outputs[-1]), self.head_weight),
            ("head_bias", (a.head_outputs,), self.head_bias),
        ):
            if array.shape != shape or array.dtype != np.float32:
                raise ShapeError(f"{name}: expected float32 {list(shape)}, got {array.dtype} {list(array.shape)}")


def _described(cell: str, inputs: int, hidden: int, outputs: int) -> str:
    return f"{cell} of {inputs} inputs, {hidden} hidden units and {outputs} outputs"
