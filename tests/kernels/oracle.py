"""An LSTM per scalar in float64, from its equations, one lane at a time; nothing of it is vectorised or shared."""

from __future__ import annotations

import math
from typing import Any


def sigmoid(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z)) if z >= 0 else math.exp(z) / (1.0 + math.exp(z))


def run(layers: list[tuple[Any, Any, Any]], x: Any, hidden: Any, cell: Any) -> tuple[list[Any], Any, Any]:
    """Return outputs [T][B][H] of the top layer, and final hidden and cell [L][B][H].

    layers: (w_ih [4H][I], w_hh [4H][H], bias [4H]) by layer; x [T][B][I]; hidden, cell [L][B][H].
    """
    hidden = [[list(map(float, lane)) for lane in layer] for layer in hidden]
    cell = [[list(map(float, lane)) for lane in layer] for layer in cell]
    outputs = []
    for sample in x:
        step = []
        for b, lane in enumerate(sample):
            below = [float(v) for v in lane]
            for number, (w_ih, w_hh, bias) in enumerate(layers):
                units = len(hidden[number][b])

                def z(row: int, below: list[float] = below, number: int = number, b: int = b) -> float:
                    w_ih, w_hh, bias = layers[number]
                    total = float(bias[row])
                    for k, value in enumerate(below):
                        total += float(w_ih[row][k]) * value
                    for k, value in enumerate(hidden[number][b]):
                        total += float(w_hh[row][k]) * value
                    return total

                new_cell, new_hidden = [], []
                for u in range(units):
                    i, f = sigmoid(z(u)), sigmoid(z(units + u))
                    g, o = math.tanh(z(2 * units + u)), sigmoid(z(3 * units + u))
                    c = f * cell[number][b][u] + i * g
                    new_cell.append(c)
                    new_hidden.append(o * math.tanh(c))
                cell[number][b], hidden[number][b] = new_cell, new_hidden
                below = new_hidden
            step.append(below)
        outputs.append(step)
    return outputs, hidden, cell
