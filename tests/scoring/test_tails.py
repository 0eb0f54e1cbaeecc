"""Tails: right where the distribution is known, sane where data are few, constant or heavy."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import genpareto

from streamlstm.scoring.tails import Tail, fit_tail, grimshaw


@pytest.mark.parametrize("shape", [0.0, 0.2, 0.4])
def test_grimshaw_finds_the_shape_of_a_generalised_pareto_sample(shape: float) -> None:
    excesses = genpareto.rvs(shape, scale=3.0, size=20_000, random_state=7)
    found_shape, found_scale = grimshaw(excesses)
    assert found_shape == pytest.approx(shape, abs=0.04)
    assert found_scale == pytest.approx(3.0, rel=0.06)


def test_grimshaw_agrees_with_scipy_maximum_likelihood() -> None:
    excesses = genpareto.rvs(0.3, scale=0.5, size=3_000, random_state=11)
    shape, _, scale = genpareto.fit(excesses, floc=0)
    found = grimshaw(excesses)
    assert found == pytest.approx((shape, scale), rel=0.05)


def test_a_bounded_tail_is_fitted_as_exponential() -> None:
    shape, scale = grimshaw(np.random.default_rng(1).uniform(0.001, 2.0, 5_000))
    assert shape == 0.0
    assert scale == pytest.approx(1.0, rel=0.05)


def test_a_too_heavy_tail_keeps_its_mean_excess() -> None:
    excesses = genpareto.rvs(1.5, size=2_000, random_state=5)
    shape, scale = grimshaw(excesses)
    assert shape == 0.5
    assert scale / (1 - shape) == pytest.approx(excesses.mean())


def test_surprise_of_exponential_data_is_the_data() -> None:
    values = np.random.default_rng(3).exponential(size=50_000)
    tail = fit_tail(values)
    at = np.array([0.1, 0.5, 1.0, 2.0, 4.0, 8.0])
    assert tail.surprise_of(at) == pytest.approx(at, rel=0.08, abs=0.02)


def test_false_alarm_rate_beyond_the_data_is_as_asked() -> None:
    rng = np.random.default_rng(9)
    tail = fit_tail(rng.gamma(2.0, size=5_000))
    surprise = tail.surprise_of(rng.gamma(2.0, size=2_000_000))
    for p in (1e-3, 1e-4, 1e-5):
        assert p / 3 < (surprise > -np.log(p)).mean() < 3 * p


@example([0.0, 2.2e-311], [0.0, 1.0])
@given(
    st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=200),
    st.lists(st.floats(0, 1e9, allow_nan=False), min_size=2, max_size=20),
)
def test_surprise_is_finite_not_negative_and_rises(sample: list[float], points: list[float]) -> None:
    tail = fit_tail(np.array(sample))
    surprise = tail.surprise_of(np.sort(np.array(points)))
    assert np.isfinite(surprise).all()
    assert (surprise >= 0).all()
    assert (np.diff(surprise) >= -1e-12).all()


def test_a_constant_statistic_does_not_divide_by_zero() -> None:
    tail = fit_tail(np.full(100, 2.5))
    assert isinstance(tail, Tail)
    assert np.isfinite(tail.surprise_of(np.array([0.0, 2.5, 2.6, 1e6]))).all()
    assert tail.surprise_of(np.array([2.5])) == 0.0
