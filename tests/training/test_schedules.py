"""The learning rate of every schedule, and what counts as better."""

import math

import numpy as np
import pytest

from streamlstm.training.options import TrainerOptions
from streamlstm.training.schedules import is_better, learning_rate


def rates(schedule: str, losses: list[float] | None = None, *, max_updates: int = 200, patience: int = 8) -> np.ndarray:
    o = TrainerOptions(
        schedule=schedule,  # type: ignore[arg-type]  # the parametrised names are those of the type
        learning_rate=0.02,
        max_updates=max_updates,
        patience=patience,
    )
    return np.array([learning_rate(o, update, losses or []) for update in range(1, max_updates + 1)])


def test_cosine_rises_then_falls_to_a_hundredth() -> None:
    cosine = rates("cosine")
    assert cosine[0] == pytest.approx(0.002)
    assert cosine[9] == pytest.approx(0.02)
    assert cosine[104] == pytest.approx(0.02 * 0.505)  # half-way down
    assert cosine[-1] == pytest.approx(0.0002)
    assert np.all(np.diff(cosine[:10]) > 0)
    assert np.all(np.diff(cosine[9:]) < 0)
    assert (
        rates("cosine", max_updates=10)[0] == rates("cosine", max_updates=1)[0] == 0.02
    )  # the first is the last rising


def test_one_cycle_peaks_at_three_tenths_and_ends_at_nothing() -> None:
    cycle = rates("one_cycle")
    assert 0.02 / 25 < cycle[0] < 0.02 / 20
    assert int(np.argmax(cycle)) == 59 and cycle[59] == pytest.approx(0.02)
    assert cycle[29] == pytest.approx(0.02 * 0.52)  # half-way up
    assert cycle[129] == pytest.approx(0.01)  # half-way down
    assert cycle[-1] == pytest.approx(0, abs=1e-12)


def test_plateau_halves_when_nothing_better_came() -> None:
    assert rates("plateau", [1.0, 0.9, 0.8])[50] == pytest.approx(0.02)
    assert rates("plateau", [1.0, 0.9, 0.95])[50] == pytest.approx(0.02)
    assert rates("plateau", [1.0, 0.9, 0.95, 0.9])[50] == pytest.approx(0.01)  # a quarter of the patience: two points
    assert rates("plateau", [1.0, 0.9, 0.95, 0.9, 0.7, 0.7])[50] == pytest.approx(0.01)
    assert rates("plateau", [1.0, 0.9, 0.95, 0.9, 0.7, 0.7, 0.7])[50] == pytest.approx(0.005)
    assert rates("plateau", [1.0] * 60)[50] == pytest.approx(0.0002)
    assert rates("plateau", [1.0] * 60)[9] == pytest.approx(0.02)  # the last of the warm-up
    assert rates("plateau", [1.0, 1.0], patience=3)[50] == pytest.approx(0.01)  # of a short patience: one point


def test_constant_is_constant() -> None:
    assert np.all(rates("constant") == 0.02)


def test_better_is_more_than_noise_also_below_zero() -> None:
    assert is_better(0.99, 1.0) and not is_better(0.9995, 1.0)
    assert is_better(-1.01, -1.0) and not is_better(-1.0005, -1.0) and not is_better(-0.9, -1.0)
    assert is_better(9.985, 10.0) and not is_better(9.995, 10.0)  # a share of the best
    assert not is_better(1.0 - 1e-3, 1.0)
    assert is_better(5.0, math.inf) and not is_better(math.nan, 1.0)
