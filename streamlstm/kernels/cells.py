"""One recurrent layer's weights, and the cells there are. A stack is a sequence of them; kinds and sizes may differ.

With a = sigmoid, x_t [I] the layer's input, h_t [R] its output (R = P with a projection, otherwise H):

    lstm              i, f, o = a(W x_t + W h_(t-1) + b)   g = tanh(..)   c_t = f c_(t-1) + i g   h_t = o tanh(c_t)
    peephole          the same, with p_i c_(t-1), p_f c_(t-1) and p_o c_t added inside the gates i, f and o
    gru               r, z = a(..)   n = tanh(W_n x_t + b_n + r (U_n h_(t-1) + b_hn))   h_t = (1 - z) n + z h_(t-1)
    gru_reset_before  r, z = a(..)   n = tanh(W_n x_t + b_n + U_n (r h_(t-1)))          h_t = (1 - z) n + z h_(t-1)
    rnn               h_t = tanh(W x_t + U h_(t-1) + b)

The LSTM kinds may project: h_t = W_hr (o tanh(c_t)), of size P.

Sources: Hochreiter and Schmidhuber 1997, Gers et al. 2000 (LSTM); Gers et al. 2002 (peepholes); Sak et al. 2014
(projection); Cho et al. 2014 (GRU, reset before the product); cuDNN and PyTorch (reset after it); Elman 1990.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels.checks import MAX_LAYERS
from streamlstm.kernels.faces import check_array

__all__ = ["CELL_FIELDS", "CellKind", "CellWeights", "check_stack", "state_size"]

CELL_FIELDS = ("w_ih", "w_hh", "bias", "bias_hn", "peephole", "w_hr")
"""The arrays of a CellWeights, and of its gradients; None where the cell has none."""


class CellKind(StrEnum):
    """The recurrent cells."""

    LSTM = "lstm"
    PEEPHOLE = "peephole"
    GRU = "gru"
    GRU_RESET_BEFORE = "gru_reset_before"
    RNN = "rnn"

    @property
    def gates(self) -> int:
        """Rows of the gate matrices are this many times H: i, f, g, o, or r, z, n, or one."""
        return {CellKind.RNN: 1, CellKind.GRU: 3, CellKind.GRU_RESET_BEFORE: 3}.get(self, 4)

    @property
    def has_cell(self) -> bool:
        """Whether the state holds c beside h."""
        return self in (CellKind.LSTM, CellKind.PEEPHOLE)


@dataclass(frozen=True, slots=True)
class CellWeights:
    """Weights of one layer in PyTorch's orientation; gate order i, f, g, o, or r, z, n.

    Shapes: float32 in C order, G gates: w_ih [G*H, I]; w_hh [G*H, R]; bias [G*H]; bias_hn [H], of `gru` only;
    peephole [3, H] (i, f, o), of `peephole` only; w_hr [P, H], of the LSTM kinds, or None.
    Raises: ShapeError when they do not fit each other or are not finite.
    """

    kind: CellKind
    w_ih: NDArray[np.float32]
    w_hh: NDArray[np.float32]
    bias: NDArray[np.float32]
    bias_hn: NDArray[np.float32] | None = None
    peephole: NDArray[np.float32] | None = None
    w_hr: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        kind = CellKind(self.kind)
        object.__setattr__(self, "kind", kind)
        if np.ndim(self.bias) != 1 or len(self.bias) < kind.gates or len(self.bias) % kind.gates:
            raise ShapeError(f"bias: expected [{kind.gates} * H], got {list(np.shape(self.bias))}")
        hidden, outputs = len(self.bias) // kind.gates, self.output_size
        if np.ndim(self.w_ih) != 2 or self.w_ih.shape[1] < 1 or outputs < 1:
            raise ShapeError(f"w_ih: expected [{kind.gates * hidden}, inputs], got {list(np.shape(self.w_ih))}")
        wanted: tuple[tuple[str, NDArray[np.float32] | None, bool, tuple[int, ...]], ...] = (
            ("w_ih", self.w_ih, True, (kind.gates * hidden, self.w_ih.shape[1])),
            ("w_hh", self.w_hh, True, (kind.gates * hidden, outputs)),
            ("bias", self.bias, True, (kind.gates * hidden,)),
            ("bias_hn", self.bias_hn, kind is CellKind.GRU, (hidden,)),
            ("peephole", self.peephole, kind is CellKind.PEEPHOLE, (3, hidden)),
            ("w_hr", self.w_hr, kind.has_cell and self.w_hr is not None, (outputs, hidden)),
        )
        for name, array, is_wanted, shape in wanted:
            if (array is not None) != is_wanted:
                raise ShapeError(f"{name}: {'needed by' if is_wanted else 'not of'} the cell {kind.value!r}")
            if array is not None:
                check_array(name, array, np.float32, shape)
                if not np.isfinite(array).all():
                    raise ShapeError(f"{name}: expected finite weights")

    @property
    def input_size(self) -> int:
        """I: values that come in at each step."""
        return int(self.w_ih.shape[1])

    @property
    def hidden_size(self) -> int:
        """H: units."""
        return len(self.bias) // self.kind.gates

    @property
    def output_size(self) -> int:
        """R: values that go out at each step, and come back at the next."""
        return self.hidden_size if self.w_hr is None else len(self.w_hr)

    @property
    def state_size(self) -> int:
        """Values of the layer's state: h [R], then c [H] if the cell has one."""
        return self.output_size + (self.hidden_size if self.kind.has_cell else 0)


def check_stack(layers: Sequence[CellWeights]) -> None:
    """Raise ShapeError unless there is a layer, and each takes what the one below gives."""
    if not 1 <= len(layers) <= MAX_LAYERS:
        raise ShapeError(f"layers: expected 1 to {MAX_LAYERS}, got {len(layers)}")
    for index in range(1, len(layers)):
        came, below = layers[index].input_size, layers[index - 1].output_size
        if came != below:
            raise ShapeError(f"layers[{index}].w_ih: expected {below} inputs, as the layer below gives, got {came}")


def state_size(layers: Sequence[CellWeights]) -> int:
    """Return the values of a stream's state: by layer h [R], then c [H] if the cell has one."""
    return sum(layer.state_size for layer in layers)
