"""The window that a plan chooses, what it takes of the data to train and to validate on, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streamlstm.errors import DataError, UsageError
from streamlstm.training.options import WINDOW_OPTIONS
from streamlstm.training.windows.plan import WindowPlan, make_window_plan

RNG = np.random.default_rng(6)
NOISE = RNG.normal(size=(900, 2)).astype(np.float32)


def plan_of(rows: int, **options: Any) -> WindowPlan:
    return make_window_plan(NOISE[:rows], arrangement="bidirectional", **options)


@pytest.mark.parametrize(
    ("rows", "window"),
    [
        (900, 90),  # half of the rows that are left to calibrate on
        (500, 50),
        (110, 11),
        (100, 10),
    ],
)
def test_the_window_is_seen_twice_in_what_calibrates(rows: int, window: int) -> None:
    plan = plan_of(rows)
    assert (plan.architecture.rows, plan.options.bptt_steps) == (window, window)
    assert plan.choices[0] == f"bidirectional: scores whole windows of {window} rows, recordings only"
    assert plan.options.batch == max(min(16, int(rows * 0.6) // 4 // window), 4)  # a quarter of the rows an update


def test_the_longest_stream_decides() -> None:
    both = make_window_plan({"a": NOISE[:100], "b": NOISE[:500]}, arrangement="encoder_decoder")
    assert both.architecture.rows == 50
    assert make_window_plan({"a": np.tile(NOISE, (3, 1))}, arrangement="encoder_decoder").architecture.rows == 128


def test_a_window_that_is_given_is_kept_up_to_twice_what_calibrates() -> None:
    assert plan_of(500, window=200).architecture.rows == plan_of(500, window=201).architecture.rows - 1 == 200
    with pytest.raises(DataError, match=r"window: expected at most 200 rows, .* got 202"):
        plan_of(500, window=202)
    assert plan_of(900, window=30).options.batch == 4  # 135 rows an update
    with pytest.raises(UsageError, match="rows: expected at least 4, got 1"):
        plan_of(500, window=1)


def test_what_is_given_is_kept_and_said() -> None:
    plan = plan_of(500, hidden=5, cell="gru", layers=2, max_updates=7, seed=3)
    assert (plan.architecture.hidden, plan.architecture.cells) == (5, ("gru", "gru"))
    assert plan_of(500).architecture.cells == ("lstm",) and plan_of(500, layers=2).architecture.cells == ("lstm",) * 2
    assert plan_of(500, cell="gru").architecture.cells == ("gru",)
    assert (plan.options.hidden, plan.options.max_updates, plan.options.seed) == (5, 7, 3)
    assert set(plan.settings) == {"arrangement", "window", "hidden", "cells", *WINDOW_OPTIONS}
    assert plan.identity == plan.settings
    assert not any("rebuil" in one or "reconstructs" in one or "forecasts" in one for one in plan.choices)


def test_training_and_validation_have_their_own_rows() -> None:
    values = NOISE[:500].copy()
    values[100:180] = np.nan  # longer than any hole that a window may have
    plan = make_window_plan(values, arrangement="bidirectional", window=16)
    training = plan.trainable()
    assert [len(part.x) for part in training._training] == [100, 120]
    assert [len(part.x) for part in training._validation] == [100]
    expected = plan.standardizer.apply(values[300:400])
    np.testing.assert_allclose(training._validation[0].x, expected, atol=1e-6)
    with pytest.raises(UsageError, match="freeze: expected nothing with bidirectional, got head"):
        plan.trainable(frozen=("head",))
