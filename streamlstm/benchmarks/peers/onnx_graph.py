"""The network as an ONNX graph: an LSTM operator a layer, the head, and for single steps the mean squared error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.benchmarks.workloads import RecurrentNetwork, Workload

__all__ = ["PingPong", "build_graph"]

_OPSET = 17
_IR_VERSION = 8  # what came with opset 17; newer ones say nothing more of these operators


def build_graph(network: RecurrentNetwork, work: Workload) -> bytes:
    """Return the serialised model.

    Inputs: x [T, S, C] (T = 1 for single steps); for layer l, h_l and c_l [1, S, H].
    Outputs: out [S, D] and errors [S] of a step, out [T, S, D] of a block; next_h_l and next_c_l [1, S, H].
    """
    from onnx import TensorProto, helper, numpy_helper

    shape, streams, steps = work.shape, work.streams, work.steps or 1
    constants: list[Any] = []

    def constant(name: str, array: NDArray[Any]) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def value(name: str, *size: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, size)

    state = (1, streams, shape.hidden)
    inputs, outputs = [value("x", steps, streams, shape.channels)], []
    nodes, below = [], "x"
    constant("one", np.array([1], np.int64))
    for index, layer in enumerate(network.layers):
        weights = (
            constant(f"w_{index}", _onnx_gates(layer.w_ih)[None]),
            constant(f"r_{index}", _onnx_gates(layer.w_hh)[None]),
            constant(f"b_{index}", np.concatenate([_onnx_gates(layer.bias), 0 * layer.bias])[None]),
        )
        taken = [below, *weights, "", f"h_{index}", f"c_{index}"]
        given = [f"y_{index}", f"next_h_{index}", f"next_c_{index}"]
        nodes.append(helper.make_node("LSTM", taken, given, hidden_size=shape.hidden))
        # y is [T, directions, S, H]
        nodes.append(helper.make_node("Squeeze", [f"y_{index}", "one"], [f"below_{index}"]))
        below = f"below_{index}"
        inputs += [value(f"h_{index}", *state), value(f"c_{index}", *state)]
        outputs += [value(f"next_h_{index}", *state), value(f"next_c_{index}", *state)]
    rows = constant("rows", np.array([steps * streams, -1], np.int64))
    head = [constant("head_weight", network.head_weight.T), constant("head_bias", network.head_bias)]
    nodes.append(helper.make_node("Reshape", [below, rows], ["top"]))
    if work.steps is None:
        nodes.append(helper.make_node("Gemm", ["top", *head], ["out"]))
        nodes.append(helper.make_node("Reshape", ["x", rows], ["target"]))
        nodes.append(helper.make_node("Sub", ["out", "target"], ["difference"]))
        nodes.append(helper.make_node("Mul", ["difference", "difference"], ["squares"]))
        nodes.append(helper.make_node("ReduceMean", ["squares"], ["errors"], axes=[1], keepdims=0))
        outputs = [value("out", streams, shape.channels), value("errors", streams), *outputs]
    else:
        nodes.append(helper.make_node("Gemm", ["top", *head], ["flat"]))
        size = constant("out_size", np.array([steps, streams, -1], np.int64))
        nodes.append(helper.make_node("Reshape", ["flat", size], ["out"]))
        outputs = [value("out", steps, streams, shape.channels), *outputs]
    graph = helper.make_graph(nodes, "lstm", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = _IR_VERSION
    return bytes(model.SerializeToString())


class PingPong:
    """Buffers of the graph, bound once: two states, and a call for each direction between them."""

    def __init__(
        self,
        work: Workload,
        bind: Callable[[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]], Callable[[], object]],
    ) -> None:
        shape = work.shape
        steps = (1,) if work.steps is None else (work.steps,)
        self._x = np.zeros((*steps, work.streams, shape.channels), np.float32)
        self._is_step = work.steps is None
        self._out = np.zeros(self._x.shape[1:] if self._is_step else self._x.shape, np.float32)
        self._errors = np.zeros(work.streams, np.float32)
        names = [f"{kind}_{index}" for index in range(shape.layers) for kind in "hc"]
        size = (1, work.streams, shape.hidden)
        # Kept here: a binding knows an address and does not hold the array.
        self._states = [{name: np.zeros(size, np.float32) for name in names} for _ in range(2)]
        given = {"out": self._out} | ({"errors": self._errors} if self._is_step else {})
        self._there, self._back = (
            bind({"x": self._x} | before, given | {f"next_{name}": array for name, array in after.items()})
            for before, after in (self._states, self._states[::-1])
        )

    def load(self, x: NDArray[np.float32]) -> None:
        """Take the input [S, C] or [T, S, C]."""
        self._x[...] = x

    def advance(self) -> None:
        """Compute from one state into the other."""
        self._there()
        self._there, self._back = self._back, self._there

    def read(self) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return out, and the errors of single steps."""
        return self._out, self._errors if self._is_step else None


def _onnx_gates(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reorder rows i, f, g, o to ONNX's i, o, f, c."""
    i, f, g, o = np.split(rows, 4)
    return np.concatenate([i, o, f, g])
