"""Settled verdicts of streams: as they are defined; what is wrong is refused before anything changes."""

from __future__ import annotations

import numpy as np
import pytest
from kernels.wrong_arguments import Arguments, accepts_arrays_that_touch, refuses_a_wrong, refuses_a_wrong_slot

from streamlstm.errors import ShapeError
from streamlstm.kernels import settle_scores

N, S, L = 7, 3, 4
STATE = ("rings", "times", "ring_marks", "sums", "entered")
FOUND = ("settled", "settled_score", "settled_time_ms", "settled_mark")


def a_call(rows: int = N, length: int = L) -> Arguments:
    """Rows of two streams in three slots: one without a score, and one at which its stream begins anew."""
    rng = np.random.default_rng(rows)
    score = rng.uniform(0, 4, rows)
    score[1] = np.nan
    reset = np.zeros(rows, np.uint8)
    reset[-2] = 1
    return {
        "slots": rng.integers(0, 2, rows) * 2,
        "score": score,
        "reset": reset,
        "event_time_ms": np.arange(rows) * 10 + 1,
        "marks": np.arange(rows) * 3 + 2,
        "rings": np.zeros((S, length), np.uint32),
        "times": np.zeros((S, length), np.int64),
        "ring_marks": np.zeros((S, length), np.int64),
        "sums": np.zeros(S, np.int64),
        "entered": np.zeros(S, np.int64),
        "settled": np.full(rows, 99.0),
        "settled_score": np.full(rows, 99.0),
        "settled_time_ms": np.full(rows, 99),
        "settled_mark": np.full(rows, 99),
    }


@pytest.mark.parametrize("length", [1, 2, 5, 64])
def test_a_verdict_is_the_mean_of_the_scores_from_its_sample_on(length: int) -> None:
    a = a_call(600, length)
    settle_scores(**a)
    waiting: dict[int, list[int]] = {}
    for row, (slot, score, is_reset) in enumerate(zip(a["slots"], a["score"], a["reset"], strict=True)):
        rows = waiting.setdefault(slot, [])
        if is_reset:
            rows.clear()
        if not np.isnan(score):
            rows.append(row)
        if np.isnan(score) or len(rows) < length:
            assert np.isnan([a["settled"][row], a["settled_score"][row]]).all()
            assert a["settled_time_ms"][row] == a["settled_mark"][row] == 0
            continue
        first = rows[-length]
        assert a["settled"][row] == pytest.approx(np.mean(a["score"][rows[-length:]]), abs=2**-17)
        assert a["settled_score"][row] == pytest.approx(a["score"][first], abs=2**-17)
        assert (a["settled_time_ms"][row], a["settled_mark"][row]) == (a["event_time_ms"][first], a["marks"][first])


def test_the_sum_is_exact_however_high_the_scores_were() -> None:
    a = a_call(1000, 8)
    a["slots"][:], a["reset"][:] = 0, 0
    a["score"][:] = 0.25
    a["score"][100:150], a["score"][200], a["score"][300] = 1e300, np.inf, -1.0
    settle_scores(**a)
    assert a["settled"][150] == (7 * 65535 + 0.25) / 8
    assert (a["settled"][400:] == 0.25).all()


@pytest.mark.parametrize(
    ("name", "wrong"), [("entered", -1), ("entered", 2**63 - 1), ("sums", -1), ("sums", 2**63 - 1)]
)
def test_a_stream_whose_state_no_run_can_have_left_begins_anew(name: str, wrong: int) -> None:
    a, fresh = a_call(300), a_call(300)
    around = np.full((S + 2, L), 7, np.uint32)
    a["rings"], a[name][:] = around[1:-1], wrong
    settle_scores(**a)
    settle_scores(**fresh)
    assert (around[[0, -1]] == 7).all()
    assert np.array_equal(a["settled"], fresh["settled"], equal_nan=True)


@pytest.mark.parametrize("name", [name for name in a_call() if name != "slots"])
def test_settle_refuses_an_array_that_does_not_fit_before_anything_changes(name: str) -> None:
    refuses_a_wrong(name, settle_scores, a_call(), (*STATE, *FOUND))


def test_settle_refuses_slots_that_there_are_not_and_rings_without_room() -> None:
    refuses_a_wrong_slot(settle_scores, a_call(), S)
    with pytest.raises(ShapeError, match=r"^rings: expected room for at least one score"):
        settle_scores(**a_call(length=0))


def test_settle_accepts_arrays_that_touch() -> None:
    accepts_arrays_that_touch(settle_scores, a_call())
