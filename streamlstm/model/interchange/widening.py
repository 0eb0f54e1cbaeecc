"""Layers of different width as layers of one width, which is what a bundle's architecture has.

A unit whose weights and biases are all zero stays at zero: its candidate is tanh(0), in every cell. So narrower layers
are given such units, and the layers above weights of zero for them; what the network computes is the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import BundleError
from streamlstm.kernels import CellWeights
from streamlstm.model.interchange.foreign import Linear
from streamlstm.model.network import Architecture

__all__ = ["architecture_of", "widen", "widen_head"]

_Array = NDArray[np.float32]


def widen(layers: Sequence[CellWeights]) -> tuple[CellWeights, ...]:
    """Return the layers, each as wide as the widest."""
    hidden = max(layer.hidden_size for layer in layers)
    widened: list[CellWeights] = []
    for layer in layers:
        inputs = widened[-1].output_size if widened else layer.input_size
        widened.append(_widened(layer, inputs, hidden))
    return tuple(widened)


def architecture_of(layers: Sequence[CellWeights], *, channels: int, forecast: int) -> Architecture:
    """Return the architecture of widened layers. Raises: BundleError when LSTM layers are projected differently."""
    projections = {0 if layer.w_hr is None else layer.output_size for layer in layers if layer.kind.has_cell} or {0}
    if len(projections) > 1:
        sizes = ", ".join(map(str, sorted(projections)))
        raise BundleError(f"expected LSTM layers projected alike, got projections to {sizes} (0 = none)")
    cells = tuple(layer.kind.value for layer in layers)
    hidden = layers[0].hidden_size
    return Architecture(channels, hidden, cells, forecast, reconstruct=1, projection=projections.pop())


def widen_head(head: Linear, outputs: int) -> Linear:
    """Return a head [D, R] that takes `outputs` values, the last of them ignored."""
    weight, bias = head
    return _padded(weight, (len(weight), outputs)), bias


def _widened(layer: CellWeights, inputs: int, hidden: int) -> CellWeights:
    if (inputs, hidden) == (layer.input_size, layer.hidden_size):
        return layer
    outputs, gates, units = hidden if layer.w_hr is None else layer.output_size, layer.kind.gates, layer.hidden_size
    w_ih = _padded(layer.w_ih.reshape(gates, units, -1), (gates, hidden, inputs)).reshape(gates * hidden, -1)
    w_hh = _padded(layer.w_hh.reshape(gates, units, -1), (gates, hidden, outputs)).reshape(gates * hidden, -1)
    return CellWeights(
        layer.kind,
        w_ih,
        w_hh,
        _padded(layer.bias.reshape(gates, units), (gates, hidden)).ravel(),
        None if layer.bias_hn is None else _padded(layer.bias_hn, (hidden,)),
        None if layer.peephole is None else _padded(layer.peephole, (3, hidden)),
        None if layer.w_hr is None else _padded(layer.w_hr, (outputs, hidden)),
    )


def _padded(array: _Array, shape: tuple[int, ...]) -> _Array:
    return np.pad(array, [(0, wanted - came) for wanted, came in zip(shape, array.shape, strict=True)])
