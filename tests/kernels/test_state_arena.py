"""States in their slots: kept in place, given back as they were, refused when they cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels.networks import STACKS, head, stack

from streamlstm.errors import ShapeError, UsageError
from streamlstm.kernels import NetworkWeights, StateArena, isas, step

ROWS = 40_000  # of 4 kB: several chunks


def some_states(count: int, size: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("name", STACKS)
def test_gives_back_what_it_was_given_and_grows_around_it(name: str, isa: str) -> None:
    weights = NetworkWeights(stack(name), isa=isa)
    arena, state = StateArena(weights, 2), some_states(2, weights.state_size)
    arena.load(np.array([1, 0]), state)
    arena.grow(ROWS)
    assert np.array_equal(arena.export(np.array([0, 1])), state[::-1])
    assert not arena.export(np.array([2, ROWS // 2, ROWS - 1])).any()
    far = some_states(3, weights.state_size, seed=3)
    arena.load(np.array([ROWS - 1, 20_001, 7]), far)
    assert np.array_equal(arena.export(np.array([7, ROWS - 1])), far[[2, 0]])
    arena.reset(np.array([1, 7]))
    assert np.array_equal(arena.export(np.array([0, 1, 7])), [state[1], 0 * state[0], 0 * state[0]])


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_half_rounds_as_numpy_does_and_never_to_infinity(value: float) -> None:
    weights = NetworkWeights(stack("lstm"))
    arena, size = StateArena(weights, 1, state_dtype="float16"), weights.state_size
    arena.load(np.zeros(1, np.int64), np.full((1, size), value, np.float32))
    limited = np.clip(np.float32(value), -65504, 65504)
    assert np.array_equal(arena.export(np.zeros(1, np.int64))[0], np.full(size, np.float16(limited), np.float32))


@pytest.mark.parametrize("isa", isas())
def test_half_follows_float32_closely(isa: str) -> None:
    weights = NetworkWeights(stack("lstm x 2"), isa=isa)
    whole, half = StateArena(weights, 3), StateArena(weights, 3, state_dtype="float16")
    rng, slots = np.random.default_rng(4), np.arange(3)
    out = np.empty((2, 3, weights.output_size), np.float32)
    for _ in range(300):
        x = rng.normal(size=(3, 8)).astype(np.float32)
        step(weights, whole, slots, x, out[0])
        step(weights, half, slots, x, out[1])
    error = np.abs(out[0] - out[1]).max()
    assert 1e-6 < error < 2e-3, "rounded to 11 bits after every step, which fades as the state forgets"


def test_an_arena_serves_weights_of_the_same_layout_and_no_others() -> None:
    weights = NetworkWeights(stack("lstm"))
    arena, x = StateArena(weights, 4), np.ones((1, 3), np.float32)
    again = NetworkWeights(stack("lstm", seed=9), head(stack("lstm"), 400))  # needs more scratch
    step(again, arena, np.array([3]), x, np.empty((1, 400), np.float32))
    assert arena.export(np.array([3])).any()
    for name in set(STACKS) - {"lstm"}:
        other = NetworkWeights(stack(name))
        with pytest.raises(ShapeError, match="arena"):
            step(
                other,
                arena,
                np.array([0]),
                np.ones((1, other.input_size), np.float32),
                np.empty((1, other.output_size), np.float32),
            )


def test_what_cannot_be_kept_is_refused() -> None:
    weights = NetworkWeights(stack("lstm"))
    arena, slots = StateArena(weights, 4), np.array([0, 1])
    state = some_states(2, weights.state_size)
    arena.load(slots, state)
    poisoned = state.copy()
    poisoned[1, 5] = np.nan
    for rows, message in (
        (poisoned, "finite"),
        (np.float32(np.inf) * state, "finite"),
        (state[:, :-1].copy(), "^rows: expected"),
        (state.astype(np.float64), "^rows: expected"),
    ):
        with pytest.raises(ShapeError, match=message):
            arena.load(slots, rows)
    with pytest.raises(ShapeError, match="0 to 3"):
        arena.load(np.array([0, 4]), state)
    with pytest.raises(ShapeError, match=r"^capacity"):
        arena.grow(3)
    for capacity, threads in ((0, 1), (1, 0)):
        with pytest.raises(ShapeError, match="above 0"):
            StateArena(weights, capacity, threads=threads)
    assert np.array_equal(arena.export(slots), state)
    with pytest.raises(MemoryError):
        arena.grow(2**46)
    assert np.array_equal(arena.export(slots), state) and arena.capacity == 4


def test_unknown_paths_and_types_are_refused() -> None:
    with pytest.raises(UsageError, match="state_dtype: expected 'float32' or 'float16', got 'int8'"):
        StateArena(NetworkWeights(stack("lstm")), 4, state_dtype="int8")  # type: ignore[arg-type]  # not of the type
    with pytest.raises(UsageError, match="backend: expected 'fused', 'blas' or 'bfloat16'"):
        NetworkWeights(stack("lstm"), backend="mkl")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="isa: expected one of"):
        NetworkWeights(stack("lstm"), isa="z80")
    with pytest.raises(UsageError, match="'bfloat16' needs a processor with AVX512_BF16"):
        NetworkWeights(stack("lstm"), backend="bfloat16", isa="baseline")
