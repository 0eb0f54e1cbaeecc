"""The validation loss against its definition, written out row by row; and the sums that it is made of."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from kernels.oracle import run

from streamlstm.training.causal.loss import LossSums
from streamlstm.training.causal.trainable import causal_architecture
from streamlstm.training.causal.validation import Validator
from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import Parameters, cell_weights, initial_parameters
from streamlstm.training.segments import Segment

K, P, T, B, H, C = 4, 2, 8, 20, 3, 2
OPTIONS = TrainerOptions(hidden=H, reconstruct=K, forecast=P, bptt_steps=T, batch=2, reset_every=B, burn_in=3)


def parameters_of(o: TrainerOptions) -> Parameters:
    rng = np.random.default_rng(4)
    found = initial_parameters(causal_architecture(o, channels=C), rng)
    for array in found.values():
        array += rng.normal(0, 0.3, array.shape).astype(np.float32)
    return found


def series(rows: int, seed: int) -> Segment:
    rng = np.random.default_rng(seed)
    x = rng.normal(0.3, 1, (rows, C)).astype(np.float32)
    return Segment(x, rng.random(x.shape) > 0.15)


def sequences(count: int) -> list[tuple[int, int]]:
    """Cuts every B rows, none that leaves less than T."""
    edges = [0, *(cut for cut in range(B, count, B) if T <= cut <= count - T), count]
    return list(pairwise(edges))


def expected_loss(parts: list[Segment], parameters: Parameters, *, most: int = 64) -> float:
    cut = [(part, begin, until) for part in parts for begin, until in sequences(len(part.x))]
    if len(cut) > most:
        cut = [cut[round(place)] for place in np.linspace(0, len(cut) - 1, most)]
    rebuilt, foreseen = list[float](), list[float]()
    for part, begin, until in cut:
        end = min(begin + math.ceil((until - begin) / T) * T, len(part.x))  # a lane moves on by T rows at a time
        outputs, _ = run(cell_weights(OPTIONS.cells, parameters), part.x[begin:end, None], np.zeros((1, 2 * H)))
        for row in range(begin + OPTIONS.burn_in, end):
            y = outputs[row - begin][0] @ parameters["head.weight"].T.astype(np.float64) + parameters["head.bias"]
            for at, estimate in zip(range(row - K + 1, row + P + 1), y.reshape(K + P, C), strict=True):
                if begin <= at < len(part.x):
                    squares = np.square(estimate - part.x[at])[part.observed[at]].tolist()
                    (rebuilt if at <= row else foreseen).extend(squares)
    return 0.5 * (float(np.mean(rebuilt)) + float(np.mean(foreseen)))


@pytest.mark.parametrize("lengths", [(50, 23, 9), (20 * 75,)], ids=["several series", "more than 64 sequences"])
def test_the_loss_is_the_mean_of_both_heads_over_every_row_that_counts(lengths: tuple[int, ...]) -> None:
    parts = [series(rows, seed) for seed, rows in enumerate(lengths)]
    parameters = parameters_of(OPTIONS)
    validator = Validator(parts, OPTIONS)
    found = validator.measure(parameters)
    assert found == pytest.approx(expected_loss(parts, parameters), rel=1e-5)
    assert validator.measure(parameters) == found  # nothing is carried from one validation to the next


def test_without_rows_that_count_there_is_no_loss() -> None:
    parameters = parameters_of(OPTIONS)
    assert math.isnan(Validator([], OPTIONS).measure(parameters))
    unseen = Segment(np.zeros((40, C), np.float32), np.zeros((40, C), bool))
    assert math.isnan(Validator([unseen], OPTIONS).measure(parameters))


def test_sums_add_up_and_both_means_weigh_the_same() -> None:
    assert LossSums() == (0, 0, 0, 0) and LossSums().loss == 0
    both = LossSums(6.0, 3, 10.0, 5).plus(LossSums(2.0, 1, 4.0, 2))
    assert both == (8.0, 4, 14.0, 7)
    assert both.loss == 0.5 * (2.0 + 2.0)
    assert LossSums(3.0, 1, 0.0, 0).loss == 1.5 and LossSums(0.0, 0, 3.0, 1).loss == 1.5
