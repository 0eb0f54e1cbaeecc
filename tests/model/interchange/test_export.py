"""What is written is what other programs compute, and what comes back is the same to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from model.interchange.stacks import random_bundle, same_bits, signal
from safetensors.numpy import load_file

from streamlstm.errors import UsageError
from streamlstm.kernels import NetworkWeights, StateArena, run
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.interchange import read_layers, write_onnx, write_pytorch
from streamlstm.scoring.forward import INPUT_LIMIT

NEAR = {"rtol": 0, "atol": 1e-5}
STEPS, STREAMS = 200, 3
STACKS = {
    "lstm": (["lstm"] * 2, 0),
    "peephole": (["peephole"], 0),
    "gru": (["gru"] * 2, 0),
    "gru_reset_before": (["gru_reset_before"], 0),
    "rnn": (["rnn"] * 2, 0),
    "projected": (["lstm"] * 2, 4),
    "projected peephole": (["peephole", "lstm"], 3),
    "mixed": (["rnn", "peephole", "gru", "lstm", "gru_reset_before"], 0),
}


def inputs(channels: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """[T, S, C] in the channels' units, another signal a stream, and one value far beyond the clip."""
    x = np.stack([signal(STEPS, channels, seed=7 + stream) for stream in range(STREAMS)], axis=1)
    x[150, 1, 0] = 1e6
    return x


def ours(
    bundle: ModelBundle, x: np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
) -> tuple[np.ndarray, np.ndarray]:
    """What the kernels make of x: the head [T, S, D], and the states [S, state_size] at the end."""
    network = bundle.network
    weights = NetworkWeights(network.layers, (network.head_weight, network.head_bias))
    arena, slots = StateArena(weights, STREAMS), np.arange(STREAMS)
    head = np.empty((len(x), STREAMS, len(network.head_bias)), np.float32)
    z = np.clip(bundle.standardizer.apply(x[..., : len(bundle.channels)]), -INPUT_LIMIT, INPUT_LIMIT)
    z = np.concatenate([z, x[..., len(bundle.channels) :]], axis=2)
    run(weights, arena, slots, np.ascontiguousarray(z), head)
    return head, arena.export(slots)


def session_of(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])


def zero_state(session: onnxruntime.InferenceSession) -> dict[str, np.ndarray]:
    given = {one.name: one.shape[1] for one in session.get_inputs() if one.name[:2] in ("h_", "c_")}
    return {name: np.zeros((STREAMS, size), np.float32) for name, size in given.items()}


@pytest.mark.parametrize("name", STACKS)
def test_onnx_steps_and_blocks_as_our_kernels_do(name: str, tmp_path: Path) -> None:
    cells, projection = STACKS[name]
    bundle = random_bundle(cells, projection=projection)
    write_onnx(bundle, tmp_path / "net.onnx", input_limit=INPUT_LIMIT)
    session = session_of(tmp_path / "net.onnx")
    names, x = [one.name for one in session.get_outputs()], inputs(len(bundle.channels))
    head, states = ours(bundle, x)
    state, steps = zero_state(session), []
    for row in x:
        given = dict(zip(names, session.run(None, {"x": row[None]} | state), strict=True))
        steps.append(given["head"][0])
        state = {key: given[f"next_{key}"] for key in state}
    np.testing.assert_allclose(np.reshape(steps, head.shape), head, **NEAR)
    # A cell is unbounded: float32 rounds one of size 14 by 1e-6 at every step.
    np.testing.assert_allclose(np.concatenate(list(state.values()), axis=1), states, rtol=1e-5, atol=1e-5)
    half, state, blocks = STEPS // 2, zero_state(session), []
    for block in (x[:half], x[half:]):
        given = dict(zip(names, session.run(None, {"x": block} | state), strict=True))
        blocks.append(given["head"])
        state = {key: given[f"next_{key}"] for key in state}
    assert blocks[0].shape == (half, STREAMS, 1 + bundle.network.architecture.forecast, len(bundle.channels))
    np.testing.assert_allclose(np.concatenate(blocks).reshape(head.shape), head, **NEAR)
    assert given["standardized"].max() == INPUT_LIMIT


def test_onnx_takes_the_mask_of_what_was_observed(tmp_path: Path) -> None:
    bundle = random_bundle(["gru"], channels=2, mask_inputs=True)
    write_onnx(bundle, tmp_path / "net.onnx", input_limit=INPUT_LIMIT)
    x = inputs(2)
    observed = (np.random.default_rng(1).random(x.shape) < 0.7).astype(np.float32)
    head, _ = ours(bundle, np.concatenate([x, observed], axis=2))
    session = session_of(tmp_path / "net.onnx")
    (made,) = session.run(["head"], {"x": x, "observed": observed} | zero_state(session))
    np.testing.assert_allclose(made.reshape(head.shape), head, **NEAR)


@pytest.mark.parametrize("name", [name for name in STACKS if not name.startswith("projected")])
def test_onnx_comes_back_to_the_bit(name: str, tmp_path: Path) -> None:
    bundle = random_bundle(STACKS[name][0])
    write_onnx(bundle, tmp_path / "net.onnx", input_limit=INPUT_LIMIT)
    network = read_layers(tmp_path / "net.onnx")
    assert same_bits(network.layers, bundle.network.layers)
    assert network.head is not None and network.standardizer is not None
    assert network.head[0].tobytes() == bundle.network.head_weight.tobytes()
    assert network.head[1].tobytes() == bundle.network.head_bias.tobytes()
    assert network.standardizer.mean.tobytes() == bundle.standardizer.mean.tobytes()
    assert network.standardizer.scale.tobytes() == bundle.standardizer.scale.tobytes()


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "projected"])
def test_pytorchs_names_come_back_to_the_bit(name: str, tmp_path: Path) -> None:
    cells, projection = STACKS[name]
    bundle = random_bundle(cells, projection=projection)
    write_pytorch(bundle, tmp_path / "net.safetensors")
    network = read_layers(tmp_path / "net.safetensors")
    assert same_bits(network.layers, bundle.network.layers)
    assert network.head is not None and network.standardizer is not None
    assert network.head[0].tobytes() == bundle.network.head_weight.tobytes()
    assert network.standardizer.scale.tobytes() == bundle.standardizer.scale.tobytes()
    again = tmp_path / "again.safetensors"
    write_pytorch(bundle, again)
    assert again.read_bytes() == (tmp_path / "net.safetensors").read_bytes()


def test_names_are_those_of_pytorchs_modules(tmp_path: Path) -> None:
    bundle = random_bundle(["gru"])
    write_pytorch(bundle, tmp_path / "net.safetensors")
    tensors, layer = load_file(tmp_path / "net.safetensors"), bundle.network.layers[0]
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    assert shapes == {
        "gru.weight_ih_l0": (21, 3),
        "gru.weight_hh_l0": (21, 7),
        "gru.bias_ih_l0": (21,),
        "gru.bias_hh_l0": (21,),
        "head.weight": (9, 7),
        "head.bias": (9,),
        "standardizer.mean": (3,),
        "standardizer.scale": (3,),
    }
    np.testing.assert_array_equal(tensors["gru.bias_hh_l0"], np.concatenate([np.zeros(14), layer.bias_hn]))


@pytest.mark.parametrize("cells", [["peephole"], ["gru_reset_before"], ["lstm", "gru"]])
def test_what_pytorch_has_not_is_refused(cells: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"expected layers of one kind .* got {', '.join(cells)}; export it to ONNX"):
        write_pytorch(random_bundle(cells), tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())
