"""Tails: right where the distribution is known, sane where data are few, constant or heavy."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import expon, genpareto
from scoring.calibration_oracle import knots_of

from streamlstm.scoring.tails import Tail, fit_tail, grimshaw

LEAST = float(np.finfo(np.float32).tiny)


def even_sample(shape: float, count: int) -> NDArray[np.float64]:
    """The quantiles of a generalised Pareto distribution of scale 3 in the middles of `count` equal steps."""
    return np.asarray(genpareto.ppf((np.arange(count) + 0.5) / count, shape, scale=3.0))


def likeliest(excesses: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return what scipy's densities make of 200 ratios of shape to scale, one by one: likelihood, shape and scale."""
    tried = []
    for k in range(200):
        ratio = 10 ** (5 * k / 199 - 3) / excesses.mean()
        shape = sum(math.log(1 + ratio * excess) for excess in excesses) / len(excesses)
        tried.append((float(genpareto.logpdf(excesses, shape, scale=shape / ratio).sum()), shape, shape / ratio))
    return max(tried)


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


@pytest.mark.parametrize(
    ("sampled", "count", "shape", "scale"),
    [
        (0.05, 400, 0.04354678068657414, 3.016640382285964),
        (0.25, 400, 0.246091156455107, 3.008471993000847),
        (0.45, 400, 0.43964187755699724, 3.027453922712512),
        (0.25, 9, 0.05735743136668346, 3.4395978123994717),
    ],
)
def test_the_likeliest_of_200_candidates_is_taken(sampled: float, count: int, shape: float, scale: float) -> None:
    """The numbers are those of `likeliest`: the grid is part of a model's calibration, and bundles were made on it."""
    excesses = even_sample(sampled, count)
    assert grimshaw(excesses) == pytest.approx((shape, scale), rel=1e-9)
    likelihood, *fit = likeliest(excesses)
    assert fit == pytest.approx([shape, scale], rel=1e-9)
    assert likelihood > expon.logpdf(excesses, scale=excesses.mean()).sum()


def test_a_shape_within_the_bounds_is_taken_and_one_outside_is_held_with_the_mean_excess() -> None:
    excesses = even_sample(0.25, 400)
    shape, scale = grimshaw(excesses)
    assert grimshaw(excesses, lightest=shape) == (shape, scale)
    above = math.nextafter(shape, 1.0)
    assert grimshaw(excesses, lightest=above) == pytest.approx((above, 3.9793558730041445 * (1 - above)), rel=1e-12)
    heavy, bounded = even_sample(1.2, 400), even_sample(-0.3, 400)
    assert grimshaw(heavy, lightest=0.15) == pytest.approx((0.5, 45.11177294565183 / 2), rel=1e-12)
    assert grimshaw(bounded) == pytest.approx((0.0, 2.3074645461535948), rel=1e-12)
    assert grimshaw(bounded, lightest=0.15) == pytest.approx((0.15, 2.3074645461535948 * 0.85), rel=1e-12)


@pytest.mark.parametrize(
    ("sampled", "count", "excesses", "shape", "scale"),
    [
        (0.4, 120, 24, 0.3200206304905242, 6.127712358143233),  # a fifth of short data
        (0.25, 400, 40, 0.1967189519113744, 5.616919831025642),  # the wanted 40
        (0.45, 4000, 80, 0.43080569273797176, 17.773963852126716),  # a fiftieth of long data
        (0.9, 40, 8, 0.5, 34.01608801412441 / 2),  # the fewest that are fitted, and a heavier tail than is allowed
    ],
)
def test_knots_and_fit_of_a_sample(sampled: float, count: int, excesses: int, shape: float, scale: float) -> None:
    """The fits are those of `likeliest` on the excesses over the last knot."""
    sample = even_sample(sampled, count)
    tail = fit_tail(sample)
    knots, surprises = knots_of(sample)
    assert tail.statistic == pytest.approx(knots, rel=1e-12)
    assert tail.surprise == pytest.approx(surprises, rel=1e-12, abs=1e-15)
    assert (sample > tail.statistic[-1]).sum() == excesses
    assert (tail.shape, tail.scale) == pytest.approx((shape, scale), rel=1e-9)


def test_the_least_shape_reaches_the_fit() -> None:
    found = [fit_tail(even_sample(-0.4, 400), lightest=lightest) for lightest in (0.0, 0.15)]
    assert [(tail.shape, tail.scale) for tail in found] == [
        (0.0, pytest.approx(0.8639839311811656, rel=1e-12)),
        (0.15, pytest.approx(0.8639839311811656 * 0.85, rel=1e-12)),
    ]


@pytest.mark.parametrize(
    ("sample", "scale"),
    [
        (np.arange(35.0), 34.0),  # seven excesses, one too few: the spread
        (1000 + np.arange(35.0), 1027.2),  # or the last knot, where that is more
        (np.full(100, 2.5), 2.5),
        (np.zeros(100), 1e-9),
        (np.array([3.0]), 3.0),
        (np.repeat([0.0, 5.0], [70, 30]), 5.0),  # the last knot is the greatest value: what equals it is no excess
    ],
)
def test_without_excesses_the_scale_is_the_spread(sample: NDArray[np.float64], scale: float) -> None:
    tail = fit_tail(sample, lightest=0.15)
    assert (tail.shape, tail.scale) == (0.15, pytest.approx(scale, rel=1e-14))


def test_what_is_smaller_than_the_least_float32_is_nothing() -> None:
    just_below = math.nextafter(LEAST, 0.0)
    assert fit_tail(np.full(50, LEAST)).statistic.tolist() == [LEAST] * 32
    assert fit_tail(np.full(50, just_below)).statistic.tolist() == [0.0] * 32
