"""The trainer's parameters: named arrays, their first values, and the network they make.

Names: layers.INDEX.FIELD, shaped as the fields of CellWeights; head.weight [C * (k + p), R], head.bias; of the gaussian
loss spread.weight and spread.bias, shaped as the head.
The head's rows are the last k samples, oldest first, then the next p, C each: the network's own head, the newest sample
and the forecasts, is the end of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import UsageError
from streamlstm.kernels import CELL_FIELDS, CellGradients, CellKind, CellWeights
from streamlstm.model.network import Architecture, Network

__all__ = [
    "Parameters",
    "cell_gradients",
    "cell_weights",
    "initial_parameters",
    "take_over",
    "to_network",
    "trained_names",
]

Parameters: TypeAlias = dict[str, NDArray[np.float32]]

_PEEPHOLE_BOUND = 0.1
"""Of the first peepholes: a cell of size one then moves a gate by 0.025 at most."""


def initial_parameters(architecture: Architecture, rng: np.random.Generator, *, has_spread: bool = False) -> Parameters:
    """Draw the first values, of the spread too if it is asked for.

    w_ih and the projection are Xavier uniform, w_hh orthogonal, gate by gate; peepholes are small; biases are zero but
    that of the gate that keeps the state, f or the GRU's z, which is 1: the state remembers before it has learned what
    to forget. (It takes a tenth off a GRU's validation loss on an ECG.)
    Source: Jozefowicz et al., ICML 2015 (forget bias).
    """
    a = architecture
    parameters: Parameters = {}
    for index, (cell, inputs, outputs) in enumerate(zip(a.cells, a.inputs, a.outputs, strict=True)):
        kind = CellKind(cell)
        rows = kind.gates * a.hidden
        bias = np.zeros(rows, np.float32)
        if kind is not CellKind.RNN:  # the second gate of four or of three
            bias[a.hidden : 2 * a.hidden] = 1
        first: Parameters = {
            "w_ih": _xavier(inputs, a.hidden, (rows, inputs), rng),
            "w_hh": np.concatenate([_orthogonal(a.hidden, outputs, rng) for _ in range(kind.gates)]),
            "bias": bias,
        }
        if kind is CellKind.GRU:
            first["bias_hn"] = np.zeros(a.hidden, np.float32)
        if kind is CellKind.PEEPHOLE:
            first["peephole"] = rng.uniform(-_PEEPHOLE_BOUND, _PEEPHOLE_BOUND, (3, a.hidden)).astype(np.float32)
        if outputs != a.hidden:
            first["w_hr"] = _xavier(a.hidden, outputs, (outputs, a.hidden), rng)
        parameters |= {f"layers.{index}.{name}": array for name, array in first.items()}
    rows = a.channels * (a.reconstruct + a.forecast)
    bound = 1 / math.sqrt(a.outputs[-1])
    parameters["head.weight"] = rng.uniform(-bound, bound, (rows, a.outputs[-1])).astype(np.float32)
    parameters["head.bias"] = np.zeros(rows, np.float32)
    if has_spread:  # a variance of one at every output
        parameters["spread.weight"] = np.zeros((rows, a.outputs[-1]), np.float32)
        parameters["spread.bias"] = np.zeros(rows, np.float32)
    return parameters


def take_over(parameters: Parameters, network: Network) -> None:
    """Set layers and the end of the head to those of a network of the same architecture."""
    for index, layer in enumerate(network.layers):
        for name in CELL_FIELDS:
            if (array := getattr(layer, name)) is not None:
                parameters[f"layers.{index}.{name}"][...] = array
    first = len(parameters["head.bias"]) - len(network.head_bias)
    parameters["head.weight"][first:] = network.head_weight
    parameters["head.bias"][first:] = network.head_bias


def trained_names(parameters: Parameters, frozen: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the parameters that are trained.

    What is frozen is named itself, or by what it belongs to: layers.0, head.
    Raises: UsageError when a frozen name is of no parameter, or nothing is left to train.
    """
    for name in frozen:
        if not any(_is_of(parameter, name) for parameter in parameters):
            groups = dict.fromkeys(parameter.rpartition(".")[0] for parameter in parameters)
            raise UsageError(f"freeze: expected {', '.join(groups)} or a parameter of these, got {name!r}")
    kept = tuple(parameter for parameter in parameters if not any(_is_of(parameter, name) for name in frozen))
    if not kept:
        raise UsageError(f"freeze: expected something left to train, got all: {', '.join(frozen)}")
    return kept


def _is_of(parameter: str, name: str) -> bool:
    return parameter == name or parameter.startswith(f"{name}.")


def cell_weights(
    cells: Sequence[str], parameters: Mapping[str, NDArray[np.float32]], *, copy: bool = False
) -> tuple[CellWeights, ...]:
    """Return the layers, which see the parameters change unless they are copied."""
    layers = []
    for index, cell in enumerate(cells):
        arrays = {name: parameters.get(f"layers.{index}.{name}") for name in CELL_FIELDS}
        given = {name: array.copy() if copy else array for name, array in arrays.items() if array is not None}
        layers.append(CellWeights(CellKind(cell), **given))
    return tuple(layers)


def cell_gradients(layers: Sequence[CellGradients]) -> Parameters:
    """Return the gradients of the layers under the names of their parameters."""
    named = ((f"layers.{index}.{name}", getattr(d, name)) for index, d in enumerate(layers) for name in CELL_FIELDS)
    return {name: array for name, array in named if array is not None}


def to_network(architecture: Architecture, parameters: Mapping[str, NDArray[np.float32]]) -> Network:
    """Return the network that runs per sample: of the long reconstruction only the newest sample is kept."""
    first = architecture.channels * (architecture.reconstruct - 1)
    layers = cell_weights(architecture.cells, parameters, copy=True)
    return Network(
        architecture, layers, parameters["head.weight"][first:].copy(), parameters["head.bias"][first:].copy()
    )


def _xavier(inputs: int, outputs: int, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    bound = math.sqrt(6 / (inputs + outputs))
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def _orthogonal(rows: int, columns: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a matrix with orthonormal columns; columns <= rows."""
    q, r = np.linalg.qr(rng.standard_normal((rows, columns)))
    return (q * np.sign(np.diag(r))).astype(np.float32)  # the signs make it uniform over all such matrices
