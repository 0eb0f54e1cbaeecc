"""Standardised parts of series: what stands where a value is missing, and where one is out of all bounds."""

from __future__ import annotations

import numpy as np

from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.forward import INPUT_LIMIT
from streamlstm.training.segments import standardized_segment

NAN = np.nan


def test_a_missing_value_is_the_last_observed_one_and_before_any_the_mean() -> None:
    standardizer = Standardizer(np.array([10, -1, 0], np.float32), np.array([2, 0.5, 1], np.float32))
    values = np.array(
        [[14, NAN, NAN], [NAN, NAN, NAN], [NAN, 0.5, NAN], [8, -1, NAN], [NAN, NAN, NAN], [NAN, 1.5, NAN]], np.float32
    )
    part = standardized_segment(standardizer, values)
    np.testing.assert_array_equal(part.x, [[2, 0, 0], [2, 0, 0], [2, 3, 0], [-1, 0, 0], [-1, 0, 0], [-1, 5, 0]])
    np.testing.assert_array_equal(part.observed, np.isfinite(values))
    assert part.x.dtype == np.float32


def test_values_are_held_within_the_networks_bounds() -> None:
    standardizer = Standardizer(np.zeros(1, np.float32), np.ones(1, np.float32))
    part = standardized_segment(standardizer, np.array([[1e9], [-1e9], [INPUT_LIMIT - 1]], np.float32))
    np.testing.assert_array_equal(part.x[:, 0], [INPUT_LIMIT, -INPUT_LIMIT, INPUT_LIMIT - 1])
