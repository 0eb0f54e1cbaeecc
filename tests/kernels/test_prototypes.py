"""Distances to prototypes: as their definition has them, the same bits in every batch; what is wrong is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.prototype_oracle import OracleWindow
from kernels.wrong_arguments import Arguments, accepts_arrays_that_touch, refuses, refuses_a_wrong, refuses_a_wrong_slot

from streamlstm.errors import ShapeError, UsageError
from streamlstm.kernels import PackedPrototypes, advance_prototypes, isas

N, K, L, C, S = 5, 3, 4, 2, 4
OUTPUTS = ("windows", "statistics", "contribution", "expected")


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def some_prototypes(
    count: int = K, taps: int = L, channels: int = C, isa: str | None = None, stride: int = 1
) -> tuple[np.ndarray, np.ndarray, PackedPrototypes]:
    centres = normal(count, 2, count, taps, channels)
    floors = np.linspace(0.05, 0.2, channels, dtype=np.float32)
    return centres, floors, PackedPrototypes(centres, floors, stride=stride, isa=isa)


def a_call() -> Arguments:
    """Five samples of three streams in four slots; one begins anew."""
    return {
        "slots": np.array([0, 2, 0, 3, 2]),
        "x": normal(2, N, C),
        "reset": np.array([0, 0, 0, 1, 0], np.uint8),
        "ages": np.array([5, 0, 6, 0, 1]),
        "windows": normal(3, S, L, C),
        "statistics": np.full((N, 2), 99, np.float32),
        "contribution": np.full((N, C), 99, np.float32),
        "expected": np.full((N, C), 99, np.float32),
    }


def face(**arguments: object) -> None:
    advance_prototypes(some_prototypes()[2], **arguments)  # type: ignore[arg-type]


def measure(
    packed: PackedPrototypes,
    slots: np.ndarray,
    x: np.ndarray,
    ages: np.ndarray,
    windows: np.ndarray,
    reset: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    count, channels = x.shape
    found = {
        "statistics": np.full((count, 2), 99, np.float32),
        "contribution": np.full((count, channels), 99, np.float32),
        "expected": np.full((count, channels), 99, np.float32),
    }
    reset = np.zeros(count, np.uint8) if reset is None else reset
    advance_prototypes(packed, slots, x=x, reset=reset, ages=ages, windows=windows, **found)
    return found


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize(
    ("count", "taps", "channels", "stride"),
    [
        *((1, 1, 1, 1), (3, 8, 1, 1), (16, 9, 2, 1), (65, 64, 1, 1), (64, 20, 3, 1), (130, 13, 5, 1), (10, 8, 38, 1)),
        *((7, 2, 17, 1), (3, 8, 1, 3), (64, 9, 2, 5), (16, 20, 3, 2), (10, 8, 38, 2), (5, 1, 2, 4)),
    ],
)
def test_distances_are_those_of_the_definition(isa: str, count: int, taps: int, channels: int, stride: int) -> None:
    centres, floors, packed = some_prototypes(count, taps, channels, isa, stride)
    streams, rounds = 7, 2 * packed.span + 3
    assert packed.span == (taps - 1) * stride + 1
    x = normal(5, rounds, streams, channels) * np.linspace(0.01, 3, streams, dtype=np.float32)[:, None]
    x += np.linspace(-9, 9, streams, dtype=np.float32)[:, None]  # a mean that has to go
    x[:, 3] = centres[0, 0, np.arange(rounds) % taps] + 4  # as near to a prototype as a window can be
    x[:, 4] = 2.5  # flat
    x[rounds // 2, 5, 0], x[rounds // 3, 6, -1] = np.nan, np.inf
    windows = np.zeros((streams, packed.span, channels), np.float32)
    oracles = [OracleWindow(centres, floors, stride) for _ in range(streams)]
    for t in range(rounds):
        found = measure(packed, np.arange(streams), x[t], np.full(streams, t), windows)
        wanted = [oracle.measure(row) for oracle, row in zip(oracles, x[t], strict=True)]
        for name, values in zip(found, zip(*wanted, strict=True), strict=True):
            scale = 1e-4 if name == "statistics" else 2e-4
            assert found[name] == pytest.approx(np.array(values), rel=2e-4, abs=scale), f"{name} at {t}"


def test_a_window_that_is_a_prototype_loses_nothing_to_rounding() -> None:
    """|w|^2 - 2 w.p + |p|^2 would leave 1e-6 of |w|^2; a window far from zero is a thousandth off its prototype."""
    centres, floors, _ = some_prototypes(40, 32, 2)
    centres *= 100
    centres -= centres.mean(axis=2, keepdims=True)
    window = centres[0, 11] + 0.001 * normal(8, 32, 2)
    found = measure(
        PackedPrototypes(centres, floors), np.zeros(32, np.int64), window, np.arange(32), np.zeros((1, 32, 2), "f4")
    )
    oracle = OracleWindow(centres, floors)
    wanted = [oracle.measure(row) for row in window][-1]
    assert 0 < wanted[0][0] < 2e-6
    assert found["statistics"][-1, 0] == pytest.approx(wanted[0][0], rel=0.05)
    assert found["contribution"][-1] == pytest.approx(wanted[1], abs=0.02)


@settings(max_examples=40)
@given(st.data())
def test_bits_do_not_depend_on_the_batch_the_slot_or_the_neighbours(data: st.DataObject) -> None:
    taps, channels, stride = data.draw(st.sampled_from([(4, 2, 1), (9, 1, 1), (8, 19, 1), (5, 2, 3), (4, 1, 7)]))
    packed = some_prototypes(70, taps, channels, stride=stride)[2]
    streams, count = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 120))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    slots = rng.integers(0, streams, count)
    x = rng.normal(size=(count, channels)).astype(np.float32)
    reset = (rng.random(count) < 0.05).astype(np.uint8)
    ages, age = np.empty(count, np.int64), dict[int, int]()
    for n, slot in enumerate(slots.tolist()):
        ages[n] = 0 if reset[n] else age.get(slot, 0)
        age[slot] = ages[n] + 1
    windows = np.zeros((streams, packed.span, channels), np.float32)
    whole = measure(packed, slots, x, ages, windows, reset)
    cuts = sorted({0, count, *data.draw(st.lists(st.integers(0, count), max_size=6))})
    moved = rng.permutation(streams + 3)[:streams]
    others = rng.normal(size=(streams + 3, packed.span, channels)).astype(np.float32)
    others[moved] = 0
    for begin, end in itertools.pairwise(cuts):
        rows = slice(begin, end)
        part = measure(packed, moved[slots[rows]], x[rows], ages[rows], others, reset[rows])
        for name, values in part.items():
            assert np.array_equal(values, whole[name][rows]), name
    assert np.array_equal(others[moved], windows)


def test_a_stream_that_begins_anew_knows_nothing_of_before() -> None:
    packed, x = some_prototypes()[2], normal(1, 12, C)
    windows = normal(4, 1, L, C)
    reset = np.zeros(12, np.uint8)
    reset[0] = 1
    found = measure(packed, np.zeros(12, np.int64), x, np.arange(12), windows, reset)
    again = measure(packed, np.zeros(12, np.int64), x, np.arange(12), np.zeros((1, L, C), np.float32))
    for name in found:
        assert np.array_equal(found[name], again[name])
    assert not found["statistics"][: L - 1].any() and found["statistics"][L - 1 :].all()
    assert not found["expected"][: L - 1].any()
    assert found["contribution"].sum(axis=1) == pytest.approx(np.ones(12), abs=1e-6)


@pytest.mark.parametrize("name", [name for name, value in a_call().items() if isinstance(value, np.ndarray)])
def test_an_array_that_does_not_fit_is_refused_before_anything_changes(name: str) -> None:
    refuses_a_wrong(name, face, a_call(), OUTPUTS, grows="windows")


def test_slots_and_ages_that_cannot_be_are_refused() -> None:
    refuses_a_wrong_slot(face, a_call(), S)
    for row in range(N):
        a = a_call()
        a["ages"][row] = -3
        refuses(face, a, "^ages: expected 0 or more, got -3", f"row {row}")


def test_neighbours_in_memory_and_no_samples_are_accepted() -> None:
    accepts_arrays_that_touch(face, a_call())
    a = a_call()
    face(**{name: value if name == "windows" else value[:0] for name, value in a.items()})
    assert np.array_equal(a["windows"], a_call()["windows"])


@pytest.mark.parametrize(
    ("centres", "floors", "message"),
    [
        (np.zeros((2, 3, 4), np.float32), np.ones(2, np.float32), "^centres: expected"),
        (np.zeros((3, 3, 4, 2), np.float32), np.ones(2, np.float32), "^centres: expected"),
        (np.zeros((2, 0, 4, 2), np.float32), np.ones(2, np.float32), "^centres: expected at least one"),
        (np.zeros((2, 3, 4, 2)), np.ones(2, np.float32), "^centres: expected"),
        (np.zeros((2, 3, 4, 2), np.float32), np.ones(3, np.float32), "^floors: expected"),
        (
            np.zeros((2, 3, 4, 2), np.float32),
            np.zeros(2, np.float32),
            "^expected centres within 1e.06, and finite floors",
        ),
        (np.full((2, 3, 4, 2), -1.1e6, np.float32), np.ones(2, np.float32), "^expected centres within"),
        (np.full((2, 3, 4, 2), np.nan, np.float32), np.ones(2, np.float32), "^expected centres within"),
    ],
)
def test_prototypes_that_do_not_fit_are_refused(centres: np.ndarray, floors: np.ndarray, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        PackedPrototypes(centres, floors)


@pytest.mark.parametrize("stride", [0, -1, 4097])
def test_a_stride_that_cannot_be_is_refused(stride: int) -> None:
    with pytest.raises(ShapeError, match=f"^stride: expected 1 to 4096, got {stride}"):
        PackedPrototypes(np.zeros((2, 3, 4, 2), np.float32), np.ones(2, np.float32), stride=stride)


@pytest.mark.parametrize("isa", isas())
def test_the_farthest_prototypes_are_nearer_than_none(isa: str) -> None:
    packed = PackedPrototypes(np.full((2, 3, L, C), 1e6, np.float32), np.ones(C, np.float32), isa=isa)
    x = 1e5 * normal(1, 9, C)
    found = measure(packed, np.zeros(9, np.int64), x, np.arange(9), np.zeros((1, L, C), np.float32))
    assert (found["statistics"][L:] > 0.9e12).all()
    assert (found["expected"][L:] > 0.9e6).all(), "from a prototype, not from what lies behind them"


def test_prototypes_are_packed_for_a_level() -> None:
    assert some_prototypes()[2].isa == isas()[0]
    assert [some_prototypes(isa=isa)[2].isa for isa in isas()] == isas()
    with pytest.raises(UsageError, match="z80"):
        some_prototypes(isa="z80")
