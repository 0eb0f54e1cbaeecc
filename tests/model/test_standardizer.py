"""Mean and scale by channel, and channels that have none."""

import numpy as np
import pytest

from streamlstm.errors import ShapeError
from streamlstm.model.standardizer import Standardizer


def test_observed_samples_get_mean_zero_and_deviation_one() -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(5000, 3)) * [2.0, 300.0, 1e-4] + [-7.0, 1e5, 0.02]).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    standardizer = Standardizer.fit(values)
    x = standardizer.apply(values)
    np.testing.assert_array_equal(np.isnan(x), np.isnan(values))
    np.testing.assert_allclose(np.nanmean(x, axis=0, dtype=np.float64), 0, atol=1e-3)
    np.testing.assert_allclose(np.nanstd(x, axis=0, dtype=np.float64), 1, atol=1e-3)
    assert x.dtype == standardizer.mean.dtype == standardizer.scale.dtype == np.float32


def test_a_constant_channel_shows_a_change_of_one_percent_as_one() -> None:
    values = np.tile(np.array([101_325.0, -0.004, 0.0, np.nan], np.float32), (50, 1))
    standardizer = Standardizer.fit(values)
    np.testing.assert_allclose(standardizer.scale, [1013.25, 4e-5, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(standardizer.mean, [101_325.0, -0.004, 0, 0], rtol=1e-6)


def test_rounding_is_not_a_signal_but_a_small_signal_is() -> None:
    rounding = np.where(np.arange(100) % 2, np.float32(1e6), np.nextafter(np.float32(1e6), np.float32(2e6)))
    small = 1e6 + 10 * np.sin(np.arange(100))
    standardizer = Standardizer.fit(np.stack([rounding, small], axis=1).astype(np.float32))
    assert standardizer.scale[0] == pytest.approx(1e4, rel=1e-3)
    assert standardizer.scale[1] == pytest.approx(7.07, rel=0.05)


def test_huge_values_and_infinity_do_not_break_it() -> None:
    values = np.array([[3e38, np.inf], [-3e38, 1.0], [3e38, 3.0]], np.float32)
    standardizer = Standardizer.fit(values)
    np.testing.assert_allclose(
        standardizer.apply(np.array([[2e38, 3]], np.float32)), [[1e38 / 2.828427e38, 1]], rtol=1e-5
    )
    assert standardizer.apply(values)[1, 0] == -np.inf
    assert standardizer.mean[1] == 2.0


def test_wrong_shapes_and_scales_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected \[T, C\]"):
        Standardizer.fit(np.zeros(4))
    with pytest.raises(ShapeError, match="scale"):
        Standardizer(np.zeros(2, np.float32), np.ones(3, np.float32))
    with pytest.raises(ShapeError, match="positive"):
        Standardizer(np.zeros(2, np.float32), np.array([1, 0], np.float32))
