"""Admission: what becomes of a sample by its time and its values; what is wrong is refused before anything changes."""

from __future__ import annotations

import numpy as np
import pytest
from kernels.wrong_arguments import Arguments, accepts_arrays_that_touch, refuses, refuses_a_wrong, refuses_a_wrong_slot

from streamlstm.kernels import NEVER, admit
from streamlstm.types import Status

N, C, S = 5, 3, 4
OUTPUTS = ("last_time", "last", "ages", "holes", "status", "reset", "observed", "measured", "x", "row_ages")


def a_call() -> Arguments:
    """Five samples of three streams in four slots: one new, one late, one after a gap, one forgotten, one imputed."""
    rng = np.random.default_rng(1)
    values = rng.normal(5, 2, (N, C)).astype(np.float32)
    values[4, 1] = np.nan
    return {
        "slots": np.array([0, 1, 1, 3, 3]),
        "event_time_ms": np.array([10, 999, 2200, 9000, 9001]),
        "values": values,
        "mean": np.array([4, 5, 6], np.float32),
        "scale": np.array([1, 2, 0.01], np.float32),
        "reset_after_ms": 1000,
        "forget_after_ms": 5000,
        "hole_rows": 3,
        "settle_rows": 2,
        "limit": 20.0,
        "last_time": np.array([NEVER, 1000, 7, 1000]),
        "last": rng.normal(size=(S, C)).astype(np.float32),
        "ages": np.array([0, 7, 3, 40]),
        "holes": np.array([0, 5, 5, 5]),
        "status": np.full(N, 9, np.uint8),
        "reset": np.full(N, 9, np.uint8),
        "observed": np.full((N, C), 9, np.uint8),
        "measured": np.full(N, 9, np.uint8),
        "x": np.full((N, C), 9, np.float32),
        "row_ages": np.full(N, 99),
    }


def test_admits_each_sample_by_its_time_and_its_values() -> None:
    a = a_call()
    admit(**a)
    assert a["status"].tolist() == [Status.READY, Status.LATE, Status.GAP, Status.READY, Status.IMPUTED]
    assert a["reset"].tolist() == [0, 0, 1, 2, 0]
    assert a["last_time"].tolist() == [10, 2200, 7, 9001]
    on_time = [0, 2, 3, 4]
    assert a["observed"][on_time].tolist() == [[1, 1, 1]] * 3 + [[1, 0, 1]]
    z = np.clip((a["values"] - a["mean"]) / a["scale"], -20, 20)
    z[4, 1] = z[3, 1]  # carried forward
    assert np.allclose(a["x"][on_time], z[on_time], rtol=1e-6)
    assert (np.abs(a["x"][on_time]) == 20).any(), "the third channel is clipped"
    assert np.array_equal(a["last"][[0, 1, 3]], a["x"][[0, 2, 4]])
    assert a["row_ages"][on_time].tolist() == [0, 0, 0, 1]
    assert a["ages"].tolist() == [1, 1, 3, 2]
    assert a["measured"].tolist() == [1, 0, 1, 1, 1]
    assert a["holes"].tolist() == [0, 0, 5, 0], "a stream that begins again is in no hole"
    assert (a["x"][1] == 9).all() and a["row_ages"][1] == 99, "a late row is left as it was"


def test_a_stream_settles_after_a_hole_that_is_long_enough() -> None:
    """Holes of two rows, of three, and of one in the two rows that settle; one value of three is no hole."""
    present = [1, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1]
    values = np.where(np.array(present)[:, None], 5, np.nan) * np.ones(C)
    values[:, 1:] = np.nan
    rows = len(present)
    a = a_call() | {
        "slots": np.zeros(rows, np.int64),
        "event_time_ms": np.arange(rows),
        "values": values.astype(np.float32),
        "status": np.empty(rows, np.uint8),
        "reset": np.empty(rows, np.uint8),
        "observed": np.empty((rows, C), np.uint8),
        "measured": np.empty(rows, np.uint8),
        "x": np.empty((rows, C), np.float32),
        "row_ages": np.empty(rows, np.int64),
    }
    admit(**a)
    assert a["measured"].tolist() == [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    settling = [7, 9]
    assert a["status"].tolist() == [Status.WARMING if row in settling else Status.IMPUTED for row in range(rows)]
    assert a["observed"][:, 0].tolist() == present
    assert a["holes"][0] == 0


def test_a_gap_may_be_longer_than_the_largest_number_of_milliseconds() -> None:
    for reset_after_ms, forget_after_ms, status, reset in (
        (1, 0, Status.GAP, 1),
        (0, 1, Status.READY, 2),
        (2**63 - 1, 2**63 - 1, Status.READY, 2),
        (0, 0, Status.READY, 0),
    ):
        a = a_call() | {"reset_after_ms": reset_after_ms, "forget_after_ms": forget_after_ms}
        a["last_time"][0], a["event_time_ms"][0] = NEVER + 1, 2**63 - 1
        admit(**a)
        assert (a["status"][0], a["reset"][0]) == (status, reset)


@pytest.mark.parametrize("name", [name for name, value in a_call().items() if isinstance(value, np.ndarray)])
def test_an_array_that_does_not_fit_is_refused_before_anything_changes(name: str) -> None:
    refuses_a_wrong(name, admit, a_call(), OUTPUTS)


def test_slots_out_of_range_are_refused() -> None:
    refuses_a_wrong_slot(admit, a_call(), S)


def test_ages_that_cannot_be_are_refused() -> None:
    a = a_call()
    a["ages"][3] = -2
    refuses(admit, a, "^ages: expected 0 or more, got -2", "ages")


def test_a_limit_that_is_none_is_refused() -> None:
    for limit in (0.0, -1.0, np.nan):
        refuses(admit, a_call() | {"limit": limit}, "^limit: expected a number above 0", str(limit))


def test_holes_that_cannot_be_are_refused() -> None:
    for change in ({"hole_rows": 0}, {"settle_rows": -1}):
        refuses(admit, a_call() | change, "^expected hole_rows above 0", str(change))


def test_neighbours_in_memory_and_no_samples_are_accepted() -> None:
    accepts_arrays_that_touch(admit, a_call())
    of_samples = ("slots", "event_time_ms", "values", "status", "reset", "observed", "measured", "x", "row_ages")
    a = a_call()
    admit(**(a | {name: a[name][:0] for name in of_samples}))
    assert a["last_time"].tolist() == [NEVER, 1000, 7, 1000]


def test_arguments_of_one_type_are_given_by_name() -> None:
    a = a_call()
    with pytest.raises(TypeError):
        admit(*a.values())
