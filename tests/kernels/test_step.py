"""Steps of many streams: blind to batches, neighbours and slots; refusing what is wrong before any state changes."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

import streamlstm.kernels as kernels
from streamlstm.errors import ShapeError, UsageError
from streamlstm.kernels import (
    CellKind,
    CellWeights,
    LstmWeights,
    StateArena,
    advance,
    project,
    single_thread,
    state_size,
    step,
    unroll,
)

SIZES = [(1, 5, 1), (3, 13, 2), (8, 64, 2), (38, 300, 1)]
"""Channels, hidden, layers; 300 hidden units lie beyond the size at which the inner dimension is split."""


def make_layers(inputs: int, hidden: int, layers: int, seed: int = 0) -> list[CellWeights]:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> NDArray[np.float32]:
        return rng.normal(0, 1.5 / np.sqrt(hidden + 3), shape).astype(np.float32)

    sizes = [inputs] + [hidden] * (layers - 1)
    return [
        CellWeights(CellKind.LSTM, normal(4 * hidden, i), normal(4 * hidden, hidden), normal(4 * hidden)) for i in sizes
    ]


def make_weights(inputs: int, hidden: int, layers: int, seed: int = 0) -> LstmWeights:
    made = make_layers(inputs, hidden, layers, seed)
    return LstmWeights([(layer.w_ih, layer.w_hh, layer.bias) for layer in made])


WEIGHTS = {size: make_weights(*size) for size in SIZES}


def alone(weights: LstmWeights, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs of one stream stepped on its own, in a fresh arena."""
    arena = StateArena(1, layers=weights.num_layers, hidden=weights.hidden_size)
    out = np.empty((len(x), weights.hidden_size), np.float32)
    for t in range(len(x)):
        step(weights, arena, np.zeros(1, np.int64), x[t : t + 1], out[t : t + 1])
    return out


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(SIZES), st.integers(0, 2**32 - 1), st.integers(1, 21), st.lists(st.integers(1, 60), min_size=1))
def test_bits_depend_on_the_stream_alone(size: tuple[int, int, int], seed: int, streams: int, cuts: list[int]) -> None:
    weights, rng = WEIGHTS[size], np.random.default_rng(seed)
    samples = {s: rng.normal(0, 2, (int(rng.integers(1, 6)), size[0])).astype(np.float32) for s in range(streams)}
    order = np.array([s for s in samples for _ in samples[s]])
    rng.shuffle(order)
    slots = rng.permutation(streams + 9)[:streams]
    arena = StateArena(streams + 9, layers=weights.num_layers, hidden=weights.hidden_size)
    strangers = np.setdiff1d(np.arange(streams + 9), slots)
    noise = rng.normal(0, 0.5, (len(strangers), weights.num_layers, weights.hidden_size)).astype(np.float32)
    arena.load(strangers, hidden=noise, cell=noise)
    rows, seen = [], dict.fromkeys(samples, 0)
    for s in order.tolist():
        rows.append(samples[s][seen[s]])
        seen[s] += 1
    x, out = np.array(rows), np.empty((len(rows), weights.hidden_size), np.float32)
    begin, turn = 0, 0
    while begin < len(rows):
        end = min(begin + cuts[turn % len(cuts)], len(rows))
        advance(weights, arena, slots[order[begin:end]], x[begin:end], None, out[begin:end])
        begin, turn = end, turn + 1
    for s, own in samples.items():
        assert np.array_equal(out[order == s], alone(weights, own))
    hidden, cell = arena.export(strangers)
    assert np.array_equal(hidden, noise) and np.array_equal(cell, noise)


@pytest.mark.parametrize("size", SIZES)
def test_steps_agree_with_unroll(size: tuple[int, int, int]) -> None:
    weights = WEIGHTS[size]
    x = np.random.default_rng(3).normal(0, 1, (40, 1, size[0])).astype(np.float32)
    layers = make_layers(*size)
    trace = unroll(layers, x, state=np.zeros((1, state_size(layers)), np.float32))
    np.testing.assert_allclose(alone(weights, x[:, 0]), trace.y[:, 0], rtol=0, atol=1e-6)


def test_reset_zeroes_the_stream_just_before_its_sample() -> None:
    weights = WEIGHTS[3, 13, 2]
    x = np.random.default_rng(1).normal(0, 1, (9, 3)).astype(np.float32)
    slots = np.array([0, 1, 0, 0, 1, 0, 1, 0, 0])
    reset = np.zeros(9, np.uint8)
    reset[5] = 1
    arena, out = StateArena(2, layers=2, hidden=13), np.empty((9, 13), np.float32)
    advance(weights, arena, slots, x, reset, out)
    assert np.array_equal(out[[0, 2, 3]], alone(weights, x[[0, 2, 3]]))
    assert np.array_equal(out[[5, 7, 8]], alone(weights, x[[5, 7, 8]]))
    assert np.array_equal(out[slots == 1], alone(weights, x[slots == 1]))


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e30, -1e30, 3e38])
def test_poison_never_enters_the_arena(poison: float) -> None:
    weights = WEIGHTS[8, 64, 2]
    arena, out = StateArena(3, layers=2, hidden=64), np.empty((3, 64), np.float32)
    for turn in range(50):
        x = np.full((3, 8), 0.5, np.float32)
        x[1, turn % 8] = poison
        step(weights, arena, np.arange(3), x, out)
        assert all(np.isfinite(a).all() for a in (out, *arena.export(np.arange(3))))
    assert np.array_equal(out[0], out[2])


