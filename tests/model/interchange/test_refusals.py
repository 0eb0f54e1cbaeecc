"""Files that cannot be read are refused in a sentence that says what was expected, what came and where."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import h5py
import msgspec
import numpy as np
import onnx
import pytest
from model.interchange.stacks import DATA, random_bundle
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from streamlstm.errors import BundleError, UsageError
from streamlstm.model.interchange import read_layers, write_onnx

LSTM = {"weight_ih_l0": (20, 3), "weight_hh_l0": (20, 5), "bias_ih_l0": (20,), "bias_hh_l0": (20,)}


def tensors(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(6)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".weights.h5", ".keras", ".onnx"])
def test_missing_empty_and_foreign_files(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"net{suffix}"
    with pytest.raises(BundleError, match=rf"net{suffix}: cannot be read \(No such file"):
        read_layers(file)
    for content in (b"", b"not weights at all, but sixty bytes of plain text, or somewhat more"):
        file.write_bytes(content)
        with pytest.raises(BundleError, match=rf"net{suffix}: (expected|holds)"):
            read_layers(file)


@pytest.mark.parametrize("name", ["lstm.pt", "gru_checkpoint.pt", "mixed.keras", "torch_lstm.onnx"])
def test_truncated_files(name: str, tmp_path: Path) -> None:
    content = (DATA / name).read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        (tmp_path / name).write_bytes(content[: int(len(content) * share)])
        with pytest.raises(BundleError, match=f"{name}: expected"):
            read_layers(tmp_path / name)


def test_truncated_safetensors_and_h5(tmp_path: Path) -> None:
    save_file(tensors(**LSTM), tmp_path / "net.safetensors")
    with zipfile.ZipFile(DATA / "mixed.keras") as archive:
        (tmp_path / "net.weights.h5").write_bytes(archive.read("model.weights.h5"))
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:-200])
        with pytest.raises(BundleError, match=f"{file.name}: expected"):
            read_layers(file)


def test_every_flipped_byte_of_a_state_dict_is_read_or_refused(tmp_path: Path) -> None:
    """Damage never ends in anything but a bundle's error."""
    with zipfile.ZipFile(DATA / "gru_checkpoint.pt") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (program,) = [name for name in parts if name.endswith("data.pkl")]
    for at in range(0, len(parts[program]), 3):
        damaged = bytearray(parts[program])
        damaged[at] ^= 0x15
        file = tmp_path / "net.pt"
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in (parts | {program: bytes(damaged)}).items():
                archive.writestr(name, content)
        said = ""
        try:
            read_layers(file)
        except (BundleError, UsageError) as error:
            said = str(error)
        assert not said or said.startswith(str(file))


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (b"cposix\nsystem\nX\x0b\x00\x00\x00touch owned\x85R.", r"a call of posix\.system"),
        (b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R.", r"a call of builtins\.eval"),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93X\x0b\x00\x00\x00touch owned\x85R.", r"a call of posix\.system"),
        (b"ctorch\nload\nX\x01\x00\x00\x001\x85R.", r"a call of torch\.load"),
        (b"ccollections\nOrderedDict\n)\x81.", "the instruction NEWOBJ"),
        (b"]\x94.", "a list at its root"),
        (b"}\x94.", "a dictionary without tensors"),
        (b"}", "a description"),
    ],
)
def test_a_state_dict_that_would_run_something(program: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "net.pt"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/data.pkl", program)
    with pytest.raises(BundleError, match=rf"net\.pt: expected tensors alone, .*got ({said}).*; nothing of it was run"):
        read_layers(file)
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt"]


def test_a_whole_module_saved_by_torch(tmp_path: Path) -> None:
    """torch.save(module) names the module's class, which loading would have to import."""
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\x02c__main__\nNet\nq\x00)\x81.")
    with pytest.raises(BundleError, match=r"state_dict\(\).*got a call of __main__\.Net"):
        read_layers(tmp_path / "net.pt")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"weight_hh_l0": (20, 4)},
            r"net\.safetensors: \*_l0: expected weight_ih .*weight_hh_l?0? ?\[20, 4\]|4, 3 or 1 times",
        ),
        ({"bias_ih_l0": (19,)}, r"\*_l0: expected .* got bias_hh \[20\], bias_ih \[19\]"),
        ({"weight_hh_l0": None}, r"\*_l0: .*\(no weight_hh\)"),
        ({"weight_ih_l0_reverse": (20, 3)}, "expected a causal module, got a bidirectional one"),
        ({"weight_ih_l2": (20, 5)}, r"expected layers from 0 on, got \[0, 2\]"),
        ({"conv.weight": (4, 3, 5)}, r"conv\.weight \[4, 3, 5\]: expected names of PyTorch's LSTM"),
        ({"norm.running_mean": (3,)}, r"norm\.running_mean \[3\]: expected names"),
        ({"head.weight": (3, 5), "head.bias": (4,)}, r"head\.bias: expected \[3\], got \[4\]"),
        ({"standardizer.mean": (3,)}, r"expected both standardizer\.mean and standardizer\.scale"),
    ],
)
def test_names_and_shapes_of_pytorch(change: dict[str, tuple[int, ...] | None], said: str, tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in (LSTM | change).items() if shape is not None}
    save_file(tensors(**shapes), tmp_path / "net.safetensors")
    with pytest.raises(BundleError, match=said):
        read_layers(tmp_path / "net.safetensors")


