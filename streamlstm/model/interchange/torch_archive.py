"""A state_dict that torch.save wrote, read without torch and without unpickling.

The file is a zip archive: data.pkl describes the tensors, data/KEY holds their bytes. Pickle is a language for a stack
machine that can call anything; `pickletools` takes it apart without running it, and the reader below understands only
the words that describe tensors: dictionaries, numbers, strings, storages and three names. Whatever else comes is
refused, so nothing in the file executes.

Source: PyTorch, torch/_weights_only_unpickler.py and torch/serialization.py (the zip format, since 1.6).
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from streamlstm.errors import BundleError
from streamlstm.model.interchange.size_limit import Expansion
from streamlstm.model.interchange.stored_tensors import FLOATS, decode_floats, read_file

__all__ = ["read_torch"]

_STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    # Counters of other layers and optimisers; read as they stand, never as weights.
    **dict.fromkeys(("LongStorage", "IntStorage", "ShortStorage", "CharStorage", "ByteStorage", "BoolStorage"), ""),
}
_MOST_PROGRAM_BYTES = 4_000_000
_MOST_AXES = 8
"""Limits that no state_dict comes near. Without them a short description may take hours to follow."""

_ORDERED_DICT = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_PARAMETER = "torch._utils _rebuild_parameter"
_NAMES = {_ORDERED_DICT, _TENSOR, _PARAMETER} | {f"torch {name}" for name in _STORAGES}


class _Refused(Exception):
    """What the reader does not understand."""


@dataclass(frozen=True, slots=True)
class _Name:
    """A name the file asks for."""

    text: str


@dataclass(frozen=True, slots=True)
class _Storage:
    """Bytes of the archive: the record's key, its type's name and how many numbers there are."""

    key: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A view of a storage, in numbers."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


_MARK = object()


def read_torch(path: str) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of a state_dict by name, also of one that lies in a checkpoint's dictionary.

    Tensors that are not of floats are left out.
    Raises: BundleError when the file is missing, truncated, of the old format or not of tensors alone.
    """
    content = read_file(path)
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise BundleError(
            f"{path}: expected a zip archive as torch.save writes it since 1.6, got other bytes or a part of one; save "
            "the state_dict again, or as safetensors"
        )
    expansion = Expansion(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            root = next((name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")), None)
            if root is None:
                raise BundleError(f"{path}: expected the archive of torch.save with its data.pkl, got {names[:3]}")
            order = expansion.read(archive, f"{root}byteorder") if f"{root}byteorder" in names else b"little"
            program = expansion.read(archive, f"{root}data.pkl")
            if len(program) > _MOST_PROGRAM_BYTES:
                raise _Refused(f"a description of {len(program)} bytes, where {_MOST_PROGRAM_BYTES} are plenty")
            found = _state_dict(_Reader().read(program))
            return {
                name: _view(tensor, archive, root, ">" if order == b"big" else "<", expansion)
                for name, tensor in found.items()
                if _STORAGES[tensor.storage.kind]
            }
    except _Refused as error:
        raise BundleError(
            f"{path}: expected tensors alone, as torch.save(module.state_dict(), ...) writes them, got {error}; "
            "nothing of it was run"
        ) from error
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise BundleError(f"{path}: expected a whole archive of torch.save, got a damaged one ({error})") from error


def _state_dict(root: Any) -> dict[str, _Tensor]:
    """Find the dictionary of tensors: the root, or the only one in it, as checkpoints have it."""
    if not isinstance(root, dict):
        raise _Refused(f"a {type(root).__name__.strip('_').lower()} at its root")
    dictionaries = {id(value): value for value in root.values() if isinstance(value, dict)}  # each once
    inner = [value for value in dictionaries.values() if _tensors(value)]
    candidates = [root] if _tensors(root) else inner
    if len(candidates) != 1:
        raise _Refused(f"{len(candidates)} dictionaries of tensors" if candidates else "a dictionary without tensors")
    return _tensors(candidates[0])


def _tensors(values: dict[Any, Any]) -> dict[str, _Tensor]:
    return {name: value for name, value in values.items() if isinstance(value, _Tensor) and isinstance(name, str)}


def _view(
    tensor: _Tensor, archive: zipfile.ZipFile, root: str, order: str, expansion: Expansion
) -> NDArray[np.float32]:
    """Read a tensor's storage and copy what the tensor shows of it: with strides of 0, any number of times."""
    kind, record = _STORAGES[tensor.storage.kind], f"{root}data/{tensor.storage.key}"
    wanted = tensor.storage.count * np.dtype(FLOATS[kind]).itemsize
    stored = archive.getinfo(record).file_size
    if stored != wanted:
        raise _Refused(f"{stored} bytes in {record} where {wanted} were announced")
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.size, tensor.stride, strict=True))
    if 0 not in tensor.size and last >= tensor.storage.count:
        raise _Refused(f"a tensor that reaches beyond {record}")
    expansion.take(4 * math.prod(tensor.size), "what its tensors show")
    numbers = decode_floats(expansion.read(archive, record), kind, byte_order=order)[tensor.offset :]
    view = as_strided(numbers, tensor.size, [step * numbers.itemsize for step in tensor.stride], writeable=False)
    return np.ascontiguousarray(view)


class _Reader:
    """A stack machine for the words of pickle that describe tensors.

    State: the stack, and the memo of what was built, by number.
    """

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._words: dict[str, Callable[[Any], None]] = {
            **dict.fromkeys(("PROTO", "FRAME"), lambda _: None),
            **dict.fromkeys(
                ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"),
                self._stack.append,
            ),
            "NONE": lambda _: self._stack.append(None),
            "NEWTRUE": lambda _: self._stack.append(True),
            "NEWFALSE": lambda _: self._stack.append(False),
            "MARK": lambda _: self._stack.append(_MARK),
            "EMPTY_DICT": lambda _: self._stack.append({}),
            "EMPTY_LIST": lambda _: self._stack.append([]),
            "EMPTY_TUPLE": lambda _: self._stack.append(()),
            **{f"TUPLE{n}": self._tuple_of(n) for n in (1, 2, 3)},
            "TUPLE": lambda _: self._stack.append(tuple(self._since_mark())),
            **dict.fromkeys(("BINPUT", "LONG_BINPUT"), self._put),
            "MEMOIZE": lambda _: self._put(len(self._memo)),
            **dict.fromkeys(("BINGET", "LONG_BINGET"), self._get),
            "APPEND": lambda _: self._extend([self._stack.pop()]),
            "APPENDS": lambda _: self._extend(self._since_mark()),
            "SETITEM": lambda _: self._set_items([self._stack.pop(-2), self._stack.pop()]),
            "SETITEMS": lambda _: self._set_items(self._since_mark()),
            "GLOBAL": self._name,
            "STACK_GLOBAL": lambda _: self._name(_joined(self._stack.pop(-2), self._stack.pop())),
            "BINPERSID": lambda _: self._stack.append(_storage(self._stack.pop())),
            "REDUCE": lambda _: self._stack.append(_built(self._stack.pop(-2), self._stack.pop())),
            # Attributes of a dictionary (a module's version numbers) say nothing of its tensors.
            "BUILD": lambda _: self._forget_attributes(),
        }

    def read(self, program: bytes) -> Any:
        """Return what the program describes. Raises: _Refused for anything but tensors in plain containers."""
        try:
            for word, argument, _ in pickletools.genops(program):
                if word.name == "STOP":
                    return self._stack.pop()
                if word.name not in self._words:
                    raise _Refused(f"the instruction {word.name}")
                self._words[word.name](argument)
        except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            raise _Refused(f"a description that does not hold together ({error})") from error
        raise _Refused("a description without an end")

    def _since_mark(self) -> list[Any]:
        values: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _tuple_of(self, count: int) -> Callable[[Any], None]:
        def take(_: Any) -> None:
            taken = tuple(self._stack[-count:])
            del self._stack[-count:]
            self._stack.append(taken)

        return take

    def _put(self, number: int) -> None:
        self._memo[number] = self._stack[-1]

    def _get(self, number: int) -> None:
        self._stack.append(self._memo[number])

    def _extend(self, values: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise _Refused("items added to what is no list")
        self._stack[-1].extend(values)

    def _set_items(self, values: list[Any]) -> None:
        if not isinstance(self._stack[-1], dict):
            raise _Refused("items set in what is no dictionary")
        if not all(isinstance(key, str | int | float | None) for key in values[::2]):
            raise _Refused("keys that are neither text nor numbers")  # nested ones take for ever to compare
        self._stack[-1].update(zip(values[::2], values[1::2], strict=True))

    def _name(self, text: str) -> None:
        if text not in _NAMES:
            raise _Refused(f"a call of {text.replace(' ', '.')}")
        self._stack.append(_Name(text))

    def _forget_attributes(self) -> None:
        self._stack.pop()
        if not isinstance(self._stack[-1], dict):
            raise _Refused("attributes of what is no dictionary")


def _joined(module: Any, name: Any) -> str:
    if not (isinstance(module, str) and isinstance(name, str)):
        raise _Refused("a name that is no text")
    return f"{module} {name}"


def _storage(reference: Any) -> _Storage:
    word, kind, key, _, count = reference
    if word != "storage" or not isinstance(kind, _Name) or not isinstance(key, str) or not _is_count(count):
        raise _Refused("a reference to what is no storage")
    return _Storage(key, kind.text.removeprefix("torch "), count)


def _built(name: Any, arguments: Any) -> Any:
    """Return the dictionary or tensor that one of the three names stands for."""
    text = name.text if isinstance(name, _Name) else "what is no name"
    if text == _ORDERED_DICT and arguments == ():
        return {}
    if text == _PARAMETER and isinstance(arguments[0], _Tensor):
        return arguments[0]
    if text == _TENSOR:
        storage, offset, size, stride = arguments[:4]
        is_shaped = isinstance(storage, _Storage) and len(size) == len(stride) <= _MOST_AXES
        if is_shaped and all(map(_is_count, (offset, *size, *stride))):
            return _Tensor(storage, offset, size, stride)
    raise _Refused(f"a call of {text.replace(' ', '.')} with other arguments")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 2**48
