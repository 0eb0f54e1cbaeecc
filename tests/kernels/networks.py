"""Random networks of every cell for the tests of the step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import CellKind, CellWeights

STACKS: dict[str, list[tuple[str, int, int]]] = {  # by layer: cell, hidden units, projected to (0 = not at all)
    "lstm": [("lstm", 13, 0)],
    "lstm x 2": [("lstm", 64, 0), ("lstm", 64, 0)],
    "peephole": [("peephole", 19, 0)],
    "projected": [("lstm", 23, 5), ("peephole", 18, 7)],
    "gru": [("gru", 19, 0), ("gru", 35, 0)],
    "gru_reset_before": [("gru_reset_before", 21, 0)],
    "rnn": [("rnn", 70, 0)],
    "mixed": [("rnn", 9, 0), ("lstm", 33, 4), ("gru", 17, 0), ("gru_reset_before", 6, 0)],
    "wide": [("lstm", 300, 0)],  # beyond the size at which the products of BLAS are split
}
INPUTS = {"lstm": 3, "lstm x 2": 8, "peephole": 5, "wide": 38}


def stack(name: str, seed: int = 0) -> list[CellWeights]:
    """Layers whose weights are random and none zero, of a size at which gates neither saturate nor sleep."""
    rng = np.random.default_rng(seed)
    layers, inputs = [], INPUTS.get(name, 4)
    for kind, hidden, projected in STACKS[name]:
        outputs = projected or hidden
        gates = CellKind(kind).gates

        def normal(*shape: int, size: int = hidden) -> NDArray[np.float32]:
            return rng.normal(0, 1 / np.sqrt(size + 3), shape).astype(np.float32)

        layers.append(
            CellWeights(
                CellKind(kind),
                normal(gates * hidden, inputs),
                normal(gates * hidden, outputs),
                normal(gates * hidden),
                bias_hn=normal(hidden) if kind == "gru" else None,
                peephole=normal(3, hidden) if kind == "peephole" else None,
                w_hr=normal(projected, hidden) if projected else None,
            )
        )
        inputs = outputs
    return layers


def head(layers: list[CellWeights], outputs: int, seed: int = 1) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight [D, R] and bias [D]."""
    rng, size = np.random.default_rng(seed), layers[-1].output_size
    return rng.normal(0, 0.5 / np.sqrt(size), (outputs, size)).astype(np.float32), rng.normal(0, 0.3, outputs).astype(
        np.float32
    )
