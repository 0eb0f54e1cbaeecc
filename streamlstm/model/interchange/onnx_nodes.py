"""The LSTM, GRU and RNN operators of an ONNX graph, and the linear layer on top.

    LSTM  W [1, 4H, I], R [1, 4H, H], B [1, 8H] (of the input, of the state)   gates i, o, f, c; peepholes P i, o, f
    GRU   W [1, 3H, I], R [1, 3H, H], B [1, 6H]                                gates z, r, h; linear_before_reset 0 or 1
    RNN   W [1, H, I], R [1, H, H], B [1, 2H]

The graph is followed from each operator's input down: through operators that move values and leave them as they are, to
the operator below or to the graph's input. (x - mean) / scale on the way to the lowest is a standardizer. Whatever else
computes on the way is refused.

Source: ONNX operator schemas, opset 14.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import BundleError, ShapeError, UsageError
from streamlstm.kernels import CellKind, CellWeights
from streamlstm.model.interchange.biases import join_biases
from streamlstm.model.interchange.foreign import FileContent, Linear
from streamlstm.model.interchange.gates import gate_order, reorder
from streamlstm.model.interchange.stored_tensors import read_file
from streamlstm.model.standardizer import Standardizer

__all__ = ["read_onnx"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_ACTIVATIONS = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"], "RNN": ["tanh"]}
_MOVES = {"Identity", "Transpose", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Cast", "Dropout"}
_CHOICES = {"Gather", "Slice"}
"""Of a sample, the last one as a rule; only on the way to the head."""

_Array = NDArray[np.float32]


def read_onnx(path: str) -> FileContent:
    """Read an ONNX file. Raises: BundleError; UsageError without the package onnx."""
    try:
        import onnx  # an extra
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise UsageError(f'{path}: needs the package onnx to be read: pip install "streamlstm[onnx]"') from error
    read_file(path)  # says what is wrong where it is missing
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, OSError, ValueError) as error:
        cause = str(error).strip().partition("\n")[0]
        raise BundleError(f"{path}: expected a whole ONNX model, got a truncated or foreign one ({cause})") from error
    return _Graph(path, model.graph).content()


class _Graph:
    """Where each value of a graph comes from."""

    def __init__(self, path: str, graph: Any) -> None:
        from onnx import helper, numpy_helper

        self._path = path
        self._graph = graph
        self._attributes = helper.get_attribute_value
        self._producer = {name: (node, place) for node in graph.node for place, name in enumerate(node.output)}
        self._constants: dict[str, NDArray[Any]] = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self._constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)

    def content(self) -> FileContent:
        modules: dict[str, tuple[CellWeights, ...]] = {}
        standardizer, below = None, None
        for node in self._graph.node:
            if node.op_type not in _GATES:
                continue
            name = node.name or node.output[0] or node.op_type
            modules[name] = (self._cell(name, node),)
            if below is None:
                standardizer = self._standardizer(name, node.input[0])
            else:
                source, place = self._follow(node.input[0], _MOVES)
                if source is not below or place != 0:
                    got = source.op_type if source is not None else "the graph's input"
                    raise BundleError(
                        f"{self._path}: {name}: expected recurrent operators on each other with nothing between, got "
                        f"{got} below it, which a bundle cannot compute"
                    )
            below = node
        linear = dict(self._linear(below)) if below is not None else {}
        return FileContent("ONNX", modules, linear, standardizer, is_ordered=True)

    def _follow(self, name: str, passed: set[str]) -> tuple[Any | None, int]:
        """Go down through operators of the kinds `passed`; None is the graph's input."""
        while name in self._producer:
            node, place = self._producer[name]
            if node.op_type not in passed:
                return node, place
            name = node.input[0]
        return None, 0

    def _standardizer(self, name: str, value: str) -> Standardizer | None:
        """Read (x - mean) / scale on the way to the graph's input, where it is there."""
        found: dict[str, _Array] = {}
        while True:
            node, _ = self._follow(value, _MOVES | {"Clip"})
            if node is None:
                break
            wanted = "Sub" if "Div" in found else "Div"
            constant = self._constants.get(node.input[1]) if len(node.input) > 1 else None
            if node.op_type != wanted or wanted in found or constant is None or not found.keys() <= {"Div"}:
                raise BundleError(
                    f"{self._path}: {name}: expected the graph's input, at most as (x - mean) / scale, got "
                    f"{node.op_type} below it, which a bundle cannot compute"
                )
            found[wanted] = np.ascontiguousarray(constant.ravel(), np.float32)
            value = node.input[0]
        if not found:
            return None
        scale = found["Div"]
        try:
            return Standardizer(found.get("Sub", np.zeros_like(scale)), scale)
        except ShapeError as error:
            raise BundleError(f"{self._path}: {name}: standardizer: {error}") from error

    def _cell(self, name: str, node: Any) -> CellWeights:
        where = f"{self._path}: {name}"
        given = {one.name: self._attributes(one) for one in node.attribute}
        direction = given.get("direction", b"forward").decode()
        if direction != "forward":
            raise BundleError(f"{where}: expected a forward operator, got {direction}, which needs later samples")
        activations = [one.decode().lower() for one in given.get("activations", [])] or _ACTIVATIONS[node.op_type]
        if activations != (usual := _ACTIVATIONS[node.op_type]):
            raise BundleError(
                f"{where}: activations: expected {', '.join(usual)}, got {', '.join(activations)}, which a bundle "
                "cannot compute"
            )
        for option in ("clip", "input_forget", "layout"):
            if given.get(option):
                raise BundleError(
                    f"{where}: {option}: expected 0, got {given[option]:g}, which a bundle cannot compute"
                )
        for place, state in ((5, "initial_h"), (6, "initial_c")):
            first = self._constants.get(node.input[place]) if len(node.input) > place else None
            if first is not None and np.any(first):
                raise BundleError(f"{where}: {state}: expected a stream to begin at zero, got another constant state")
        arrays = {}
        for place, part in ((1, "W"), (2, "R"), (3, "B"), (7, "P")):
            if len(node.input) > place and node.input[place]:
                array = self._constants.get(node.input[place])
                if array is None or array.dtype.kind != "f" or array.shape[:1] != (1,):
                    raise BundleError(f"{where}: {part}: expected constant floats [1, ...], got another value")
                arrays[part] = array[0].astype(np.float32)
        try:
            return _weights(node.op_type, arrays, linear_before_reset=bool(given.get("linear_before_reset", 0)))
        except (ShapeError, ValueError) as error:
            shapes = ", ".join(f"{part} {list(array.shape)}" for part, array in arrays.items())
            raise BundleError(
                f"{where}: expected weights of the operator {node.op_type}, got {shapes} ({error})"
            ) from error

    def _linear(self, top: Any) -> Iterator[tuple[str, Linear]]:
        """Yield the linear layers that take the top operator's output: Gemm, or MatMul and Add."""
        for node in self._graph.node:
            if node.op_type not in ("MatMul", "Gemm"):
                continue
            source, place = self._follow(node.input[0], _MOVES | _CHOICES)
            weight = self._constants.get(node.input[1])
            if source is not top or place > 1 or weight is None or weight.ndim != 2 or weight.dtype.kind != "f":
                continue
            given = {one.name: self._attributes(one) for one in node.attribute}
            if given.get("alpha", 1) != 1 or given.get("beta", 1) != 1 or given.get("transA", 0):
                continue
            matrix = weight if given.get("transB", 0) else weight.T
            bias = self._constants.get(node.input[2]) if len(node.input) > 2 else self._added(node.output[0])
            if bias is None:
                bias = np.zeros(len(matrix), np.float32)
            if bias.shape == (len(matrix),):
                yield node.name or node.output[0], (_floats(matrix), _floats(bias))

    def _added(self, name: str) -> NDArray[Any] | None:
        for node in self._graph.node:
            if node.op_type == "Add" and name in node.input:
                return next((self._constants[one] for one in node.input if one in self._constants), None)
        return None


