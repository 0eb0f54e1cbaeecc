"""Files of other frameworks: what our kernels make of their weights is what the framework made."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
from kernels.golden import FOLDER, load
from model.interchange.stacks import DATA, GOLDEN, Array, run_stack
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from streamlstm.kernels import CellKind, unroll
from streamlstm.model.interchange import read_layers

NEAR = {"rtol": 0, "atol": 1e-5}
TORCH = ["lstm_3x13", "lstm_8x64x2", "lstm_38x100x3", "lstm_proj_6x20_7", "gru_5x19x2", "rnn_tanh_4x9x2"]
in_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden files of other frameworks are not here")


def write_h5(path: Path, layers: dict[str, list[Array]]) -> None:
    """The layout in which Keras 3 saves weights: a group a layer, `cell` in the recurrent ones."""
    with h5py.File(path, "w") as file:
        for name, arrays in layers.items():
            inner = "vars" if name.startswith("dense") else "cell/vars"
            for number, array in enumerate(arrays):
                file[f"layers/{name}/{inner}/{number}"] = array


@pytest.mark.parametrize("name", TORCH)
def test_pytorch_names_under_any_prefix(name: str, tmp_path: Path) -> None:
    golden = load(f"torch_{name}")
    weights = {key[2:]: array for key, array in golden.data.items() if key.startswith("w.")}
    save_file({f"net.encoder.{key}": array for key, array in weights.items()}, tmp_path / "net.safetensors")
    network = read_layers(tmp_path / "net.safetensors")
    trace = unroll(network.layers, golden.x, state=golden.state)
    np.testing.assert_allclose(trace.y, golden.y, **NEAR)
    np.testing.assert_allclose(trace.state, golden.final, **NEAR)
    assert network.head is None


@in_golden
def test_state_dict_in_safetensors() -> None:
    network = read_layers(GOLDEN / "torch_state_dict.safetensors")
    with np.load(GOLDEN / "torch_state_dict_io.npz") as io:
        np.testing.assert_allclose(run_stack(network.layers, io["x"], network.head), io["y"], **NEAR)


@pytest.mark.parametrize(("name", "near"), [("lstm", 1e-5), ("gru_checkpoint", 1e-5)])
def test_state_dict_of_torch_save(name: str, near: float) -> None:
    """A state_dict, and one in a checkpoint whose weights are bfloat16 and in part transposed views."""
    network = read_layers(DATA / f"{name}.pt")
    with np.load(DATA / "torch_io.npz") as io:
        made = run_stack(network.layers, io[f"{name}.x"], network.head)
        np.testing.assert_allclose(made, io[f"{name}.y"], rtol=0, atol=near)


def test_onnx_of_pytorchs_exporter() -> None:
    network = read_layers(DATA / "torch_lstm.onnx")
    with np.load(DATA / "torch_io.npz") as io:
        np.testing.assert_allclose(run_stack(network.layers, io["lstm.x"], network.head), io["lstm.y"], **NEAR)


@pytest.mark.parametrize("name", ["keras_lstm", "keras_gru"])
def test_keras_weights(name: str, tmp_path: Path) -> None:
    with np.load(FOLDER / f"{name}.npz") as file:
        data = dict(file)
    layers = {name.removeprefix("keras_"): [data[f"w{n}"] for n in range(3)], "dense": [data["w3"], data["w4"]]}
    write_h5(tmp_path / "net.weights.h5", layers)
    network = read_layers(tmp_path / "net.weights.h5")
    np.testing.assert_allclose(run_stack(network.layers, data["x"], network.head), data["y"], **NEAR)


@in_golden
@pytest.mark.parametrize("name", ["keras_lstm", "keras_gru"])
def test_weights_that_keras_wrote(name: str) -> None:
    network = read_layers(GOLDEN / f"{name}.weights.h5")
    with np.load(GOLDEN / f"{name}.npz") as data:
        np.testing.assert_allclose(run_stack(network.layers, data["x"], network.head), data["y"], **NEAR)


def test_keras_file_of_three_kinds() -> None:
    """A plain RNN, a GRU that resets before its product and an LSTM without bias, in the order of config.json."""
    network = read_layers(DATA / "mixed.keras")
    assert [layer.kind.value for layer in network.layers] == ["rnn", "gru_reset_before", "lstm"]
    with np.load(DATA / "mixed_io.npz") as io:
        np.testing.assert_allclose(run_stack(network.layers, io["x"], network.head), io["y"], **NEAR)


def test_keras_weights_of_several_kinds_want_their_order(tmp_path: Path) -> None:
    with zipfile.ZipFile(DATA / "mixed.keras") as archive:
        (tmp_path / "mixed.weights.h5").write_bytes(archive.read("model.weights.h5"))
    network = read_layers(tmp_path / "mixed.weights.h5", modules=["simple_rnn", "gru", "lstm"])
    with np.load(DATA / "mixed_io.npz") as io:
        np.testing.assert_allclose(run_stack(network.layers, io["x"], network.head), io["y"], **NEAR)


def test_keras_layers_of_one_kind_come_by_number(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    sizes = {"lstm": (3, 4)} | {f"lstm_{n}": (n + 3, n + 4) for n in range(1, 11)}  # lstm_10 after lstm_9
    stack = {
        name: [rng.normal(size=shape).astype(np.float32) for shape in ((i, 4 * h), (h, 4 * h), (4 * h,))]
        for name, (i, h) in sizes.items()
    }
    write_h5(tmp_path / "net.weights.h5", stack)
    network = read_layers(tmp_path / "net.weights.h5")
    assert [layer.hidden_size for layer in network.layers] == list(range(4, 15))


@in_golden
def test_onnx_lstm_with_peepholes() -> None:
    golden = load("onnx_lstm_peephole")
    network = read_layers(GOLDEN / "onnx_lstm_peephole.onnx")
    trace = unroll(network.layers, golden.x, state=golden.state)
    assert network.layers[0].kind is CellKind.PEEPHOLE
    np.testing.assert_allclose(trace.y, golden.y, **NEAR)
    np.testing.assert_allclose(trace.state, golden.final, **NEAR)


def test_onnx_gru_that_resets_before(tmp_path: Path) -> None:
    golden = load("onnx_gru_reset_before")
    arrays = [numpy_helper.from_array(golden.data[name], name) for name in ("W", "R", "Bias")]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, list(golden.x.shape))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)
    node = helper.make_node("GRU", ["x", "W", "R", "Bias"], ["y"], hidden_size=golden.layers[0].hidden_size)
    model = helper.make_model(helper.make_graph([node], "gru", [x], [y], arrays))
    onnx.save(model, tmp_path / "gru.onnx")
    network = read_layers(tmp_path / "gru.onnx")
    np.testing.assert_allclose(unroll(network.layers, golden.x, state=golden.state).y, golden.y, **NEAR)


def test_two_modules_are_stacked_as_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    tensors = {}
    for name, inputs, hidden in (("upper", 5, 4), ("lower", 3, 5)):
        for part, shape in (("weight_ih", (4 * hidden, inputs)), ("weight_hh", (4 * hidden, hidden))):
            tensors[f"{name}.{part}_l0"] = rng.normal(size=shape).astype(np.float32)
    save_file(tensors, tmp_path / "two.safetensors")
    network = read_layers(tmp_path / "two.safetensors", modules=["lower", "upper"])
    assert [layer.input_size for layer in network.layers] == [3, 5]
    np.testing.assert_array_equal(network.layers[1].w_hh, tensors["upper.weight_hh_l0"])
