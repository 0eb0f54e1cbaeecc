"""The optimizers and clipping, against PyTorch's ten steps and by hand."""

from pathlib import Path

import numpy as np
import pytest

from streamlstm.kernels import CellKind, CellWeights, backward, single_thread, unroll
from streamlstm.training.optimizer import SGD, AdamW, clip_gradients, make_optimizer
from streamlstm.training.options import TrainerOptions

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "torch_adamw_10_steps.npz"


def test_ten_steps_equal_pytorch() -> None:
    golden = np.load(GOLDEN)
    x = np.ascontiguousarray(golden["x"].transpose(1, 0, 2))  # [T, B, 3]; the file is batch first
    target = np.ascontiguousarray(golden["target"].transpose(1, 0, 2))
    parameters = {name[3:]: golden[name].copy() for name in golden.files if name.startswith("w0.")}
    optimizer = AdamW(parameters, weight_decay=1e-2)
    zeros = np.zeros((8, 2 * (16 + 16)), np.float32)
    losses, norms = [], []
    with single_thread():
        for _ in range(10):
            layers = [
                CellWeights(
                    CellKind.LSTM,
                    parameters[f"lstm.weight_ih_l{i}"],
                    parameters[f"lstm.weight_hh_l{i}"],
                    # PyTorch keeps two biases of equal gradient; only their sum acts
                    parameters[f"lstm.bias_ih_l{i}"] + parameters[f"lstm.bias_hh_l{i}"],
                )
                for i in range(2)
            ]
            trace = unroll(layers, x, state=zeros)
            error = trace.y @ parameters["head.weight"].T + parameters["head.bias"] - target
            losses.append(float(np.square(error).mean()))
            d_error = 2 * error / error.size
            gradients = {
                "head.weight": np.einsum("tbo,tbh->oh", d_error, trace.y),
                "head.bias": d_error.sum(axis=(0, 1)),
            }
            for i, d in enumerate(backward(layers, trace, d_error @ parameters["head.weight"]).layers):
                gradients |= {f"lstm.weight_ih_l{i}": d.w_ih, f"lstm.weight_hh_l{i}": d.w_hh}
                gradients |= {f"lstm.bias_ih_l{i}": d.bias.copy(), f"lstm.bias_hh_l{i}": d.bias.copy()}
            norms.append(clip_gradients(gradients, 1.0))
            optimizer.update(gradients, learning_rate=1e-2)
    np.testing.assert_allclose(losses, golden["losses"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(norms, golden["grad_norms"], rtol=0, atol=1e-5)
    for name, parameter in parameters.items():
        np.testing.assert_allclose(parameter, golden[f"w10.{name}"], rtol=0, atol=1e-4, err_msg=name)


def test_clipping_scales_to_the_norm_and_leaves_small_gradients() -> None:
    gradients = {"a": np.array([3.0, -6.0], np.float32), "b": np.array([[2.0]], np.float32)}
    assert clip_gradients(gradients, 3.5) == pytest.approx(7.0)
    np.testing.assert_allclose(gradients["a"], [1.5, -3.0], rtol=1e-6)
    np.testing.assert_allclose(gradients["b"], [[1.0]], rtol=1e-6)
    tiny = {"a": np.array([2e-6], np.float32)}  # as PyTorch divides by the norm and 1e-6
    assert clip_gradients(tiny, 1.5e-6) == pytest.approx(2e-6)
    np.testing.assert_allclose(tiny["a"], [1e-6], rtol=1e-3)
    before = gradients["a"].copy()
    assert clip_gradients(gradients, 3.6) == pytest.approx(3.5)
    np.testing.assert_array_equal(gradients["a"], before)


def test_decay_alone_shrinks_a_weight_of_zero_gradient() -> None:
    weight = np.array([2.0, -4.0], np.float32)
    optimizer = AdamW({"w": weight}, weight_decay=0.5)
    optimizer.update({"w": np.zeros(2, np.float32)}, learning_rate=0.1)
    np.testing.assert_allclose(weight, [1.9, -3.8], rtol=1e-6)


def test_sgd_with_momentum_by_hand() -> None:
    weight = np.array([2.0, -4.0], np.float32)
    optimizer = SGD({"w": weight}, momentum=0.5, weight_decay=0.1)
    optimizer.update({"w": np.array([1.0, 3.0], np.float32)}, learning_rate=0.2)
    np.testing.assert_allclose(weight, [2 - 0.2 * 1.2, -4 - 0.2 * 2.6], rtol=1e-6)
    optimizer.update({"w": np.array([-1.0, 0.0], np.float32)}, learning_rate=0.1)
    second = np.array([0.5 * 1.2 - 1 + 0.1 * 1.76, 0.5 * 2.6 + 0.1 * -4.52])
    np.testing.assert_allclose(weight, np.array([1.76, -4.52]) - 0.1 * second, rtol=1e-6)
    assert optimizer.updates == 2


def test_the_optimizer_is_the_one_of_the_options() -> None:
    for name, kind in (("adamw", AdamW), ("sgd", SGD)):
        o = TrainerOptions(optimizer=name, momentum=0.5, weight_decay=0.25)  # type: ignore[arg-type]  # both are names of it
        weight = np.array([2.0], np.float32)
        optimizer = make_optimizer({"w": weight}, o)
        assert isinstance(optimizer, kind)
        for _ in range(2):
            optimizer.update({"w": np.zeros(1, np.float32)}, learning_rate=0.1)
        decayed = 2 * 0.975**2 if name == "adamw" else 1.95 - 0.1 * (0.5 * 0.5 + 0.25 * 1.95)
        np.testing.assert_allclose(weight, [decayed], rtol=1e-6)