def _floats(array: NDArray[Any]) -> _Array:
    return np.ascontiguousarray(array, np.float32)


def _weights(operator: str, arrays: dict[str, _Array], *, linear_before_reset: bool) -> CellWeights:
    w, r = arrays["W"], arrays["R"]
    gates, hidden = _GATES[operator], r.shape[-1]
    rows = gates * hidden
    if w.ndim != 2 or r.shape != (rows, hidden) or len(w) != rows:
        raise ShapeError(f"expected W [1, {gates} * H, I] and R [1, {gates} * H, H]")
    both = arrays.get("B", np.zeros(2 * rows, np.float32))
    if both.shape != (2 * rows,):
        raise ShapeError(f"expected B [1, {2 * rows}]")
    if operator == "LSTM":
        kind = CellKind.PEEPHOLE if "P" in arrays else CellKind.LSTM
    elif operator == "GRU":
        kind = CellKind.GRU if linear_before_reset else CellKind.GRU_RESET_BEFORE
    else:
        kind = CellKind.RNN
    came, wanted = gate_order("onnx", kind), gate_order("pytorch", kind)
    w_ih, w_hh, of_input, of_hidden = (reorder(one, came, wanted) for one in (w, r, both[:rows], both[rows:]))
    peephole = reorder(arrays["P"], "iof", "ifo").reshape(3, -1) if kind is CellKind.PEEPHOLE else None
    return CellWeights(kind, w_ih, w_hh, *join_biases(kind, of_input, of_hidden), peephole=peephole)
