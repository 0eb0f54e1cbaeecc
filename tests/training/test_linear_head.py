"""The head by least squares against the normal equations, summed row by row; and which ridge it takes."""

from __future__ import annotations

import numpy as np
import pytest
from model.interchange.stacks import run_stack
from numpy.typing import NDArray

from streamlstm.kernels import CellKind, CellWeights
from streamlstm.training.linear_head import SplitSegment, fit_head
from streamlstm.training.segments import Segment

CHANNELS, UNITS, FORECAST = 3, 5, 2
RIDGES = (1e-7, 1e-5, 1e-3, 1e-1)
Doubles = NDArray[np.float64]


def layer(size: float) -> CellWeights:
    rng = np.random.default_rng(7)
    w_ih, w_hh = rng.normal(0, size, (UNITS, CHANNELS)), rng.normal(0, 0.4, (UNITS, UNITS))
    return CellWeights(CellKind.RNN, w_ih.astype(np.float32), w_hh.astype(np.float32), np.zeros(UNITS, np.float32))


def parts_of(rows: int, *, noise: float, size: float, seed: int) -> list[SplitSegment]:
    """Two series that obey one rule with noise; the second channel misses values, the third is never seen."""
    rng, parts = np.random.default_rng(seed), []
    for count, burn_in, cut in ((rows, 4, rows * 2 // 3), (rows + 40, 9, rows // 2)):
        wave = np.sin(np.arange(count)[:, None] / np.array([3.1, 5.3, 7.7]) + rng.uniform(0, 6, 3))
        x = (wave + rng.normal(0, noise, wave.shape)).astype(np.float32)
        observed = np.stack([np.ones(count, bool), rng.random(count) < 0.8, np.zeros(count, bool)], axis=1)
        parts.append(SplitSegment(Segment(x, observed), burn_in, cut))
    return parts


def expected_head(layers: list[CellWeights], parts: list[SplitSegment]) -> tuple[Doubles, float]:
    """Solve for every ridge and output alone; return the solution [D, R + 1] of the best ridge, and that ridge."""
    solutions, errors = {}, {}
    hidden = [run_stack(layers, part.segment.x[None])[0].astype(np.float64) for part in parts]
    for ridge in RIDGES:
        solution, error = np.zeros((CHANNELS * (1 + FORECAST), UNITS + 1)), 0.0
        for column in range(len(solution)):
            ahead, channel = divmod(column, CHANNELS)
            fit, held_out = list[tuple[Doubles, float]](), list[tuple[Doubles, float]]()
            for outputs, part in zip(hidden, parts, strict=True):
                for row in range(part.burn_in, len(outputs) - FORECAST):
                    if part.cut - FORECAST <= row < part.cut or not part.segment.observed[row + ahead, channel]:
                        continue  # what it forecasts lies on both sides of the cut
                    pair = np.append(outputs[row], 1.0), float(part.segment.x[row + ahead, channel])
                    (fit if row < part.cut else held_out).append(pair)
            if fit:
                a, z = np.array([one for one, _ in fit]), np.array([one for _, one in fit])
                penalty = np.full(UNITS + 1, ridge * np.square(a[:, :-1]).sum() / UNITS)
                penalty[-1] = 0
                solution[column] = np.linalg.solve(a.T @ a + np.diag(penalty), a.T @ z)
            error += sum((float(solution[column] @ one) - target) ** 2 for one, target in held_out)
        solutions[ridge], errors[ridge] = solution, error
    best = min(RIDGES, key=errors.__getitem__)
    return solutions[best], best


@pytest.mark.parametrize(
    ("ridge", "rows", "noise", "size", "seed"),
    [(1e-1, 40, 0.8, 0.5, 0), (1e-3, 40, 1.0, 0.01, 4), (1e-5, 60, 0.3, 0.5, 5), (1e-7, 90, 0.1, 0.5, 0)],
)
def test_the_head_solves_the_normal_equations_with_the_ridge_that_validates_best(
    ridge: float, rows: int, noise: float, size: float, seed: int
) -> None:
    parts, layers = parts_of(rows, noise=noise, size=size, seed=seed), [layer(size)]
    expected, best = expected_head(layers, parts)
    assert best == ridge
    weight, bias = fit_head(layers, parts, forecast=FORECAST)
    np.testing.assert_allclose(np.column_stack([weight, bias]), expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    assert not weight[2::3].any() and not bias[2::3].any()  # of a channel that is never seen nothing is known


def test_long_series_are_summed_in_pieces_that_leave_no_row_out() -> None:
    """A series as one part, and cut into rows that are many parts: their sums are the same."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(9000, CHANNELS)).astype(np.float32)
    flat = CellWeights(  # without memory, so a part's outputs do not depend on what came before it
        CellKind.RNN,
        rng.normal(0, 0.7, (UNITS, CHANNELS)).astype(np.float32),
        np.zeros((UNITS, UNITS), np.float32),
        np.zeros(UNITS, np.float32),
    )
    seen = np.ones((9000, CHANNELS), bool)
    whole = fit_head([flat], [SplitSegment(Segment(x, seen), 0, 8700)], forecast=1)
    edges = range(0, 8700, 300)
    pieces = [
        SplitSegment(Segment(x[at : at + 301], seen[at : at + 301]), 0, 301 if at + 301 <= 8700 else 300)
        for at in edges
    ]
    tail = SplitSegment(Segment(x[8700:], seen[8700:]), 0, 0)
    for one, other in zip(whole, fit_head([flat], [*pieces, tail], forecast=1), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_layers_that_say_nothing_leave_the_means() -> None:
    silent = CellWeights(
        CellKind.RNN,
        np.zeros((UNITS, CHANNELS), np.float32),
        np.zeros((UNITS, UNITS), np.float32),
        np.zeros(UNITS, np.float32),
    )
    x = np.random.default_rng(4).normal(2, 1, (80, CHANNELS)).astype(np.float32)
    weight, bias = fit_head([silent], [SplitSegment(Segment(x, np.ones(x.shape, bool)), 5, 60)], forecast=1)
    assert not weight.any()
    np.testing.assert_allclose(bias, [*x[5:59].mean(axis=0), *x[6:60].mean(axis=0)], rtol=1e-5)
