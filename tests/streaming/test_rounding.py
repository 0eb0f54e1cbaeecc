"""Arrays are rounded as text rounds single numbers: equal to the bit, ties and the ends of the range too."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streamlstm.streaming.rounding import decimals, significant

ANY = st.one_of(
    st.floats(width=64),
    st.floats(width=32),
    st.integers(-(10**9), 10**9).map(lambda n: n / 64),  # ties that binary holds exactly
    st.builds(lambda digits, place: digits * 10.0**place, st.integers(-(10**7), 10**7), st.integers(-12, 6)),
)


def bits(values: list[float]) -> bytes:
    array = np.array(values)
    return np.where(np.isnan(array), np.nan, array).tobytes()  # the sign of a NaN says nothing


@given(arrays(np.float64, st.integers(0, 12), elements=ANY))
@example(np.array([999999.5, 9.9999949999, 1.953125e-3, -1.953135e2]))
@example(np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, -1.7e308, 1e22, 1e23]))
def test_significant_digits_are_those_of_text(values: np.ndarray) -> None:
    assert bits(significant(values, 6).tolist()) == bits([float(f"{v:.6g}") for v in values.tolist()])


@given(arrays(np.float64, st.integers(0, 12), elements=st.one_of(ANY, st.floats(0, 1, width=32))))
@example(np.array([0.0, -0.0, np.inf, 0.00005, 0.00015, 0.03125, 2.00000025, 1.7e308, -1e-9]))
def test_decimals_are_those_of_round(values: np.ndarray) -> None:
    for digits in (4, 6):
        assert bits(decimals(values, digits).tolist()) == bits([round(v, digits) for v in values.tolist()])


def test_float32_is_rounded_as_the_number_that_it_holds() -> None:
    values = np.random.default_rng(5).normal(0, [[1e-6], [1.0], [3e5]], (3, 20_000)).astype(np.float32)
    expected = [[float(f"{v:.6g}") for v in row] for row in values.tolist()]
    assert significant(values, 6).tolist() == expected
    assert decimals(values, 4).tolist() == [[round(v, 4) for v in row] for row in values.tolist()]


def test_every_power_of_ten_and_every_near_tie_is_rounded_as_text() -> None:
    """Seven digits of which the last is a 5: scaled by a power of ten, many look like ties and are none."""
    rng = np.random.default_rng(6)
    mantissas = rng.integers(10**5, 10**6, 120) * 10 + 5
    near_ties = [float(f"{mantissa}e{power}") for power in range(-330, 303) for mantissa in mantissas[:20]]
    others = (rng.uniform(1, 10, (633, 20)) * 10.0 ** np.arange(-325, 308)[:, None]).ravel().tolist()
    values = [*near_ties, *others, *(-mantissas / 10**7)]
    assert significant(np.array(values), 6).tolist() == [float(f"{v:.6g}") for v in values]
    for digits in (4, 6):
        values = [float(f"{mantissa}e-{digits + 1}") for mantissa in mantissas]
        assert decimals(np.array(values), digits).tolist() == [round(v, digits) for v in values]
