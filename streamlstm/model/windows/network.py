"""Networks that see whole windows, for scoring recordings: every estimate rests on samples before and after it.

    bidirectional      [x * seen | seen] -> L bidirectional layers -> head -> estimate of every row
    encoder_decoder    [x * seen | seen] -> L layers -> state at the end -> L layers -> head -> rows, last first

A bidirectional network that saw the row it estimates would learn the identity and detect nothing. Leaving out the
row's own step, [h_(t-1) | h_(t+1)], hides it from one layer only: the backward cell of the first hands it on to the
forward cell of the second. And a row between its two neighbours is easy to guess, also within an anomaly. So rows are
blanked in the input, as if they were missing: a quarter of a window in one piece is estimated from the rest, and four
runs estimate every row.

The decoder begins with the encoder's state and sees nothing else: zeros come in. So what is scored is what was trained;
a decoder that is fed the true rows in training learns to copy the last one, and strays when it is fed its own.

Source: Malhotra et al. 2016, "LSTM-based Encoder-Decoder for Multi-sensor Anomaly Detection" (encoder, decoder in
reverse order).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels import CELL_FIELDS, CellGradients, CellKind, CellWeights, state_size
from streamlstm.kernels.checks import MAX_LAYERS
from streamlstm.model.display import counted
from streamlstm.model.windows.batch import WindowBatch
from streamlstm.model.windows.bidirectional import (
    BidirectionalTrace,
    Direction,
    backward_bidirectional,
    run_bidirectional,
)
from streamlstm.model.windows.padded import PaddedTrace, backward_padded, reverse_padded, unroll_padded

__all__ = ["BLANKS", "Arrangement", "WindowArchitecture", "WindowNetwork", "WindowTrace"]

_Array = NDArray[np.float32]

BLANKS = 4
"""Every so many blocks one is blanked, and so many runs estimate every row. On ECGs blocks of a sixteenth of a window
were easy to fill in, whatever they held."""


class Arrangement(StrEnum):
    """How the layers stand to each other."""

    BIDIRECTIONAL = "bidirectional"
    ENCODER_DECODER = "encoder_decoder"


@dataclass(frozen=True, slots=True)
class WindowArchitecture:
    """Sizes of a whole-window network.

    C = channels, H = hidden, `cells` names the cell of each layer, the lowest first: of both directions, or of the
    encoder and the decoder alike. Windows have `rows` rows at most.
    Raises: ShapeError.
    """

    arrangement: str
    channels: int
    hidden: int = 32
    cells: tuple[str, ...] = ("lstm",)
    rows: int = 128

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", tuple(self.cells))
        if self.arrangement not in list(Arrangement):
            raise ShapeError(f"arrangement: expected {' or '.join(Arrangement)}, got {self.arrangement!r}")
        if not 1 <= len(self.cells) <= MAX_LAYERS:
            raise ShapeError(f"cells: expected 1 to {MAX_LAYERS}, one a layer, got {len(self.cells)}")
        for cell in self.cells:
            if cell not in list(CellKind):
                raise ShapeError(f"cells: expected {', '.join(CellKind)}, got {cell!r}")
        for name, least in (("channels", 1), ("hidden", 1), ("rows", BLANKS)):
            if getattr(self, name) < least:
                raise ShapeError(f"{name}: expected at least {least}, got {getattr(self, name)}")

    @property
    def summary(self) -> str:
        """The network in a line: `bidirectional: lstm, 1 layer of 32 units, windows of 128 samples`."""
        layers = f"{counted(len(self.cells), 'layer')} of {self.hidden} units"
        return f"{self.arrangement}: {', '.join(self.cells)}, {layers}, windows of {self.rows} samples"

    @property
    def layers(self) -> tuple[tuple[str, str, int], ...]:
        """Name, cell and inputs of every layer, in the order in which the network holds them."""
        h, first = self.hidden, 2 * self.channels
        numbered = list(enumerate(self.cells))
        if self.arrangement == Arrangement.BIDIRECTIONAL:
            inputs = [(n, cell, 2 * h if n else first) for n, cell in numbered]
            return tuple((f"layers.{n}.{way}", cell, i) for n, cell, i in inputs for way in ("forward", "reverse"))
        return tuple((f"encoder.{n}", cell, h if n else first) for n, cell in numbered) + tuple(
            (f"decoder.{n}", cell, h if n else 1) for n, cell in numbered
        )

    @property
    def blank(self) -> int:
        """Rows that the bidirectional arrangement blanks in one piece."""
        return self.rows // BLANKS

    @property
    def hole(self) -> int:
        """Rows in a row without a value that are not filled in, but part a series in two."""
        return max(self.rows // 8, 1)

    def blanked(self, batch: WindowBatch, phase: NDArray[np.int64]) -> _Array:
        """Return 1 in the rows that are blanked [T, B, 1], with the blocks moved back by phase [B] rows."""
        rows = np.arange(len(batch.x))[:, None] + phase
        is_blank: NDArray[np.bool_] = rows // self.blank % BLANKS == 0
        return is_blank[..., None].astype(np.float32)

    @property
    def head_inputs(self) -> int:
        """Values the head sees of a row."""
        return self.hidden * (2 if self.arrangement == Arrangement.BIDIRECTIONAL else 1)


@dataclass(frozen=True, slots=True)
class WindowTrace:
    """expected [T, B, C], and what `WindowNetwork.backward` needs: y [T, B, R], as the layers gave it."""

    expected: _Array
    y: _Array
    lengths: NDArray[np.int64]
    inner: BidirectionalTrace | tuple[PaddedTrace, PaddedTrace]


@dataclass(frozen=True, slots=True)
class WindowNetwork:
    """Architecture and weights.

    Shapes: layers as `WindowArchitecture.layers` lists them; head_weight [C, R], head_bias [C].
    """

    architecture: WindowArchitecture
    layers: tuple[CellWeights, ...]
    head_weight: _Array
    head_bias: _Array

    def __post_init__(self) -> None:
        a = self.architecture
        wanted = [(name, cell, inputs, a.hidden) for name, cell, inputs in a.layers]
        came = [(w[0], x.kind, x.input_size, x.output_size) for w, x in zip(wanted, self.layers, strict=False)]
        if len(self.layers) != len(wanted) or came != wanted:
            raise ShapeError(f"layers: expected (name, cell, inputs, outputs) {wanted}, got {came}")
        for name, shape, array in (
            ("head_weight", (a.channels, a.head_inputs), self.head_weight),
            ("head_bias", (a.channels,), self.head_bias),
        ):
            if array.shape != shape or array.dtype != np.float32:
                raise ShapeError(f"{name}: expected float32 {list(shape)}, got {array.dtype} {list(array.shape)}")

    def estimate(self, batch: WindowBatch) -> _Array:
        """Return what every row was expected to be [T, B, C], no row estimated from itself alone."""
        if self.architecture.arrangement == Arrangement.ENCODER_DECODER:
            return self.run(batch, batch.observed).expected
        expected = np.zeros_like(batch.x)
        for part in range(BLANKS):
            blanked = self.architecture.blanked(batch, np.full(len(batch.lengths), part * self.architecture.blank))
            expected += blanked * self.run(batch, batch.observed * (1 - blanked)).expected
        return expected

    def run(self, batch: WindowBatch, seen: _Array) -> WindowTrace:
        """Run forward over the values that are seen [T, B, C]: 1, or 0 for what is missing or blanked."""
        lanes = len(batch.lengths)
        inputs = np.concatenate([batch.x * seen, seen], axis=2)
        if self.architecture.arrangement == Arrangement.BIDIRECTIONAL:
            pairs = self._pairs
            state = np.zeros((lanes, sum(map(state_size, pairs))), np.float32)
            both = run_bidirectional(pairs, inputs, state=state, lengths=batch.lengths)
            return WindowTrace(self._head(both.y), both.y, batch.lengths, both)
        state = np.zeros((lanes, state_size(self._encoder)), np.float32)
        encoded = unroll_padded(self._encoder, inputs, state=state, lengths=batch.lengths)
        nothing = np.zeros((*inputs.shape[:2], 1), np.float32)
        decoded = unroll_padded(self._decoder, nothing, state=encoded.state, lengths=batch.lengths)
        expected = reverse_padded(self._head(decoded.y), batch.lengths)
        return WindowTrace(expected, decoded.y, batch.lengths, (encoded, decoded))

    def backward(self, trace: WindowTrace, d_expected: _Array) -> dict[str, _Array]:
        """Return a loss's gradients under the names of the parameters, given those by `expected`, zero in the padding.

        Names: head.weight, head.bias, LAYER.FIELD.
        """
        if isinstance(trace.inner, BidirectionalTrace):
            found = backward_bidirectional(self._pairs, trace.inner, d_expected @ self.head_weight)
            cells: Sequence[CellGradients] = [cell for pair in found.layers for cell in pair]
        else:
            encoded, decoded = trace.inner
            d_expected = reverse_padded(d_expected, trace.lengths)
            d_decoder = backward_padded(self._decoder, decoded, d_expected @ self.head_weight)
            nothing = np.zeros_like(encoded.y)
            d_encoder = backward_padded(self._encoder, encoded, nothing, d_state=d_decoder.d_state)
            cells = (*d_encoder.layers, *d_decoder.layers)
        rows = d_expected.reshape(-1, d_expected.shape[-1])
        gradients = {"head.weight": rows.T @ trace.y.reshape(len(rows), -1), "head.bias": rows.sum(axis=0)}
        for (name, _, _), cell in zip(self.architecture.layers, cells, strict=True):
            gradients |= {f"{name}.{f}": array for f in CELL_FIELDS if (array := getattr(cell, f)) is not None}
        return gradients

    def _head(self, y: _Array) -> _Array:
        expected: _Array = y @ self.head_weight.T + self.head_bias
        return expected

    @property
    def _pairs(self) -> list[Direction]:
        return list(zip(self.layers[::2], self.layers[1::2], strict=True))

    @property
    def _encoder(self) -> tuple[CellWeights, ...]:
        return self.layers[: len(self.layers) // 2]

    @property
    def _decoder(self) -> tuple[CellWeights, ...]:
        return self.layers[len(self.layers) // 2 :]
