"""What is summed of young streams, against a loop in plain Python; and what the face refuses."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from streamlstm.errors import ShapeError
from streamlstm.kernels import NEVER, follow_young

SLOTS, CHANNELS = 3, 2
AGES = [4, 9]
MEAN, SCALE, CAPS = [1.0, -2.0], [2.0, 0.5], [1.5, 4.0]


def state() -> dict[str, np.ndarray[Any, Any]]:
    return {
        "last_time": np.full(SLOTS, NEVER, np.int64),
        "rows": np.zeros(SLOTS, np.int64),
        "times": np.zeros(SLOTS, np.int64),
        "sums": np.zeros((SLOTS, 2, CHANNELS)),
        "counts": np.zeros((SLOTS, 2, CHANNELS), np.int32),
        "last": np.zeros((SLOTS, CHANNELS), np.float32),
        "units": np.zeros((SLOTS, 2, CHANNELS), np.float32),
        "pending": np.zeros(SLOTS, np.uint8),
    }


def call(slots: list[int], times: list[int], values: np.ndarray[Any, Any], held: dict[str, Any], **changed: Any) -> int:
    given = {
        "event_time_ms": np.array(times, np.int64),
        "values": np.ascontiguousarray(values, np.float32),
        "mean": np.array(MEAN, np.float32),
        "scale": np.array(SCALE, np.float32),
        "caps": np.array(CAPS),
        "ages": np.array(AGES, np.int64),
        "forget_after_ms": 0,
    }
    return follow_young(np.array(slots, np.int64), **(given | held | changed))


def test_sums_until_the_last_age() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(0, 3, (12, CHANNELS)).astype(np.float32)
    values[3, 0] = values[5, 1] = np.nan
    held, first = state(), 0
    while first < 12:
        done = call([1] * (12 - first), list(range(first, 12)), values[first:], held)
        first += done
        held["last_time"][1] = first - 1
        assert held["pending"].tolist() == [0, 1 if first in AGES else 0, 0]
        held["pending"][:] = 0
    assert held["rows"].tolist() == [0, 9, 0]
    z = (values[:9].astype(float) - MEAN) / SCALE
    for c in range(CHANNELS):
        seen = [one for one in z[:, c] if not math.isnan(one)]
        moves = [min(abs(b - np.float32(a)), CAPS[c]) for a, b in pairwise(seen)]
        assert held["sums"][1, :, c] == pytest.approx([sum(seen), sum(one * one for one in moves)])
        assert held["counts"][1, :, c].tolist() == [len(seen), len(moves)]
    assert not held["sums"][[0, 2]].any()


def test_late_samples_are_left_out_and_sums_stay_finite() -> None:
    held = state()
    held["last_time"][0] = 50
    values = np.array([[1, 1], [3e38, -3e38], [2, 2]], np.float32)
    assert call([0, 0, 0], [40, 60, 60], values, held) == 3
    assert held["rows"][0] == 1 and held["sums"][0, 0].tolist() == [1e6, -1e6]


def test_a_forgotten_stream_with_units_that_it_had_in_the_call_ends_the_call() -> None:
    held = state()
    held["units"][0] = 2.0
    values = np.ones((3, CHANNELS), np.float32)
    assert call([0, 1, 0], [10, 10, 9_000], values, held, forget_after_ms=1000) == 2
    assert held["units"][0].all() and held["rows"].tolist() == [1, 1, 0]
    held["last_time"][:2] = 10
    assert call([0], [9_000], values[2:], held, forget_after_ms=1000) == 1
    assert not held["units"][0].any() and held["rows"].tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    "changed",
    [
        {"ages": np.array([], np.int64)},
        {"ages": np.array([4, 4], np.int64)},
        {"ages": np.array([0, 4], np.int64)},
        {"caps": np.ones(3)},
        {"counts": np.zeros((SLOTS, 2, CHANNELS), np.int64)},
        {"pending": np.zeros(2, np.uint8)},
        {"values": np.ones((2, 3), np.float32)},
    ],
)
def test_the_face_raises_before_anything_changes(changed: dict[str, Any]) -> None:
    held = state()
    with pytest.raises(ShapeError):
        call([0, 1], [1, 2], changed.pop("values", np.ones((2, CHANNELS))), held, **changed)
    with pytest.raises(ShapeError):
        call([0, SLOTS], [1, 2], np.ones((2, CHANNELS)), held)
    assert not held["rows"].any() and not held["sums"].any()
