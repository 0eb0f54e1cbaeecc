"""What training passes between `unroll`, `backward` and its caller: masks, traces, gradients, and memory used again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels.cells import CellKind

__all__ = ["CellGradients", "Gradients", "LayerMasks", "LayerTrace", "Trace", "TrainingScratch"]

_Array: TypeAlias = NDArray[np.float32]

_ALIGNMENT_BYTES = 64  # a line of the cache: vectors that lie across two of them cost twice


class TrainingScratch:
    """Memory that one update after the other may use: new arrays would be cleared page by page by the system each time.

    State: a trace, with its y, lies in the scratch it was made with, and is good until the next `unroll` with it.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._arrays: dict[str, _Array] = {}

    def allocate(self, name: str, shape: tuple[int, ...]) -> _Array:
        """Return the array of this name, its values whatever they were; a new one when the shape is another."""
        array = self._arrays.get(name)
        if array is None or array.shape != shape:
            size = math.prod(shape)
            buffer = np.empty(size + _ALIGNMENT_BYTES // 4, np.float32)
            begin = -buffer.ctypes.data % _ALIGNMENT_BYTES // 4
            array = self._arrays[name] = buffer[begin : begin + size].reshape(shape)
        return array


@dataclass(frozen=True, slots=True)
class LayerMasks:
    """Dropout of one layer, values 0 or 1 / (1 - p); None drops nothing.

    inputs [T, B, I] multiplies the layer's input. recurrent [B, R], the same at every step, multiplies h_(t-1) where it
    goes into a product with w_hh: W (m h). What goes past the gates is not masked: neither f c_(t-1) nor, of the GRU
    kinds, z h_(t-1). In gru_reset_before the reset gate scales what is masked: U_n (r m h).
    Source: Gal & Ghahramani, A Theoretically Grounded Application of Dropout in Recurrent Neural Networks (2016).
    """

    inputs: _Array | None = None
    recurrent: _Array | None = None


@dataclass(frozen=True, slots=True)
class LayerTrace:
    """What `backward` needs of one layer; None is what its cell has not.

    Units stand in blocks of W, the vector width of the level of the instruction set that runs.
    """

    kind: CellKind
    masks: LayerMasks
    inputs: _Array
    """[T, B, I], masked."""
    gates: _Array | None
    """Activated: [T, blocks, B, 4, W], i, f, g, o of the LSTM kinds, and of gru n, r, z and what r scales;
    [T, blocks, B, 3, W], of gru_reset_before n, r, z. Of rnn h is all."""
    hidden: _Array
    """h_(-1) .. h_(T-1): [T + 1, B, R]."""
    cell: _Array | None
    """c_(-1) .. c_(T-1): [T + 1, blocks, B, W]."""
    reset: _Array | None
    """[T, B, R]: of gru_reset_before what the reset gate has scaled."""
    fed: _Array | None
    """[T, B, R]: h_(-1) .. h_(T-2) times the recurrent mask, where there is one."""
    unprojected: _Array | None
    """[T, B, blocks * W]: o tanh(c), where there is a projection."""


@dataclass(frozen=True, slots=True)
class Trace:
    """y [T, B, R] of the top layer; state [B, state_size] at the end, by layer h, then c; and, by layer, the rest."""

    y: _Array
    state: _Array
    layers: tuple[LayerTrace, ...]
    scratch: TrainingScratch
    generation: int
    """Of the scratch, when this trace was made."""


@dataclass(frozen=True, slots=True)
class CellGradients:
    """Gradients of the fields of CellWeights, shaped as they are; None where the cell has none."""

    w_ih: _Array
    w_hh: _Array
    bias: _Array
    bias_hn: _Array | None
    peephole: _Array | None
    w_hr: _Array | None


@dataclass(frozen=True, slots=True)
class Gradients:
    """layers: one CellGradients a layer; d_x [T, B, I], empty if not wanted; d_state [B, state_size], of the first."""

    layers: tuple[CellGradients, ...]
    d_x: _Array
    d_state: _Array
