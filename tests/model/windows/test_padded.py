"""Sequences of different length in one block, and both directions: as alone, and as PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels import CELL_FIELDS, CellKind, CellWeights, backward, state_size, unroll
from streamlstm.model.windows.bidirectional import Direction, backward_bidirectional, run_bidirectional
from streamlstm.model.windows.padded import add_gradients, backward_padded, reverse_padded, unroll_padded

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
Array = NDArray[np.float32]


def random_cell(kind: str, inputs: int, hidden: int, rng: np.random.Generator) -> CellWeights:
    def normal(*shape: int) -> Array:
        return rng.normal(0, 0.4, shape).astype(np.float32)

    gates = CellKind(kind).gates
    return CellWeights(
        CellKind(kind),
        normal(gates * hidden, inputs),
        normal(gates * hidden, hidden),
        normal(gates * hidden),
        bias_hn=normal(hidden) if kind == "gru" else None,
        peephole=normal(3, hidden) if kind == "peephole" else None,
    )


@settings(max_examples=30)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.sampled_from(list(CellKind)), st.integers(0, 999))
def test_a_padded_block_equals_each_sequence_alone(lengths: list[int], kind: CellKind, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layers = [random_cell(kind, 3, 5, rng), random_cell("lstm", 5, 4, rng)]
    shape = (max(lengths) + seed % 2, len(lengths))
    x, d_y = (rng.normal(0, 1, (*shape, size)).astype(np.float32) for size in (3, 4))
    for lane, length in enumerate(lengths):  # what the padding holds must not matter
        x[length:, lane] = d_y[length:, lane] = np.nan
    state, d_state = (rng.normal(0, 1, (len(lengths), state_size(layers))).astype(np.float32) for _ in range(2))
    trace = unroll_padded(layers, x, state=state, lengths=np.array(lengths))
    found = backward_padded(layers, trace, d_y, d_state=d_state)
    total = None
    for lane, length in enumerate(lengths):
        one = slice(lane, lane + 1)
        alone = unroll(layers, x[:length, one].copy(), state=state[one])
        d_alone = backward(layers, alone, d_y[:length, one].copy(), d_state=d_state[one])
        total = d_alone.layers if total is None else add_gradients(total, d_alone.layers)
        np.testing.assert_allclose(trace.y[:length, one], alone.y, rtol=0, atol=1e-6)
        np.testing.assert_allclose(trace.state[one], alone.state, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found.d_x[:length, one], d_alone.d_x, rtol=1e-5, atol=2e-6)
        np.testing.assert_allclose(found.d_state[one], d_alone.d_state, rtol=1e-5, atol=2e-6)
        assert not trace.y[length:, lane].any()
        assert not found.d_x[length:, lane].any()
    assert total is not None
    for ours, theirs in zip(found.layers, total, strict=True):
        for name in CELL_FIELDS:
            if getattr(theirs, name) is not None:
                np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-5, atol=1e-5)


def test_reversed_within_its_length_and_back() -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3, 1)
    lengths = np.array([4, 1, 3])
    turned = reverse_padded(x, lengths)
    assert turned[..., 0].T.tolist() == [[9, 6, 3, 0], [1, 4, 7, 10], [8, 5, 2, 11]]
    np.testing.assert_array_equal(reverse_padded(turned, lengths), x)


@pytest.mark.parametrize("lengths", [[0, 2], [2, 5], [2]])
def test_lengths_that_do_not_fit_are_refused(lengths: list[int]) -> None:
    layer = random_cell("lstm", 3, 5, np.random.default_rng(1))
    with pytest.raises(ShapeError, match=r"lengths: expected 2 of them, from 1 to 4, got"):
        unroll_padded(
            [layer], np.ones((4, 2, 3), np.float32), state=np.zeros((2, 10), np.float32), lengths=np.array(lengths)
        )


def torch_layers(data: dict[str, Array], kind: CellKind) -> list[Direction]:
    def cell(end: str) -> CellWeights:
        of_input, of_hidden = data[f"w.bias_ih_{end}"], data[f"w.bias_hh_{end}"]
        bias, bias_hn = of_input + of_hidden, None
        if kind is CellKind.GRU:
            first = 2 * len(bias) // 3
            bias[first:], bias_hn = of_input[first:], of_hidden[first:].copy()
        return CellWeights(kind, data[f"w.weight_ih_{end}"], data[f"w.weight_hh_{end}"], bias, bias_hn)

    return [(cell(f"l{n}"), cell(f"l{n}_reverse")) for n in range(len(data["h0"]) // 2)]


def torch_state(data: dict[str, Array], *, hidden: str, cell: str) -> Array:
    """[2 L, B, H] of h and c to [B, S]."""
    parts = data[hidden] if cell not in data else np.stack([data[hidden], data[cell]], axis=1).reshape(-1, 3, 11)
    return np.concatenate(list(parts), axis=1)


@pytest.mark.parametrize("name", ["torch_lstm_bi_4x11x2", "torch_gru_bi_3x8"])
def test_both_directions_equal_pytorch_forward_and_backward(name: str) -> None:
    with np.load(GOLDEN / f"{name}.npz") as file:
        data = dict(file)
    kind = CellKind(name.split("_")[1])
    layers = torch_layers(data, kind)
    x, y, d_y, d_x = (np.ascontiguousarray(data[key].swapaxes(0, 1)) for key in ("x", "y", "dy", "dx"))
    lengths = np.full(x.shape[1], len(x))
    trace = run_bidirectional(layers, x, state=torch_state(data, hidden="h0", cell="c0"), lengths=lengths)
    np.testing.assert_allclose(trace.y, y, rtol=0, atol=1e-5)
    np.testing.assert_allclose(trace.state, torch_state(data, hidden="hn", cell="cn"), rtol=0, atol=1e-5)
    found = backward_bidirectional(layers, trace, d_y)
    np.testing.assert_allclose(found.d_x, d_x, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.d_state, torch_state(data, hidden="dh0", cell="dc0"), rtol=0, atol=1e-4)
    for n, pair in enumerate(found.layers):
        for d, end in zip(pair, (f"l{n}", f"l{n}_reverse"), strict=True):
            for ours, theirs in (("w_ih", "weight_ih"), ("w_hh", "weight_hh"), ("bias", "bias_ih")):
                np.testing.assert_allclose(getattr(d, ours), data[f"dw.{theirs}_{end}"], rtol=1e-5, atol=1e-4)
            if d.bias_hn is not None:
                inside = data[f"dw.bias_hh_{end}"][-len(d.bias_hn) :]
                np.testing.assert_allclose(d.bias_hn, inside, rtol=1e-5, atol=1e-4)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 8), min_size=2, max_size=4), st.integers(0, 999))
def test_both_directions_of_a_padded_block_equal_each_sequence_alone(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    layers = [(random_cell("gru", 3, 4, rng), random_cell("lstm", 3, 5, rng))]
    layers.append((random_cell("lstm", 9, 4, rng), random_cell("peephole", 9, 3, rng)))
    size, counts = sum(map(state_size, layers)), np.array(lengths)
    x = rng.normal(0, 1, (8, len(lengths), 3)).astype(np.float32)
    d_y = rng.normal(0, 1, (8, len(lengths), 7)).astype(np.float32)
    state = rng.normal(0, 1, (len(lengths), size)).astype(np.float32)
    trace = run_bidirectional(layers, x, state=state, lengths=counts)
    found = backward_bidirectional(layers, trace, d_y)
    for lane, length in enumerate(lengths):
        one = slice(lane, lane + 1)
        alone = run_bidirectional(layers, x[:length, one].copy(), state=state[one], lengths=counts[one])
        d_alone = backward_bidirectional(layers, alone, d_y[:length, one].copy())
        np.testing.assert_allclose(trace.y[:length, one], alone.y, rtol=0, atol=1e-6)
        np.testing.assert_allclose(trace.state[one], alone.state, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found.d_x[:length, one], d_alone.d_x, rtol=1e-5, atol=2e-6)
        np.testing.assert_allclose(found.d_state[one], d_alone.d_state, rtol=1e-5, atol=2e-6)
