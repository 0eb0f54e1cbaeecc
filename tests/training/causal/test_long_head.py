"""The long head of layers that have learned, against the normal equations summed row by row."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from kernels.oracle import run

from streamlstm.training.causal.long_head import fit_long_head
from streamlstm.training.causal.padded_series import PaddedSeries
from streamlstm.training.causal.trainable import causal_architecture
from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import cell_weights, initial_parameters
from streamlstm.training.segments import Segment

K, P, T, C, H, SEQUENCE, UPDATES = 4, 2, 6, 2, 3, 30, 32
OPTIONS = TrainerOptions(
    hidden=H, cells=("rnn",), reconstruct=K, forecast=P, bptt_steps=T, batch=3, reset_every=SEQUENCE, burn_in=7
)


def series(rows: int, seed: int) -> Segment:
    rng = np.random.default_rng(seed)
    x = rng.normal(0.4, 1, (rows, C)).astype(np.float32)
    return Segment(x, rng.random(x.shape) > 0.2)


def sequences(parts: list[Segment]) -> list[tuple[Segment, int, int]]:
    """The rows from one cut to the next, in whole steps of T as a lane moves; no piece is below T."""
    found = []
    for part in parts:
        rows = len(part.x)
        edges = [0, *(cut for cut in range(SEQUENCE, rows, SEQUENCE) if cut <= rows - T), rows]
        found += [(part, a, a + -(-(b - a) // T) * T) for a, b in pairwise(edges)]
    return found


@pytest.mark.parametrize("has_mask", [False, True])
@pytest.mark.parametrize(
    ("batch", "burn_in", "lengths"),
    [(3, 7, (70, 36, 45)), (3, 1, (70, 36, 45)), (1, 7, (300,)), (3, 7, (11,))],
    ids=["burn-in", "reconstruction past the burn-in", "more than 32 updates", "two rows"],
)
def test_the_head_solves_the_normal_equations(
    batch: int, burn_in: int, lengths: tuple[int, ...], has_mask: bool
) -> None:
    o = dataclasses.replace(OPTIONS, batch=batch, burn_in=burn_in, mask_inputs=has_mask)
    parts = [series(rows, seed) for seed, rows in enumerate(lengths)]
    parameters = initial_parameters(causal_architecture(o, channels=C), np.random.default_rng(3))
    layers = {name: array.copy() for name, array in parameters.items() if name.startswith("layers")}
    squares, products, updates = np.zeros((H + 1, H + 1)), np.zeros((H + 1, C * (K + P))), 0
    for part, begin, until in sequences(parts):
        updates += (until - begin) // T
        if batch == 1:  # then a lane takes one sequence after the other, until the updates are used up
            until -= max(updates - UPDATES, 0) * T
        last = min(until, len(part.x))
        inputs = np.concatenate([part.x, part.observed], axis=1) if has_mask else part.x
        outputs, _ = run(cell_weights(o.cells, parameters), inputs[begin:last, None], np.zeros((1, H)))
        for row in range(begin + max(K, burn_in), min(last, len(part.x) - P)):
            y = np.append(outputs[row - begin][0], 1.0)
            squares += np.outer(y, y)
            products += np.outer(y, part.x[row - K + 1 : row + P + 1].ravel())
    assert updates > UPDATES or batch > 1
    solution = np.linalg.solve(squares + 1e-3 * np.trace(squares) / (H + 1) * np.eye(H + 1), products)
    fit_long_head(parameters, PaddedSeries(parts, reconstruct=K, forecast=P, bptt_steps=T), o)
    np.testing.assert_allclose(parameters["head.weight"], solution[:-1].T, rtol=0, atol=1e-5)
    np.testing.assert_allclose(parameters["head.bias"], solution[-1], rtol=0, atol=1e-5)
    for name, array in layers.items():
        np.testing.assert_array_equal(parameters[name], array)


def test_a_series_that_is_too_short_to_learn_from_leaves_zeros() -> None:
    parameters = initial_parameters(causal_architecture(OPTIONS, channels=C), np.random.default_rng(3))
    fit_long_head(parameters, PaddedSeries([series(8, 1)], reconstruct=K, forecast=P, bptt_steps=T), OPTIONS)
    assert not parameters["head.weight"].any() and not parameters["head.bias"].any()
