"""Streams forward: equal to the equations in float64, and blind to batches, neighbours, slots, blocks and threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import golden
from kernels.networks import INPUTS, STACKS, head, stack
from kernels.oracle import run as run_oracle
from numpy.typing import NDArray

from streamlstm.kernels import NetworkWeights, StateArena, advance, backends, isas, run, step
from streamlstm.scoring.state import StateDtype

Floats = NDArray[np.float32]
EXACT = [(isa, backend) for isa in isas() for backend in ("fused", "blas")]
PATHS = EXACT + [(isas()[0], backend) for backend in backends() if backend == "bfloat16"]
OUTPUTS = {"lstm": 3, "lstm x 2": 8 * 17, "peephole": 5, "gru": 70, "mixed": 1, "wide": 38}
"""Of the head: few (dot products), some, and more than a block of units; none for the other stacks."""


def weights_of(name: str, isa: str, backend: str) -> NetworkWeights:
    layers = stack(name)
    top = head(layers, OUTPUTS[name]) if name in OUTPUTS else None
    return NetworkWeights(layers, top, isa=isa, backend=backend)  # type: ignore[arg-type]


WEIGHTS = {(name, *path): weights_of(name, *path) for name in STACKS for path in PATHS}


def alone(weights: NetworkWeights, x: Floats, *, state_dtype: StateDtype = "float32") -> tuple[Floats, Floats]:
    """Outputs [T, D] of one stream stepped on its own, in a fresh arena; and its state in the end."""
    arena, slot = StateArena(weights, 1, state_dtype=state_dtype), np.zeros(1, np.int64)
    out = np.empty((len(x), weights.output_size), np.float32)
    for t in range(len(x)):
        step(weights, arena, slot, x[t : t + 1], out[t : t + 1])
    return out, arena.export(slot)[0]


@pytest.mark.parametrize("path", PATHS, ids="-".join)
@pytest.mark.parametrize("name", STACKS)
def test_equals_the_equations_in_float64(name: str, path: tuple[str, str]) -> None:
    layers, weights = stack(name), WEIGHTS[name, *path]
    rng, steps = np.random.default_rng(5), 3 if name == "wide" else 12
    x = rng.normal(0, 1, (steps, 2, weights.input_size)).astype(np.float32)
    state = rng.normal(0, 0.5, (2, weights.state_size)).astype(np.float32)
    arena, slots = StateArena(weights, 5), np.array([4, 1])
    arena.load(slots, state)
    out, errors = np.empty((steps, 2, weights.output_size), np.float32), np.empty((steps, 2), np.float32)
    has_errors = weights.output_size >= weights.input_size
    for t in range(steps):
        step(weights, arena, slots, x[t], out[t], errors[t] if has_errors else None)
    found, final = run_oracle(layers, x, state)
    expected = np.array(found)
    if name in OUTPUTS:
        weight, bias = head(layers, OUTPUTS[name])
        expected = expected @ weight.astype(np.float64).T + bias
    off = 0.02 if path[1] == "bfloat16" else 2e-6
    np.testing.assert_allclose(out, expected, rtol=0, atol=off)
    np.testing.assert_allclose(arena.export(slots), final, rtol=0, atol=off)
    if has_errors:
        squares = (expected[..., : weights.input_size] - x) ** 2
        np.testing.assert_allclose(errors, squares.mean(axis=2), rtol=10 * off, atol=off)


@pytest.mark.parametrize("path", EXACT, ids="-".join)
@pytest.mark.parametrize("name", golden.TORCH + golden.OTHERS)
def test_equals_other_frameworks(name: str, path: tuple[str, str]) -> None:
    g, lanes = golden.load(name), golden.load(name).x.shape[1]
    weights = NetworkWeights(g.layers, isa=path[0], backend=path[1])  # type: ignore[arg-type]
    arena, slots = StateArena(weights, lanes + 3), np.random.default_rng(0).permutation(lanes + 3)[:lanes]
    arena.load(slots, g.state)
    out = np.empty((*g.x.shape[:2], weights.output_size), np.float32)
    run(weights, arena, slots, np.ascontiguousarray(g.x), out)
    y = out @ g.data["w3"] + g.data["w4"] if "w3" in g.data else out  # Keras's files end in a dense layer
    np.testing.assert_allclose(y, g.y, rtol=0, atol=1e-5)
    if g.final is not None:
        np.testing.assert_allclose(arena.export(slots), g.final, rtol=0, atol=1e-5)


@settings(max_examples=200)
@given(st.data(), st.sampled_from(sorted(WEIGHTS)), st.integers(0, 2**32 - 1), st.integers(1, 70))
def test_bits_depend_on_the_stream_alone(
    data: st.DataObject, key: tuple[str, str, str], seed: int, streams: int
) -> None:
    """However samples are cut into batches: in steps, in order of arrival, in ragged blocks; on how many threads."""
    weights, rng = WEIGHTS[key], np.random.default_rng(seed)
    state_dtype: StateDtype = data.draw(st.sampled_from(["float32", "float16"]))
    threads = data.draw(st.sampled_from([1, 1, 2, 3]))
    lengths = rng.integers(1, 12, streams)
    samples = [rng.normal(0, 2, (n, weights.input_size)).astype(np.float32) for n in lengths]
    slots = rng.permutation(streams + 9)[:streams]
    arena = StateArena(weights, streams + 9, state_dtype=state_dtype, threads=threads)
    strangers = np.setdiff1d(np.arange(streams + 9), slots)
    arena.load(strangers, rng.normal(0, 0.5, (len(strangers), weights.state_size)).astype(np.float32))
    noise = arena.export(strangers)
    out = [np.full((n, weights.output_size), np.nan, np.float32) for n in lengths]
    done = np.zeros(streams, np.int64)
    while (done < lengths).any():
        mode = data.draw(st.sampled_from(["step", "advance", "run"]))
        part = rng.permutation(np.flatnonzero(done < lengths))[: int(rng.integers(1, streams + 1))]
        take = np.minimum(lengths[part] - done[part], 1 if mode == "step" else rng.integers(1, 9, len(part)))
        if mode == "run":
            x = np.full((take.max(), len(part), weights.input_size), np.nan, np.float32)
            for i, s in enumerate(part):
                x[: take[i], i] = samples[s][done[s] : done[s] + take[i]]
            y = np.empty((*x.shape[:2], weights.output_size), np.float32)
            run(weights, arena, slots[part], x, y, take)
            for i, s in enumerate(part):
                out[s][done[s] : done[s] + take[i]] = y[: take[i], i]
        else:
            order = rng.permutation(np.repeat(np.arange(len(part)), take))
            rank = np.array([np.count_nonzero(order[:n] == i) for n, i in enumerate(order)])
            rows = [(part[i], done[part[i]] + k) for i, k in zip(order, rank, strict=True)]
            x = np.array([samples[s][t] for s, t in rows])
            y = np.empty((len(x), weights.output_size), np.float32)
            if mode == "step":
                step(weights, arena, slots[part[order]], x, y)
            else:
                advance(weights, arena, slots[part[order]], x, None, y)
            for n, (s, t) in enumerate(rows):
                out[s][t] = y[n]
        done[part] += take
    for s in range(streams):
        own, state = alone(weights, samples[s], state_dtype=state_dtype)
        assert np.array_equal(out[s], own)
        assert np.array_equal(arena.export(slots[s : s + 1])[0], state)
    assert np.array_equal(arena.export(strangers), noise)


@pytest.mark.parametrize("name", STACKS)
def test_paths_agree(name: str) -> None:
    x = np.random.default_rng(3).normal(0, 1, (60, INPUTS.get(name, 4))).astype(np.float32)
    found = [alone(WEIGHTS[name, *path], x)[0] for path in EXACT]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("path", PATHS, ids="-".join)
def test_reset_zeroes_the_stream_just_before_its_sample(path: tuple[str, str]) -> None:
    weights = WEIGHTS["mixed", *path]
    x = np.random.default_rng(1).normal(0, 1, (9, 4)).astype(np.float32)
    slots = np.array([0, 1, 0, 0, 1, 0, 1, 0, 0])
    reset = np.zeros(9, np.uint8)
    reset[5] = 1
    arena, out = StateArena(weights, 2), np.empty((9, weights.output_size), np.float32)
    advance(weights, arena, slots, x, reset, out)
    for rows in ([0, 2, 3], [5, 7, 8], [1, 4, 6]):
        assert np.array_equal(out[rows], alone(weights, x[rows])[0])


@pytest.mark.parametrize("path", PATHS, ids="-".join)
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e30, -3e38])
def test_poison_never_enters_the_arena(poison: float, path: tuple[str, str]) -> None:
    weights = WEIGHTS["lstm x 2", *path]
    arena, out = StateArena(weights, 3), np.empty((3, weights.output_size), np.float32)
    for turn in range(30):
        x = np.full((3, 8), 0.5, np.float32)
        x[1, turn % 8] = poison
        step(weights, arena, np.arange(3), x, out)
        assert np.isfinite(out).all() and np.isfinite(arena.export(np.arange(3))).all()
    assert np.array_equal(out[0], out[2])


def test_rows_beyond_a_length_are_left_as_they_are() -> None:
    weights = WEIGHTS["lstm", *PATHS[0]]
    x = np.ones((4, 3, 3), np.float32)
    out, errors = np.full((4, 3, 3), 7.0, np.float32), np.full((4, 3), 7.0, np.float32)
    run(weights, StateArena(weights, 3), np.arange(3), x, out, np.array([2, 0, 4]), errors)
    assert (out[2:, 0] == 7).all() and (out[:, 1] == 7).all() and (out[:, 2] != 7).all() and (out[:2, 0] != 7).all()
    assert (errors == 7).tolist() == (out == 7).all(axis=2).tolist()
