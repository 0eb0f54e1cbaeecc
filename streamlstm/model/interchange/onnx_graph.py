"""A bundle's network as an ONNX graph whose state is explicit: in, and out again for the next call.

    x [T, S, C] in the channels' units -> (x - mean) / scale, clipped -> layers -> head [T, S, 1 + p, C]
    h_0 [S, R], c_0 [S, H], h_1, ...   -> next_h_0, next_c_0, next_h_1, ...

T and S are free: T = 1 is a step of S streams, a longer T a block of them. `head` is standardised, as `standardized`
[T, S, C] is: row 0 of head_t is the newest reconstruction of x_t, row h the forecast of x_(t+h). With `mask_inputs`
there is an input `observed` [T, S, C] of ones, and zeros where a value was missing and the last before it is given.

Source: ONNX operator schemas, opset 17. LSTM has no projection there: such a layer is a Scan of plain operators.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import UsageError
from streamlstm.kernels import CellKind, CellWeights
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.whole_file import replace_file
from streamlstm.model.interchange.biases import split_biases
from streamlstm.model.interchange.gates import gate_order, reorder

__all__ = ["encode_onnx", "write_onnx"]

_OPSET = 17
_IR_VERSION = 8  # came with opset 17
_OPERATORS = {
    CellKind.LSTM: "LSTM",
    CellKind.PEEPHOLE: "LSTM",
    CellKind.GRU: "GRU",
    CellKind.GRU_RESET_BEFORE: "GRU",
    CellKind.RNN: "RNN",
}


def write_onnx(bundle: ModelBundle, path: str | Path, *, input_limit: float) -> None:
    """Write the graph; standardised inputs are clipped at `input_limit`, as they are where the bundle scores.

    Raises: UsageError without the package onnx; BundleError when the file cannot be written.
    """
    replace_file(Path(path), encode_onnx(bundle, input_limit=input_limit))


def encode_onnx(bundle: ModelBundle, *, input_limit: float) -> bytes:
    """Return the checked, serialised model. Raises: UsageError without the package onnx."""
    try:
        import onnx  # an extra
    except ImportError as error:
        raise UsageError('export to ONNX needs the package onnx: pip install "streamlstm[onnx]"') from error
    a = bundle.network.architecture
    draft = _Draft()
    draft.take("x", "T", "S", a.channels)
    draft.add("Sub", ["x", draft.constant("standardizer.mean", bundle.standardizer.mean)], ["centered"])
    draft.add("Div", ["centered", draft.constant("standardizer.scale", bundle.standardizer.scale)], ["scaled"])
    limits = [draft.constant(name, np.float32(limit)) for name, limit in (("low", -input_limit), ("high", input_limit))]
    draft.add("Clip", ["scaled", *limits], ["standardized"])
    below = "standardized"
    if a.mask_inputs:
        draft.take("observed", "T", "S", a.channels)
        draft.add("Concat", [below, "observed"], ["masked"], axis=2)
        below = "masked"
    for index, layer in enumerate(bundle.network.layers):
        below = _projected(draft, index, layer, below) if layer.w_hr is not None else _plain(draft, index, layer, below)
    head = (
        draft.constant("head.weight", bundle.network.head_weight.T),
        draft.constant("head.bias", bundle.network.head_bias),
    )
    draft.add("MatMul", [below, head[0]], ["products"], name="head")
    draft.add("Add", ["products", head[1]], ["flat"])
    shape = draft.constant("head.shape", np.array([0, 0, 1 + a.forecast, a.channels], np.int64))
    draft.add("Reshape", ["flat", shape], ["head"])
    draft.give("head", "T", "S", 1 + a.forecast, a.channels)
    draft.give("standardized", "T", "S", a.channels)
    graph = onnx.helper.make_graph(draft.nodes, "streamlstm", draft.inputs, draft.outputs, draft.constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", _OPSET)])
    model.ir_version = _IR_VERSION
    model.producer_name = "streamlstm"
    facts = {
        "model": bundle.label,
        "digest": bundle.digest,
        "channels": list(bundle.channels),
        "period_s": bundle.period_s,
    }
    onnx.helper.set_model_props(model, {"streamlstm": msgspec.json.encode(facts).decode()})
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


class _Draft:
    """Nodes, constants and values of a graph that is being drawn."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def constant(self, name: str, array: NDArray[Any] | np.float32) -> str:
        """Keep an array and return its name."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def add(self, operator: str, taken: list[str], given: list[str], **attributes: Any) -> None:
        """Add a node."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, taken, given, **attributes))

    def take(self, name: str, *size: str | int) -> None:
        """Add an input of floats."""
        self.inputs.append(_value(name, size))

    def give(self, name: str, *size: str | int) -> None:
        """Add an output of floats."""
        self.outputs.append(_value(name, size))

    def state(self, index: int, layer: CellWeights) -> list[str]:
        """Add a layer's state as inputs and outputs and return its names: h, then c if the cell has one."""
        sizes = {"h": layer.output_size} | ({"c": layer.hidden_size} if layer.kind.has_cell else {})
        for part, size in sizes.items():
            self.take(f"{part}_{index}", "S", size)
            self.give(f"next_{part}_{index}", "S", size)
        return [f"{part}_{index}" for part in sizes]


