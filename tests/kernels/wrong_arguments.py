"""Every way in which an array handed to a kernel can be wrong, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.errors import ShapeError

Arguments = dict[str, Any]
Array = NDArray[Any]


def refuses_a_wrong(
    name: str, face: Callable[..., None], arguments: Arguments, outputs: Collection[str], *, grows: str = ""
) -> None:
    """Assert that nothing wrong with the array `name` is accepted, and that a refusal leaves every array as it was.

    `grows` names the one array, if any, that alone says how many slots there are, and so may have more rows.
    """
    face(**copied(arguments))  # what is right is accepted
    for fault, wrong in unfit(arguments[name]):
        refuses(face, arguments | {name: wrong}, rf"^{name}: expected", fault)
    for fault, wrong in resized(arguments[name]):
        if name == grows and wrong.ndim == arguments[name].ndim and len(wrong) > len(arguments[name]):
            continue
        refuses(face, arguments | {name: wrong}, "^[a-z_]+: expected", fault)
    if name in outputs:
        fixed = arguments[name].copy()
        fixed.flags.writeable = False
        refuses(face, arguments | {name: fixed}, f"^{name}: expected memory that may be written", "read-only")
        for other in arrays(arguments):
            if other != name:
                for fault, both in overlapping(arguments, name, other):
                    refuses(
                        face, arguments | both, "^[a-z_]+: expected memory that is not that of", f"{other}, {fault}"
                    )


def refuses_a_wrong_slot(face: Callable[..., None], arguments: Arguments, capacity: int) -> None:
    """Assert that slots below 0 or at the capacity are refused, wherever they stand."""
    for slot in (-1, capacity, 2**62, -(2**63)):
        for row in range(len(arguments["slots"])):
            slots = arguments["slots"].copy()
            slots[row] = slot
            refuses(face, arguments | {"slots": slots}, f"^slots: expected 0 to {capacity - 1}", f"{slot} at {row}")


def refuses(face: Callable[..., None], arguments: Arguments, message: str, fault: str) -> None:
    """Assert that the call raises ShapeError with this message and changes no array."""
    before = {name: array.tobytes() for name, array in arrays(arguments).items()}
    with pytest.raises(ShapeError, match=message):
        face(**arguments)
        pytest.fail(f"accepted: {fault}")
    assert {name: array.tobytes() for name, array in arrays(arguments).items()} == before, fault


def accepts_arrays_that_touch(face: Callable[..., None], arguments: Arguments) -> None:
    """Assert that arrays may lie one after the other in one piece of memory, and empty ones anywhere in it."""
    memory = np.zeros(sum(_words(array) for array in arrays(arguments).values()), np.int64)
    packed, begin = {}, 0
    for name, array in arrays(arguments).items():
        packed[name] = _at(memory[begin:], array)
        begin += _words(array)
    face(**(arguments | packed))


def arrays(arguments: Arguments) -> dict[str, Array]:
    return {name: value for name, value in arguments.items() if isinstance(value, np.ndarray)}


def copied(arguments: Arguments) -> Arguments:
    return arguments | {name: array.copy() for name, array in arrays(arguments).items()}


def unfit(array: Array) -> Iterator[tuple[str, Any]]:
    """No array, or one of another type, rank, order or alignment."""
    yield "None", None
    yield "list", array.tolist()
    yield "memoryview", memoryview(array)
    for dtype in (np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_):
        if dtype != array.dtype:
            yield str(dtype), np.zeros(array.shape, dtype)
    if array.dtype.itemsize > 1:
        yield "big endian", array.astype(array.dtype.newbyteorder(">"))
        odd = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        odd[...] = array
        yield "unaligned", odd
    yield "rank above", array[None]
    yield "rank below", array[0]
    yield "strided", np.repeat(array, 2, axis=0)[::2]
    if array.ndim > 1:
        yield "in Fortran order", np.asfortranarray(array)


def resized(array: Array) -> Iterator[tuple[str, Array]]:
    """One more, one fewer, or none along each axis."""
    for axis, size in enumerate(array.shape):
        for wanted in (size + 1, size - 1, 0):
            rows = np.arange(wanted) % size
            yield f"{wanted} along axis {axis}", np.ascontiguousarray(np.take(array, rows, axis=axis))


def overlapping(arguments: Arguments, one: str, other: str) -> Iterator[tuple[str, Arguments]]:
    """Both arrays in the same memory, from the same byte on, and with the least that can be in common."""
    a, b = arguments[one], arguments[other]
    memory = np.zeros(_words(a) + _words(b), np.int64)
    yield "from the same byte on", {other: _at(memory, b), one: _at(memory, a)}
    last = (a.nbytes - 1) // 8
    memory = np.zeros(_words(a) + _words(b), np.int64)
    yield "in the last bytes", {other: _at(memory[last:], b), one: _at(memory, a)}


def _words(array: Array) -> int:
    return -(-array.nbytes // 8)


def _at(memory: NDArray[np.int64], array: Array) -> Array:
    found = memory[: _words(array)].view(np.uint8)[: array.nbytes].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found
