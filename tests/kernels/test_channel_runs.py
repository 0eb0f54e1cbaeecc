"""Runs of one value and holes, against a plain second computation; what does not fit is refused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels.wrong_arguments import Arguments, accepts_arrays_that_touch, refuses, refuses_a_wrong, refuses_a_wrong_slot

from streamlstm.kernels import FLAT, MISSING, advance_runs

N, C, S = 5, 3, 4
NAN = float("nan")
OUTPUTS = ("firsts", "runs", "holes", "run_since", "hole_since", "found", "since")


def a_call() -> Arguments:
    """Five samples of three streams in four slots; one begins anew."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(N, C)).astype(np.float32)
    values[1, 2] = NAN
    return {
        "slots": np.array([0, 2, 0, 3, 2]),
        "event_time_ms": np.arange(N) * 1000 + 50_000,
        "ages": np.array([5, 8, 6, 0, 9]),
        "values": values,
        "flat_after": np.array([2, 0, 4], np.int32),
        "missing_after": np.array([1, 2, 0], np.int32),
        "firsts": rng.normal(size=(S, C)).astype(np.float32),
        "runs": rng.integers(1, 9, (S, C)).astype(np.int32),
        "holes": np.zeros((S, C), np.int32),
        "run_since": rng.integers(1, 40_000, (S, C)),
        "hole_since": rng.integers(1, 40_000, (S, C)),
        "found": np.full((N, C), 99, np.uint8),
        "since": np.full((N, C), 99),
    }


@pytest.mark.parametrize("name", [name for name, value in a_call().items() if isinstance(value, np.ndarray)])
def test_an_array_that_does_not_fit_is_refused_before_anything_changes(name: str) -> None:
    refuses_a_wrong(name, advance_runs, a_call(), OUTPUTS, grows="firsts")


def test_slots_and_bounds_out_of_range_are_refused() -> None:
    refuses_a_wrong_slot(advance_runs, a_call(), S)
    for bound in (-1, 1):
        refuses(advance_runs, a_call() | {"flat_after": np.full(C, bound, np.int32)}, "^flat_after: expected", "flat")
    refuses(advance_runs, a_call() | {"missing_after": np.full(C, -1, np.int32)}, "^missing_after: expected", "holes")


def test_neighbours_in_memory_are_accepted() -> None:
    accepts_arrays_that_touch(advance_runs, a_call())


def found_in(columns: list[list[float]], begins: set[int], *, flat: int, missing: int) -> set[tuple[int, int, int]]:
    """What there is to find in one stream: (row, kind, row since), by channel 0, from the definition."""
    found, first, run, hole, run_row, hole_row = set(), NAN, 0, 0, 0, 0
    for row, (value,) in enumerate(columns):
        if row in begins:
            run = hole = 0
        if np.isfinite(value):
            hole = 0
            if run and abs(value - first) <= 1e-6 * abs(first):
                run += 1
            else:
                first, run, run_row = value, 1, row
            if run == flat > 0:
                found.add((row, FLAT, run_row))
        else:
            hole, hole_row = (hole + 1, hole_row) if hole else (1, row)
            if hole == missing > 0:
                found.add((row, MISSING, hole_row))
    return found


@given(
    st.lists(st.sampled_from([0.0, 1.0, 1.0000005, 2.0, NAN, float("inf"), -3e38]), max_size=40),
    st.sets(st.integers(1, 39), max_size=3),
    st.sets(st.integers(0, 39), max_size=5),
    st.sampled_from([0, 2, 3, 5]),
    st.sampled_from([0, 1, 2, 4]),
)
def test_finds_what_a_plain_computation_finds_in_any_batches(
    values: list[float], begins: set[int], cuts: set[int], flat: int, missing: int
) -> None:
    column = np.array(values, np.float32).reshape(-1, 1)
    ages = np.array([row - max(b for b in {0, *begins} if b <= row) for row in range(len(values))], np.int64)
    state = {
        "firsts": np.zeros((2, 1), np.float32),
        "runs": np.zeros((2, 1), np.int32),
        "holes": np.zeros((2, 1), np.int32),
        "run_since": np.zeros((2, 1), np.int64),
        "hole_since": np.zeros((2, 1), np.int64),
    }
    came = set()
    for begin, end in pairwise(sorted({0, len(values), *(cut for cut in cuts if cut < len(values))})):
        found, since = np.empty((end - begin, 1), np.uint8), np.empty((end - begin, 1), np.int64)
        advance_runs(
            np.ones(end - begin, np.int64),
            event_time_ms=np.arange(begin, end) * 1000,
            ages=ages[begin:end],
            values=column[begin:end],
            flat_after=np.array([flat], np.int32),
            missing_after=np.array([missing], np.int32),
            found=found,
            since=since,
            **state,
        )
        rows = np.flatnonzero(found[:, 0]).tolist()
        came |= {(begin + row, int(found[row, 0]), int(since[row, 0]) // 1000) for row in rows}
    plain = [[float(value)] for value in column[:, 0]]
    assert came == found_in(plain, begins, flat=flat, missing=missing)
    assert not any(array[0].any() for array in state.values()), "another stream"
