"""Every cell per scalar in float64, from its equations, one lane at a time; nothing of it is vectorised or shared.

A layer is anything with the fields of CellWeights; a lane's state is, by layer, h and then c if the cell has one.
`fed` is h as the recurrent products see it: with a mask on it, or h itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

LSTM_KINDS = ("lstm", "peephole")


def sigmoid(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z)) if z >= 0 else math.exp(z) / (1.0 + math.exp(z))


def dot(row: Any, values: Sequence[float]) -> float:
    total = 0.0
    for weight, value in zip(row, values, strict=True):
        total += float(weight) * value
    return total


def lstm(layer: Any, x: list[float], fed: list[float], c: list[float]) -> tuple[list[float], list[float]]:
    units, new_c, exposed = len(c), [], []
    for u in range(units):
        zi, zf, zg, zo = (
            dot(layer.w_ih[k * units + u], x) + dot(layer.w_hh[k * units + u], fed) + float(layer.bias[k * units + u])
            for k in range(4)
        )
        if str(layer.kind) == "peephole":
            zi += float(layer.peephole[0][u]) * c[u]
            zf += float(layer.peephole[1][u]) * c[u]
        cell = sigmoid(zf) * c[u] + sigmoid(zi) * math.tanh(zg)
        if str(layer.kind) == "peephole":
            zo += float(layer.peephole[2][u]) * cell
        new_c.append(cell)
        exposed.append(sigmoid(zo) * math.tanh(cell))
    return (exposed if layer.w_hr is None else [dot(row, exposed) for row in layer.w_hr]), new_c


def gru(layer: Any, x: list[float], fed: list[float], h: list[float]) -> list[float]:
    units = len(h)

    def gate(k: int, u: int) -> float:
        row = k * units + u
        return sigmoid(dot(layer.w_ih[row], x) + dot(layer.w_hh[row], fed) + float(layer.bias[row]))

    reset = [gate(0, u) for u in range(units)]
    new = []
    for u in range(units):
        row = 2 * units + u
        if str(layer.kind) == "gru":
            recurrent = reset[u] * (dot(layer.w_hh[row], fed) + float(layer.bias_hn[u]))
        else:
            recurrent = dot(layer.w_hh[row], [r * value for r, value in zip(reset, fed, strict=True)])
        candidate = math.tanh(dot(layer.w_ih[row], x) + float(layer.bias[row]) + recurrent)
        z = gate(1, u)
        new.append((1.0 - z) * candidate + z * h[u])
    return new


def rnn(layer: Any, x: list[float], fed: list[float]) -> list[float]:
    return [
        math.tanh(dot(layer.w_ih[u], x) + dot(layer.w_hh[u], fed) + float(layer.bias[u]))
        for u in range(len(layer.bias))
    ]


def run(layers: Sequence[Any], x: Any, state: Any, masks: Any = None) -> tuple[list[Any], list[list[float]]]:
    """Return outputs [T][B][R] of the top layer, and the final state [B][state_size].

    x [T][B][I]; state [B][state_size]; masks by layer: inputs [T][B][I] and recurrent [B][R], either of them None.
    """
    states = [[float(value) for value in lane] for lane in state]
    outputs = []
    for t, sample in enumerate(x):
        step = []
        for b, lane in enumerate(sample):
            values, after, at = [float(v) for v in lane], [], 0
            for number, layer in enumerate(layers):
                size = len(layer.w_hh[0])
                h, at = states[b][at : at + size], at + size
                fed = h
                if masks is not None and masks[number].inputs is not None:
                    values = [v * float(m) for v, m in zip(values, masks[number].inputs[t][b], strict=True)]
                if masks is not None and masks[number].recurrent is not None:
                    fed = [v * float(m) for v, m in zip(h, masks[number].recurrent[b], strict=True)]
                if str(layer.kind) in LSTM_KINDS:
                    units = len(layer.bias) // 4
                    c, at = states[b][at : at + units], at + units
                    values, new_c = lstm(layer, values, fed, c)
                    after += values + new_c
                else:
                    values = rnn(layer, values, fed) if str(layer.kind) == "rnn" else gru(layer, values, fed, h)
                    after += values
            assert at == len(states[b])
            states[b] = after
            step.append(values)
        outputs.append(step)
    return outputs, states
