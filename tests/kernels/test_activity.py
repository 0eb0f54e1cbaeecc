"""Spread and trend: as their definition has them, the same bits in every batch; what is wrong is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.activity_oracle import OracleActivity
from kernels.wrong_arguments import Arguments, accepts_arrays_that_touch, refuses, refuses_a_wrong, refuses_a_wrong_slot

from streamlstm.kernels import advance_activity

N, C, S = 5, 2, 4
OUTPUTS = ("rows", "statistics", "contribution", "expected")
WIDTHS = np.array([5, 20], np.float32)
FAST, SLOW = (2 / (WIDTHS + 1)).tolist()


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def a_call() -> Arguments:
    """Five samples of three streams in four slots; one begins anew."""
    return {
        "slots": np.array([0, 2, 0, 3, 2]),
        "x": normal(2, N, C),
        "observed": np.array([[1, 1], [1, 0], [1, 1], [0, 1], [0, 0]], np.uint8),
        "reset": np.array([0, 0, 0, 1, 0], np.uint8),
        "ages": np.array([5, 0, 6, 0, 1]),
        "scales": np.array([[0.5, 2], [0.1, 3]], np.float32),
        "fast": FAST,
        "slow": SLOW,
        "rows": normal(3, S, 3, C),
        "statistics": np.full((N, 2), 99, np.float32),
        "contribution": np.full((N, C), 99, np.float32),
        "expected": np.full((N, C), 99, np.float32),
    }


def measure(
    slots: np.ndarray,
    x: np.ndarray,
    observed: np.ndarray,
    ages: np.ndarray,
    rows: np.ndarray,
    reset: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    count, channels = x.shape
    found = {
        "statistics": np.full((count, 2), 99, np.float32),
        "contribution": np.full((count, channels), 99, np.float32),
        "expected": np.full((count, channels), 99, np.float32),
    }
    advance_activity(
        slots,
        x=x,
        observed=observed,
        reset=np.zeros(count, np.uint8) if reset is None else reset,
        ages=ages,
        scales=scales(channels),
        fast=FAST,
        slow=SLOW,
        rows=rows,
        **found,
    )
    return found


def scales(channels: int) -> np.ndarray:
    return np.linspace(0.2, 3, 2 * channels, dtype=np.float32).reshape(2, channels)


@pytest.mark.parametrize("channels", [1, 2, 7, 38])
def test_statistics_are_those_of_the_definition(channels: int) -> None:
    streams, rounds = 5, 90
    x = normal(5, rounds, streams, channels)
    x += np.linspace(-9, 9, streams, dtype=np.float32)[:, None]
    x[40:45, 2] += 60  # beyond what one channel may say
    x[:, 3] = 2.5  # flat
    x[50:, 4, 0] *= 5
    observed = (np.random.default_rng(1).random(x.shape) < 0.8).astype(np.uint8)
    observed[60] = 0
    rows = np.zeros((streams, 3, channels), np.float32)
    oracles = [OracleActivity(scales(channels), WIDTHS) for _ in range(streams)]
    for t in range(rounds):
        found = measure(np.arange(streams), x[t], observed[t], np.full(streams, t), rows)
        wanted = [oracle.measure(*given) for oracle, *given in zip(oracles, x[t], observed[t], strict=True)]
        for name, values in zip(found, zip(*wanted, strict=True), strict=True):
            assert found[name] == pytest.approx(np.array(values), rel=1e-3, abs=1e-4), f"{name} at {t}"


@settings(max_examples=40)
@given(st.data())
def test_bits_do_not_depend_on_the_batch_the_slot_or_the_neighbours(data: st.DataObject) -> None:
    channels = data.draw(st.sampled_from([1, 2, 19]))
    streams, count = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 120))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    slots = rng.integers(0, streams, count)
    x = rng.normal(size=(count, channels)).astype(np.float32)
    observed = (rng.random((count, channels)) < 0.8).astype(np.uint8)
    reset = (rng.random(count) < 0.05).astype(np.uint8)
    ages, age = np.empty(count, np.int64), dict[int, int]()
    for n, slot in enumerate(slots.tolist()):
        ages[n] = 0 if reset[n] else age.get(slot, 0)
        age[slot] = ages[n] + 1
    rows = np.zeros((streams, 3, channels), np.float32)
    whole = measure(slots, x, observed, ages, rows, reset)
    cuts = sorted({0, count, *data.draw(st.lists(st.integers(0, count), max_size=6))})
    moved = rng.permutation(streams + 3)[:streams]
    others = rng.normal(size=(streams + 3, 3, channels)).astype(np.float32)
    others[moved] = 0
    for begin, end in itertools.pairwise(cuts):
        some = slice(begin, end)
        part = measure(moved[slots[some]], x[some], observed[some], ages[some], others, reset[some])
        for name, values in part.items():
            assert np.array_equal(values, whole[name][some]), name
    assert np.array_equal(others[moved], rows)


def test_what_moves_and_what_has_gone_elsewhere() -> None:
    """A burst is spread, and passes; a step is spread for a moment, trend for longer, and then usual."""
    x = 0.1 * normal(7, 400, 1)
    x[100:110] *= 12
    x[200:] += 3
    rows = np.zeros((1, 3, 1), np.float32)
    found = measure(np.zeros(400, np.int64), x, np.ones((400, 1), np.uint8), np.arange(400), rows)
    spread, trend = found["statistics"].T
    calm = spread[50:100].max(), trend[50:100].max()
    assert spread[100:110].max() > 5 * calm[0] and spread[150:200].max() < 2 * calm[0]
    assert trend[202:215].min() > 20 * calm[1] and trend[340:].max() < 2 * calm[1]
    assert found["expected"][-1, 0] == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("name", [name for name, value in a_call().items() if isinstance(value, np.ndarray)])
def test_an_array_that_does_not_fit_is_refused_before_anything_changes(name: str) -> None:
    refuses_a_wrong(name, advance_activity, a_call(), OUTPUTS, grows="rows")


@pytest.mark.parametrize(("fast", "slow"), [(0.1, 0.2), (1.5, 0.2), (0.5, 0.0), (np.nan, 0.1), (0.5, np.nan)])
def test_rates_that_cannot_be_are_refused(fast: float, slow: float) -> None:
    refuses(advance_activity, a_call() | {"fast": fast, "slow": slow}, "^slow, fast: expected 0 < slow", "rates")


def test_slots_ages_and_scales_that_cannot_be_are_refused() -> None:
    refuses_a_wrong_slot(advance_activity, a_call(), S)
    for row in range(N):
        a = a_call()
        a["ages"][row] = -3
        refuses(advance_activity, a, "^ages: expected 0 or more, got -3", f"row {row}")
    for wrong in (0.0, -1.0, np.nan):
        for k in range(2 * C):
            a = a_call()
            a["scales"].reshape(-1)[k] = wrong
            refuses(advance_activity, a, "^scales: expected numbers above 0", f"scale {k}")


def test_neighbours_in_memory_and_no_samples_are_accepted() -> None:
    accepts_arrays_that_touch(advance_activity, a_call())
    a = a_call()
    fixed = ("rows", "scales", "fast", "slow")
    advance_activity(**{name: value if name in fixed else value[:0] for name, value in a.items()})
    assert np.array_equal(a["rows"], a_call()["rows"])