def bad_calls() -> list[Any]:
    x, out = np.ones((2, 3), np.float32), np.empty((2, 13), np.float32)
    slots = np.array([0, 1])
    whole = np.full((2, 2, 13), 0.25, np.float32)
    poisoned = whole.copy()
    poisoned[1, 0, 7] = np.nan
    cases: list[tuple[str, Callable[[LstmWeights, StateArena], None], str]] = [
        ("twice", lambda w, a: step(w, a, np.array([1, 1]), x, out), "twice"),
        ("range", lambda w, a: step(w, a, np.array([0, 9]), x, out), "0 to 3"),
        ("negative", lambda w, a: step(w, a, np.array([-1, 0]), x, out), "0 to 3"),
        ("int32", lambda w, a: step(w, a, slots.astype(np.int32), x, out), "^slots: expected int64"),
        ("list", lambda w, a: advance(w, a, [0, 1], x, None, out), "^slots: expected an array"),  # type: ignore[arg-type]
        ("columns", lambda w, a: step(w, a, slots, x[:, :2].copy(), out), "^x: expected"),
        ("rows", lambda w, a: step(w, a, slots, x[:1], out), "^x: expected"),
        ("float64", lambda w, a: step(w, a, slots, x.astype(np.float64), out), "^x: expected"),  # type: ignore[arg-type]
        ("order", lambda w, a: step(w, a, slots, np.asfortranarray(x), out), "not in C order"),
        ("out", lambda w, a: step(w, a, slots, x, out[:, :5].copy()), "^out: expected"),
        ("reset", lambda w, a: advance(w, a, slots, x, np.zeros(3, np.uint8), out), "^reset: expected"),
        ("arena", lambda w, a: step(WEIGHTS[3, 13, 2], StateArena(4, layers=1, hidden=13), slots, x, out), "^arena"),
        ("nan hidden", lambda w, a: a.load(slots, hidden=poisoned, cell=whole), "finite"),
        ("inf cell", lambda w, a: a.load(slots, hidden=whole, cell=np.float32(np.inf) * whole), "finite"),
        ("shape state", lambda w, a: a.load(slots, hidden=out, cell=out), "^hidden: expected"),
        ("shrink", lambda w, a: a.grow(2), "^capacity"),
    ]
    return [pytest.param(call, message, id=name) for name, call, message in cases]


@pytest.mark.parametrize(("call", "message"), bad_calls())
def test_what_is_wrong_raises_before_any_state_changes(
    call: Callable[[LstmWeights, StateArena], None], message: str
) -> None:
    weights, arena = WEIGHTS[3, 13, 2], StateArena(4, layers=2, hidden=13)
    rng, every = np.random.default_rng(1), np.arange(4)
    state = rng.normal(size=(4, 2, 13)).astype(np.float32)
    arena.load(every, hidden=state, cell=-state)
    with pytest.raises(ShapeError, match=message):
        call(weights, arena)
    hidden, cell = arena.export(every)
    assert np.array_equal(hidden, state) and np.array_equal(cell, -state)
    out = np.empty((4, 13), np.float32)
    step(weights, arena, every, np.ones((4, 3), np.float32), out)  # and the arena still works
    assert np.isfinite(out).all()


def test_a_refused_call_leaves_nothing_behind_in_the_scratch() -> None:
    weights, arena = WEIGHTS[3, 13, 2], StateArena(4, layers=2, hidden=13)
    x, out = np.random.default_rng(6).normal(size=(5, 3)).astype(np.float32), np.empty((5, 13), np.float32)
    with pytest.raises(ShapeError, match="twice"):
        step(weights, arena, np.array([3, 2, 3, 3, 0]), x, out)
    advance(weights, arena, np.array([3, 3, 2, 3, 3]), x, None, out)
    assert np.array_equal(out[[0, 1, 3, 4]], alone(weights, x[[0, 1, 3, 4]]))


def test_one_arena_serves_weights_of_any_number_of_inputs() -> None:
    arena, rng = StateArena(2, layers=1, hidden=5), np.random.default_rng(9)
    for inputs in (1, 67, 3, 140):  # more inputs than hidden units: the scratch must widen
        weights, x = make_weights(inputs, 5, 1), rng.normal(size=(11, inputs)).astype(np.float32)
        out = np.empty((11, 5), np.float32)
        arena.reset(np.array([1]))
        advance(weights, arena, np.ones(11, np.int64), x, None, out)
        assert np.array_equal(out, alone(weights, x))