def test_not_finite_integer_and_no_recurrent_weights(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    save_file(tensors(**LSTM) | {"bias_ih_l0": np.full(20, np.nan, np.float32)}, file)
    with pytest.raises(BundleError, match="expected finite weights"):
        read_layers(file)
    save_file({"weight_ih_l0": np.ones((20, 3), np.int8)}, file)
    with pytest.raises(BundleError, match=r"weight_ih_l0: expected floats .* got I8"):
        read_layers(file)
    save_file(tensors(weight=(2, 3)), file)
    with pytest.raises(BundleError, match="expected an LSTM, GRU or plain RNN, got a file without one"):
        read_layers(file)
    random_bundle(["lstm"]).save(file)
    with pytest.raises(BundleError, match="is a streamlstm bundle already"):
        read_layers(file)


def test_names_that_the_file_has_not(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    lower, upper = ({f"{module}.{name}": shape for name, shape in LSTM.items()} for module in ("lower", "upper"))
    save_file(tensors(**lower, **upper, **{"head.weight": (3, 5)}), file)
    with pytest.raises(UsageError, match=r"several recurrent modules \(lower, upper\).*--layers"):
        read_layers(file)
    with pytest.raises(UsageError, match=r"recurrent module in the file \(lower, upper\), got 'middle'"):
        read_layers(file, modules=["middle"])
    with pytest.raises(UsageError, match=r"linear layer in the file \(head\), got 'top'"):
        read_layers(file, modules=["lower"], head="top")
    with pytest.raises(BundleError, match=r"do not fit on top of each other .*expected 5 inputs.* got 3"):
        read_layers(file, modules=["lower", "upper"])


def test_unknown_suffix() -> None:
    with pytest.raises(
        UsageError, match=r"net\.tflite: expected a file of weights \(\.safetensors, .*\), got \.tflite"
    ):
        read_layers("net.tflite")


@pytest.mark.parametrize(("package", "file"), [("h5py", "mixed.keras"), ("onnx", "torch_lstm.onnx")])
def test_missing_extra(package: str, file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=r'needs .*: pip install "streamlstm\[(keras|onnx)\]"'):
        read_layers(DATA / file)
    if package == "onnx":
        with pytest.raises(
            UsageError, match=r'export to ONNX needs the package onnx: pip install "streamlstm\[onnx\]"'
        ):
            write_onnx(random_bundle(["lstm"]), tmp_path / "net.onnx", input_limit=20.0)


@pytest.mark.parametrize(
    ("layer", "change", "said"),
    [
        (1, {"activation": "relu"}, "layer 'simple_rnn': activation: expected 'tanh', got 'relu'"),
        (2, {"recurrent_activation": "hard_sigmoid"}, "recurrent_activation: expected 'sigmoid', got 'hard_sigmoid'"),
        (4, {"go_backwards": True}, "layer 'lstm': expected a causal layer, got go_backwards"),
        (2, {"reset_after": True}, r"gru: expected kernel .*bias: expected \[2, 15\]"),
    ],
)
def test_keras_layers_that_a_bundle_cannot_compute(
    layer: int, change: dict[str, object], said: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(DATA / "mixed.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = msgspec.json.decode(parts["config.json"])
    config["config"]["layers"][layer]["config"] |= change
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        for name, content in (parts | {"config.json": msgspec.json.encode(config)}).items():
            archive.writestr(name, content)
    with pytest.raises(BundleError, match=said):
        read_layers(tmp_path / "net.keras")


def test_keras_weights_of_other_layers(tmp_path: Path) -> None:
    file = tmp_path / "net.weights.h5"
    for name, said in (
        ("layers/bidirectional/forward_layer/cell/vars/0", "expected causal layers, got a bidirectional one"),
        ("layers/conv1d/vars/0", "layers/conv1d/vars/0 .*expected LSTM, GRU, SimpleRNN and Dense layers"),
        ("model_weights/lstm/kernel", r"a group `layers`\), got model_weights; load it with Keras 3"),
        ("layers/lstm/cell/vars/0", "lstm: expected kernel"),
    ):
        with h5py.File(file, "w") as opened:
            opened[name] = np.ones((3, 4), np.float32)
        with pytest.raises(BundleError, match=said):
            read_layers(file)


def onnx_model(operator: str, *, below: str | None = None, directions: int = 1, **attributes: object) -> bytes:
    """One recurrent operator of 2 inputs and 3 units, with another operator below it."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[operator] * 3
    arrays = tensors(W=(directions, gates, 2), R=(directions, gates, 3), h0=(directions, 1, 3))
    nodes = [helper.make_node(below, ["x"], ["low"])] if below else []
    taken = ["low" if below else "x", "W", "R", "", "", "h0" if attributes.pop("begins", False) else ""]
    nodes.append(helper.make_node(operator, taken, ["y"], name="cell", hidden_size=3, **attributes))
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank) for name, rank in (("x", 3), ("y", 4))
    ]
    initial = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    model = helper.make_model(helper.make_graph(nodes, "one", values[:1], values[1:], initial))
    buffer = io.BytesIO()
    onnx.save(model, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            onnx_model("LSTM", directions=2, direction="bidirectional"),
            "cell: expected a forward operator, got bidirectional",
        ),
        (onnx_model("GRU", direction="reverse"), "expected a forward operator, got reverse"),
        (onnx_model("RNN", activations=["Relu"]), "activations: expected tanh, got relu"),
        (onnx_model("LSTM", clip=3.0), "clip: expected 0, got 3"),
        (onnx_model("LSTM", input_forget=1), "input_forget: expected 0, got 1"),
        (onnx_model("GRU", layout=1), "layout: expected 0, got 1"),
        (onnx_model("GRU", begins=True), "initial_h: expected a stream to begin at zero"),
        (onnx_model("RNN", below="Relu"), "cell: expected the graph's input, .* got Relu below it"),
    ],
)
def test_onnx_operators_that_a_bundle_cannot_compute(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(BundleError, match=rf"net\.onnx: .*{said}"):
        read_layers(tmp_path / "net.onnx")


def test_a_projection_comes_back_from_safetensors_only(tmp_path: Path) -> None:
    write_onnx(random_bundle(["lstm"], projection=3), tmp_path / "net.onnx", input_limit=20.0)
    with pytest.raises(BundleError, match="expected an LSTM, GRU or plain RNN"):
        read_layers(tmp_path / "net.onnx")