def _plain(draft: _Draft, index: int, layer: CellWeights, below: str) -> str:
    """Add a layer as ONNX's own operator; return the name of its output [T, S, H]."""
    came, wanted = gate_order("pytorch", layer.kind), gate_order("onnx", layer.kind)
    w, r, *biases = (reorder(one, came, wanted)[None] for one in (layer.w_ih, layer.w_hh, *split_biases(layer)))
    arrays = {"w": w, "r": r, "b": np.concatenate(biases, axis=1)}
    weights = [draft.constant(f"layers.{index}.{name}", array) for name, array in arrays.items()]
    first = draft.constant(f"layers.{index}.first", np.array([0], np.int64))
    second = draft.constant(f"layers.{index}.second", np.array([1], np.int64))
    names = draft.state(index, layer)
    for name in names:
        draft.add("Unsqueeze", [name, first], [f"one_{name}"])
    taken = [below, *weights, "", *(f"one_{name}" for name in names)]
    if layer.peephole is not None:
        taken.append(draft.constant(f"layers.{index}.p", reorder(layer.peephole, "ifo", "iof").reshape(1, -1)))
    given = [f"blocks_{index}", *(f"one_next_{name}" for name in names)]
    attributes = {"linear_before_reset": int(layer.kind is CellKind.GRU)} if _OPERATORS[layer.kind] == "GRU" else {}
    draft.add(_OPERATORS[layer.kind], taken, given, name=f"layers.{index}", hidden_size=layer.hidden_size, **attributes)
    for name in names:
        draft.add("Squeeze", [f"one_next_{name}", first], [f"next_{name}"])
    draft.add("Squeeze", [f"blocks_{index}", second], [f"y_{index}"])
    return f"y_{index}"


def _projected(draft: _Draft, index: int, layer: CellWeights, below: str) -> str:
    """Add a projected LSTM layer as a Scan over T of plain operators; return the name of its output [T, S, P].

    The products of the input are done for all T at once; the body takes their rows, [S, 4H].
    """
    from onnx import helper

    assert layer.w_hr is not None
    arrays = {"w": layer.w_ih.T, "b": layer.bias, "r": layer.w_hh.T, "projection": layer.w_hr.T}
    w, b, r, projection = (draft.constant(f"layers.{index}.{name}", array) for name, array in arrays.items())
    draft.add("MatMul", [below, w], [f"products_{index}"])
    draft.add("Add", [f"products_{index}", b], [f"inputs_{index}"])
    body = _Draft()
    hidden, outputs = layer.hidden_size, layer.output_size
    for name, size in (("h", outputs), ("c", hidden), ("row", 4 * hidden)):
        body.take(name, "S", size)
    body.add("MatMul", ["h", r], ["recurrent"])
    body.add("Add", ["row", "recurrent"], ["gates"])
    body.add("Split", ["gates"], ["i_in", "f_in", "g_in", "o_in"], axis=1)
    peepholes = {}
    if layer.peephole is not None:
        for letter, weights in zip("ifo", layer.peephole, strict=True):
            peepholes[letter] = draft.constant(f"layers.{index}.p_{letter}", weights)

    def gate(letter: str, cell: str) -> None:
        source = f"{letter}_in"
        if letter in peepholes:
            body.add("Mul", [cell, peepholes[letter]], [f"{letter}_seen"])
            body.add("Add", [source, f"{letter}_seen"], [f"{letter}_sum"])
            source = f"{letter}_sum"
        body.add("Sigmoid", [source], [letter])

    gate("i", "c")
    gate("f", "c")
    body.add("Tanh", ["g_in"], ["g"])
    body.add("Mul", ["f", "c"], ["kept"])
    body.add("Mul", ["i", "g"], ["added"])
    body.add("Add", ["kept", "added"], ["next_c"])
    gate("o", "next_c")
    body.add("Tanh", ["next_c"], ["squashed"])
    body.add("Mul", ["o", "squashed"], ["unprojected"])
    body.add("MatMul", ["unprojected", projection], ["next_h"])
    body.add("Identity", ["next_h"], ["y"])
    for name, size in (("next_h", outputs), ("next_c", hidden), ("y", outputs)):
        body.give(name, "S", size)
    names = draft.state(index, layer)
    draft.add(
        "Scan",
        [*names, f"inputs_{index}"],
        [*(f"next_{name}" for name in names), f"y_{index}"],
        name=f"layers.{index}",
        body=helper.make_graph(body.nodes, f"layers.{index}.step", body.inputs, body.outputs),
        num_scan_inputs=1,
    )
    return f"y_{index}"


def _value(name: str, size: tuple[str | int, ...]) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, size)
