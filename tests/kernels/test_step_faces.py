"""Faces of the step: what is wrong is refused before any state changes; no GIL, no allocation, one thread an arena."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from kernels.networks import head, stack
from threadpoolctl import threadpool_info

import streamlstm.kernels as kernels
from streamlstm.errors import ShapeError, UsageError
from streamlstm.kernels import CellWeights, NetworkWeights, StateArena, advance, run, single_thread, step

WEIGHTS = NetworkWeights(stack("lstm"))  # 3 inputs, 13 units
LARGE = NetworkWeights(stack("wide"))  # 38 inputs, 300 units


def bad_calls() -> list[Any]:
    x, out = np.ones((2, 3), np.float32), np.empty((2, 13), np.float32)
    block, blocks_out = np.ones((4, 2, 3), np.float32), np.empty((4, 2, 13), np.float32)
    slots, errors = np.array([0, 1]), np.empty(2, np.float32)
    fixed = out.copy()
    fixed.flags.writeable = False
    odd = np.frombuffer(bytearray(2 * 13 * 4 + 1), np.uint8)[1:].view(np.float32).reshape(2, 13)
    few = NetworkWeights(stack("lstm"), head(stack("lstm"), 2))
    cases: list[tuple[str, Callable[[NetworkWeights, StateArena], None], str]] = [
        ("twice", lambda w, a: step(w, a, np.array([1, 1]), x, out), "twice"),
        ("twice in a block", lambda w, a: run(w, a, np.array([1, 1]), block, blocks_out), "twice"),
        ("range", lambda w, a: step(w, a, np.array([0, 9]), x, out), "0 to 3"),
        ("negative", lambda w, a: advance(w, a, np.array([-1, 0]), x, None, out), "0 to 3"),
        ("int32", lambda w, a: step(w, a, slots.astype(np.int32), x, out), "^slots: expected int64"),
        ("list", lambda w, a: advance(w, a, [0, 1], x, None, out), "^slots: expected an array"),  # type: ignore[arg-type]
        ("none", lambda w, a: step(w, a, slots, None, out), "^x: expected an array"),  # type: ignore[arg-type]
        ("columns", lambda w, a: step(w, a, slots, x[:, :2].copy(), out), "^x: expected"),
        ("rows", lambda w, a: step(w, a, slots, x[:1], out), "^x: expected"),
        ("float64", lambda w, a: step(w, a, slots, x.astype(np.float64), out), "^x: expected"),  # type: ignore[arg-type]
        ("big endian", lambda w, a: step(w, a, slots, x.astype(">f4"), out), "^x: expected"),
        ("order", lambda w, a: step(w, a, slots, np.asfortranarray(x), out), "not in C order"),
        ("rank", lambda w, a: run(w, a, slots, x, blocks_out), "^x: expected"),
        ("streams", lambda w, a: run(w, a, slots, block[:, :1].copy(), blocks_out), "^x: expected"),
        ("out", lambda w, a: step(w, a, slots, x, out[:, :5].copy()), "^out: expected"),
        ("read-only", lambda w, a: step(w, a, slots, x, fixed), "^out: expected memory that may be written"),
        ("unaligned", lambda w, a: step(w, a, slots, x, odd), "^out: expected memory aligned"),
        ("reset", lambda w, a: advance(w, a, slots, x, np.zeros(3, np.uint8), out), "^reset: expected"),
        ("errors", lambda w, a: step(w, a, slots, x, out, errors[:1]), "^errors: expected"),
        ("no room", lambda w, a: step(few, a, slots, x, out[:, :2].copy(), errors), "^errors: expected outputs"),
        ("lengths", lambda w, a: run(w, a, slots, block, blocks_out, np.array([5, 1])), "^lengths: expected 0 to 4"),
        ("arena", lambda w, a: step(w, StateArena(LARGE, 4), slots, x, out), "^arena"),
    ]
    return [pytest.param(call, message, id=name) for name, call, message in cases]


@pytest.mark.parametrize(("call", "message"), bad_calls())
def test_what_is_wrong_raises_before_any_state_changes(
    call: Callable[[NetworkWeights, StateArena], None], message: str
) -> None:
    arena, every = StateArena(WEIGHTS, 4), np.arange(4)
    state = np.random.default_rng(1).normal(size=(4, WEIGHTS.state_size)).astype(np.float32)
    arena.load(every, state)
    with pytest.raises(ShapeError, match=message):
        call(WEIGHTS, arena)
    assert np.array_equal(arena.export(every), state)
    out = np.empty((4, 13), np.float32)
    step(WEIGHTS, arena, every, np.ones((4, 3), np.float32), out)  # and the arena still works
    assert np.isfinite(out).all()


def test_outputs_share_no_memory_with_other_arguments() -> None:
    memory = np.zeros(64, np.int64)
    slots = memory[:2]
    slots[:] = 0, 1
    x, out, errors = np.ones((2, 3), np.float32), np.empty((2, 13), np.float32), memory[1:2].view(np.float32)
    reset = out.reshape(-1).view(np.uint8)[5:7]
    block, blocks_out, lengths = x[None], memory[:13].view(np.float32).reshape(1, 2, 13), memory[12:14]
    arena, every = StateArena(WEIGHTS, 4), np.arange(4)
    for call, message in (
        (lambda: step(WEIGHTS, arena, slots, x, out, errors), "^errors: expected memory that is not that of slots"),
        (lambda: step(WEIGHTS, arena, slots, x, out, out[0, 11:]), "^out: expected memory that is not that of errors"),
        (lambda: advance(WEIGHTS, arena, slots, x, reset, out), "^out: expected memory that is not that of reset"),
        (lambda: run(WEIGHTS, arena, every[:2], block, blocks_out, lengths), "^out: .* is not that of lengths"),
    ):
        with pytest.raises(ShapeError, match=message):
            call()
    assert not arena.export(every).any()


def test_memory_that_is_read_from_is_refused() -> None:
    square = NetworkWeights(
        [CellWeights("rnn", *(np.ones(shape, np.float32) for shape in ((5, 5), (5, 5), 5)))]  # type: ignore[arg-type]
    )
    both = np.ones((3, 5), np.float32)
    for x, out in ((both[:2], both[:2]), (both[:2], both[1:])):
        with pytest.raises(ShapeError, match=r"^out: expected memory that is not that of x"):
            step(square, StateArena(square, 2), np.arange(2), x, out)


def test_nothing_to_do_is_done() -> None:
    arena, none = StateArena(WEIGHTS, 1), np.empty(0, np.int64)
    step(WEIGHTS, arena, none, np.empty((0, 3), np.float32), np.empty((0, 13), np.float32))
    advance(WEIGHTS, arena, none, np.empty((0, 3), np.float32), None, np.empty((0, 13), np.float32))
    run(WEIGHTS, arena, np.zeros(1, np.int64), np.empty((0, 1, 3), np.float32), np.empty((0, 1, 13), np.float32))
    assert not arena.export(np.zeros(1, np.int64)).any()


def test_what_runs_is_compiled() -> None:
    for name in (
        "isa",
        "weights",
        "lanes",
        "worker_pool",
        "state_arena",
        "step",
        "unroll",
        "checks",
        "admission",
        "channel_runs",
        "residuals",
        "prototypes",
        "scores",
    ):
        file = import_module(f"streamlstm.kernels.{name}").__file__
        assert file is not None and file.endswith((".so", ".pyd"))
    assert "cython" in type(kernels.step).__name__


def test_the_gil_is_released_while_streams_advance() -> None:
    arena, out = StateArena(LARGE, 64), np.empty((64 * 80, 300), np.float32)
    slots, x = np.tile(np.arange(64), 80), np.ones((64 * 80, 38), np.float32)
    began, ticks = threading.Event(), 0

    def work() -> None:
        began.set()
        advance(LARGE, arena, slots, x, None, out)

    worker = threading.Thread(target=work)
    worker.start()
    began.wait()
    while worker.is_alive():
        ticks += 1
    worker.join()
    assert ticks > 100  # with the GIL held there would be next to none


def test_an_arena_that_another_thread_advances_is_refused() -> None:
    arena, out = StateArena(LARGE, 64), np.empty((64 * 120, 300), np.float32)
    slots, x = np.tile(np.arange(64), 120), np.ones((64 * 120, 38), np.float32)
    worker = threading.Thread(target=advance, args=(LARGE, arena, slots, x, None, out))
    worker.start()
    refused = 0
    while worker.is_alive() and not refused:
        try:
            step(LARGE, arena, np.zeros(1, np.int64), x[:1], np.empty((1, 300), np.float32))
        except UsageError:
            refused += 1
    worker.join()
    assert refused == 1


def test_stepping_allocates_nothing() -> None:
    weights, slots = NetworkWeights(stack("lstm x 2"), head(stack("lstm x 2"), 24)), np.arange(16)
    arena = StateArena(weights, 16)
    x, out, errors = np.ones((16, 8), np.float32), np.empty((16, 24), np.float32), np.empty(16, np.float32)
    step(weights, arena, slots, x, out, errors)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(200):
        step(weights, arena, slots, x, out, errors)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 256  # the loop's own counter
    assert peak - before < 256


def test_one_thread_for_blas_is_reentrant_and_given_back() -> None:
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = threads()
    with single_thread():
        with single_thread():
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert threads() == before
