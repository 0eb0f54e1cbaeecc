"""The trainer's parameters: named arrays, their first values, and the network they make.

Names: lstm.INDEX.w_ih [4H, I], lstm.INDEX.w_hh [4H, H], lstm.INDEX.bias [4H], head.weight [C * (k + p), H], head.bias.
The head's rows are the last k samples, oldest first, then the next p, C each: the network's own head, the newest sample
and the forecasts, is the end of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import LstmWeights
from streamlstm.model.network import Architecture, LayerWeights, Network

__all__ = ["Parameters", "initial_parameters", "lstm_weights", "to_network"]

Parameters: TypeAlias = dict[str, NDArray[np.float32]]


def initial_parameters(architecture: Architecture, rng: np.random.Generator) -> Parameters:
    """Draw the first values.

    w_ih is Xavier uniform and w_hh orthogonal, gate by gate; biases are zero but the forget gate's, which is 1: the
    state remembers before it has learned what to forget. Source: Jozefowicz et al., ICML 2015 (forget bias).
    """
    a = architecture
    parameters: Parameters = {}
    for index in range(a.layers):
        inputs = a.channels if index == 0 else a.hidden
        bound = math.sqrt(6 / (inputs + a.hidden))
        bias = np.zeros(4 * a.hidden, np.float32)
        bias[a.hidden : 2 * a.hidden] = 1
        parameters[f"lstm.{index}.w_ih"] = rng.uniform(-bound, bound, (4 * a.hidden, inputs)).astype(np.float32)
        parameters[f"lstm.{index}.w_hh"] = np.concatenate([_orthogonal(a.hidden, rng) for _ in range(4)])
        parameters[f"lstm.{index}.bias"] = bias
    outputs = a.channels * (a.reconstruct + a.forecast)
    bound = 1 / math.sqrt(a.hidden)
    parameters["head.weight"] = rng.uniform(-bound, bound, (outputs, a.hidden)).astype(np.float32)
    parameters["head.bias"] = np.zeros(outputs, np.float32)
    return parameters


def lstm_weights(parameters: Mapping[str, NDArray[np.float32]], layers: int) -> LstmWeights:
    """Pack the layers for the kernels, as they are now."""
    return LstmWeights(
        [
            (parameters[f"lstm.{i}.w_ih"], parameters[f"lstm.{i}.w_hh"], parameters[f"lstm.{i}.bias"])
            for i in range(layers)
        ]
    )


def to_network(architecture: Architecture, parameters: Mapping[str, NDArray[np.float32]]) -> Network:
    """Return the network that runs per sample: of the long reconstruction only the newest sample is kept."""
    first = architecture.channels * (architecture.reconstruct - 1)
    layers = tuple(
        LayerWeights(*(parameters[f"lstm.{i}.{part}"].copy() for part in ("w_ih", "w_hh", "bias")))
        for i in range(architecture.layers)
    )
    return Network(
        architecture, layers, parameters["head.weight"][first:].copy(), parameters["head.bias"][first:].copy()
    )


def _orthogonal(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return (q * np.sign(np.diag(r))).astype(np.float32)  # the signs make it uniform over all orthogonal matrices
