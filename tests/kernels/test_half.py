"""float16 and back: one contract, with and without the processor's own conversion."""

from __future__ import annotations

import ctypes
import subprocess
import sysconfig
from pathlib import Path
from shlex import split

import numpy as np
import pytest
from numpy.typing import NDArray

HEADERS = Path(__file__).parents[2] / "src_cython/streamlstm/kernels"
PROCESSOR = Path("/proc/cpuinfo")
FLAGS = ["", "-mf16c"] if PROCESSOR.exists() and "f16c" in PROCESSOR.read_text().split() else [""]
SOURCE = """
#include "arena/half.h"
void to_floats(ptrdiff_t count, const uint16_t *from, float *to) { halves_to_floats(count, from, to); }
void to_halves(ptrdiff_t count, const float *from, uint16_t *to) { floats_to_halves(count, from, to); }
void rounded(ptrdiff_t count, float *values) { round_to_halves(count, values); }
"""
AFTER = 16  # values after the last, which nothing may touch

Floats = NDArray[np.float32]
Halves = NDArray[np.uint16]


class Conversions:
    """half.h, compiled with some flags."""

    def __init__(self, folder: Path, flags: str) -> None:
        (folder / "half.c").write_text(SOURCE)
        compiler = split(sysconfig.get_config_var("CC") or "cc")[0]
        built = folder / "half.so"
        command = [compiler, "-O2", "-shared", "-fPIC", f"-I{HEADERS}", *split(flags), "-o", str(built)]
        subprocess.run([*command, str(folder / "half.c")], check=True)
        self._compiled = ctypes.CDLL(str(built))

    def to_halves(self, values: Floats) -> Halves:
        found = np.full(len(values) + AFTER, 0xABCD, np.uint16)
        self._call("to_halves", len(values), values, found)
        assert (found[len(values) :] == 0xABCD).all(), f"{len(values)} values, and more were written"
        return found[: len(values)]

    def to_floats(self, halves: Halves) -> Floats:
        found = np.full(len(halves) + AFTER, np.pi, np.float32)
        self._call("to_floats", len(halves), halves, found)
        assert (found[len(halves) :] == np.float32(np.pi)).all(), f"{len(halves)} values, and more were written"
        return found[: len(halves)]

    def rounded(self, values: Floats) -> Floats:
        found = np.concatenate([values, np.full(AFTER, np.pi, np.float32)])
        self._call("rounded", len(values), found)
        assert (found[len(values) :] == np.float32(np.pi)).all(), f"{len(values)} values, and more were written"
        return found[: len(values)]

    def _call(self, name: str, count: int, *arrays: NDArray[np.generic]) -> None:
        getattr(self._compiled, name)(ctypes.c_ssize_t(count), *(ctypes.c_void_p(a.ctypes.data) for a in arrays))


@pytest.fixture(scope="module", params=FLAGS, ids=[flags or "plain" for flags in FLAGS])
def half(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Conversions:
    return Conversions(tmp_path_factory.mktemp("half"), request.param)


def all_floats_that_differ() -> Floats:
    """Every half, what lies between two, ties and their neighbours, and what no half can be, of both signs."""
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    ties = (halves[1:] + halves[:-1]) / 2
    around = np.concatenate([np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(np.inf))])
    bits = np.random.default_rng(1).integers(0, 0x7F800000, 100_000, dtype=np.uint32)  # of every exponent
    beyond = np.array([65519.9, 65520, 65536, 3e38, 1e-45, 1e-40, 2**-25, np.inf], np.float32)
    sizes = np.concatenate([halves, ties, around, bits.view(np.float32), beyond])
    return np.concatenate([sizes, -sizes])


def test_rounds_as_numpy_does_and_never_to_infinity(half: Conversions) -> None:
    values = all_floats_that_differ()
    expected = np.clip(values, -65504, 65504).astype(np.float16)
    assert np.array_equal(half.to_halves(values), expected.view(np.uint16))
    assert np.array_equal(half.rounded(values).view(np.uint32), expected.astype(np.float32).view(np.uint32))


def test_gives_back_every_finite_half(half: Conversions) -> None:
    halves = np.arange(0x10000, dtype=np.uint32).astype(np.uint16)
    halves = halves[np.isfinite(halves.view(np.float16))]
    expected = halves.view(np.float16).astype(np.float32)
    assert np.array_equal(half.to_floats(halves).view(np.uint32), expected.view(np.uint32))


def test_not_a_number_is_the_largest_number_of_its_sign(half: Conversions) -> None:
    bits = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF], np.uint32)
    for count in (4, 8):  # singly, and eight at a time where the processor converts
        assert half.to_halves(np.resize(bits, count).view(np.float32)).tolist() == [0x7BFF, 0xFBFF] * (count // 2)


def test_takes_any_count_and_touches_nothing_beyond(half: Conversions) -> None:
    values = np.random.default_rng(2).normal(size=40).astype(np.float32)
    expected = values.astype(np.float16)
    for count in range(len(values) + 1):
        assert np.array_equal(half.to_halves(values[:count]), expected[:count].view(np.uint16))
        assert np.array_equal(half.to_floats(expected[:count].view(np.uint16)), expected[:count].astype(np.float32))
        assert np.array_equal(half.rounded(values[:count]), expected[:count].astype(np.float32))
