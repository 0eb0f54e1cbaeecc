"""One update of AdamW against float64, for every length of a vector's rest; on every level the same bits."""

import numpy as np
import pytest

from streamlstm.errors import ShapeError
from streamlstm.kernels import adamw_update, isas

RATES = {"beta1": 0.9, "beta2": 0.999, "decay": 0.97, "rate": 0.02, "correction": 3.7, "eps": 1e-8}


@pytest.mark.parametrize("size", [*range(1, 36), 1000])
def test_it_equals_float64(size: int) -> None:
    rng = np.random.default_rng(size)
    w, g, m = (rng.normal(0.3, 1, size).astype(np.float32) for _ in range(3))
    v = rng.uniform(0, 2, size).astype(np.float32)
    kept = g.copy()
    w64, g64, m64, v64 = (array.astype(np.float64) for array in (w, g, m, v))
    m64 = 0.9 * m64 + 0.1 * g64
    v64 = 0.999 * v64 + 0.001 * g64**2
    w64 = 0.97 * w64 - 0.02 * m64 / (3.7 * np.sqrt(v64) + 1e-8)
    adamw_update(w, g, m, v, **RATES)
    np.testing.assert_allclose(m, m64, rtol=5e-6, atol=1e-6)
    np.testing.assert_allclose(v, v64, rtol=5e-6, atol=1e-6)
    np.testing.assert_allclose(w, w64, rtol=5e-6, atol=1e-6)
    np.testing.assert_array_equal(g, kept)


@pytest.mark.parametrize("size", [1, 7, 33, 1000])
@pytest.mark.parametrize("level", isas())
def test_every_level_has_the_bits_of_float32_operation_by_operation(
    level: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is contracted to fewer roundings: NumPy, which rounds each operation, finds the same bits."""
    monkeypatch.setenv("STREAMLSTM_ISA", level)
    rng = np.random.default_rng(size)
    w, g, m = (rng.normal(0.3, 1, size).astype(np.float32) for _ in range(3))
    v = rng.uniform(0, 2, size).astype(np.float32)
    rates = {name: np.float32(rate) for name, rate in RATES.items()}
    one = np.float32(1)
    first = rates["beta1"] * m + (one - rates["beta1"]) * g
    second = rates["beta2"] * v + (one - rates["beta2"]) * (g * g)
    updated = rates["decay"] * w - rates["rate"] * first / (rates["correction"] * np.sqrt(second) + rates["eps"])
    adamw_update(w, g, m, v, **RATES)
    assert np.array_equal(m, first) and np.array_equal(v, second) and np.array_equal(w, updated)


def test_a_gradient_that_is_no_number_is_seen_in_the_parameter() -> None:
    w, m, v = np.ones(5, np.float32), np.zeros(5, np.float32), np.zeros(5, np.float32)
    adamw_update(w, np.array([1, np.nan, 1, np.inf, 1], np.float32), m, v, **RATES)
    assert np.isnan(w[[1, 3]]).all() and np.isfinite(w[[0, 2, 4]]).all()


def test_other_shapes_are_refused_before_anything_changes() -> None:
    w, m, v = (np.ones((2, 3), np.float32) for _ in range(3))
    with pytest.raises(ShapeError, match=r"gradient: expected float32 \[2, 3\]"):
        adamw_update(w, np.ones((3, 2), np.float32), m, v, **RATES)
    with pytest.raises(ShapeError, match="second: expected float32"):
        adamw_update(w, np.ones((2, 3), np.float32), m, v.astype(np.float64), **RATES)
    assert (w == 1).all() and (m == 1).all()