def test_weights_that_do_not_fit_are_refused() -> None:
    good = np.ones((8, 3), np.float32), np.ones((8, 2), np.float32), np.ones(8, np.float32)
    for bad in (
        [],
        [(good[0], good[1], good[2][:7])],
        [(good[0].astype(np.float64), *good[1:])],
        [good, good],
        [(np.full((8, 3), np.inf, np.float32), *good[1:])],
    ):
        with pytest.raises(ShapeError):
            LstmWeights(bad)


def test_an_arena_grows_resets_and_gives_back_what_it_was_given() -> None:
    arena, rng = StateArena(2, layers=2, hidden=3), np.random.default_rng(2)
    state = rng.normal(size=(2, 2, 3)).astype(np.float32)
    arena.load(np.array([1, 0]), hidden=state, cell=2 * state)
    arena.grow(5)
    hidden, cell = arena.export(np.array([0, 1, 4]))
    assert np.array_equal(hidden, np.stack([state[1], state[0], np.zeros((2, 3))]))
    assert np.array_equal(cell[:2], 2 * hidden[:2])
    arena.reset(np.array([1]))
    hidden, cell = arena.export(np.array([0, 1]))
    assert np.array_equal(hidden[0], state[1]) and not hidden[1].any() and not cell[1].any()


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 40])
def test_the_head_is_a_linear_map_whose_rows_do_not_depend_on_their_number(rows: int) -> None:
    rng = np.random.default_rng(rows)
    hidden, weight = (rng.normal(size=shape).astype(np.float32) for shape in ((rows, 32), (54, 32)))
    bias, out, one = (
        rng.normal(size=54).astype(np.float32),
        np.empty((rows, 54), np.float32),
        np.empty((1, 54), np.float32),
    )
    project(hidden, weight, bias, out)
    exact = hidden.astype(np.float64) @ weight.astype(np.float64).T + bias
    np.testing.assert_allclose(out, exact, rtol=0, atol=2e-5)
    for n in range(rows):
        project(hidden[n : n + 1], weight, bias, one)
        assert np.array_equal(out[n], one[0])


def test_what_runs_is_compiled() -> None:
    for name in ("weights", "state_arena", "step", "unroll", "admission", "residuals"):
        file = import_module(f"streamlstm.kernels.{name}").__file__
        assert file is not None and file.endswith((".so", ".pyd"))
    assert "cython" in type(kernels.advance).__name__


def test_the_gil_is_released_while_streams_advance() -> None:
    weights = WEIGHTS[38, 300, 1]
    arena, out = StateArena(64, layers=1, hidden=300), np.empty((64 * 40, 300), np.float32)
    slots, x = np.tile(np.arange(64), 40), np.ones((64 * 40, 38), np.float32)
    began, ticks = threading.Event(), 0

    def work() -> None:
        began.set()
        advance(weights, arena, slots, x, None, out)

    worker = threading.Thread(target=work)
    worker.start()
    began.wait()
    while worker.is_alive():
        ticks += 1
    worker.join()
    assert ticks > 100  # with the GIL held there would be next to none


def test_stepping_allocates_nothing_that_stays() -> None:
    weights, slots = WEIGHTS[8, 64, 2], np.arange(16)
    arena = StateArena(16, layers=2, hidden=64)
    x, out = np.ones((16, 8), np.float32), np.empty((16, 64), np.float32)
    step(weights, arena, slots, x, out)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(200):
        step(weights, arena, slots, x, out)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 1024
    assert peak - before < 4096  # views and tuples of the face: no array


def test_an_arena_that_another_thread_advances_is_refused() -> None:
    weights = WEIGHTS[38, 300, 1]
    arena, out = StateArena(64, layers=1, hidden=300), np.empty((64 * 60, 300), np.float32)
    slots, x = np.tile(np.arange(64), 60), np.ones((64 * 60, 38), np.float32)
    worker = threading.Thread(target=advance, args=(weights, arena, slots, x, None, out))
    worker.start()
    refused = 0
    while worker.is_alive() and not refused:
        try:
            step(weights, arena, np.zeros(1, np.int64), x[:1], np.empty((1, 300), np.float32))
        except UsageError:
            refused += 1
    worker.join()
    assert refused == 1


def test_memory_that_cannot_be_written_or_is_read_from_is_refused() -> None:
    weights, arena = make_weights(5, 5, 1), StateArena(2, layers=1, hidden=5)
    both, fixed = np.ones((2, 5), np.float32), np.ones((2, 5), np.float32)
    fixed.flags.writeable = False
    for out in (both, fixed):
        with pytest.raises(ShapeError, match=r"^out: expected memory"):
            step(weights, arena, np.arange(2), both, out)
    with pytest.raises(ShapeError, match="at least one"):
        project(both, np.ones((0, 5), np.float32), np.ones(0, np.float32), np.ones((2, 0), np.float32))


def test_one_thread_for_blas_is_reentrant_and_given_back() -> None:
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = threads()
    with single_thread():
        with single_thread():
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert threads() == before
