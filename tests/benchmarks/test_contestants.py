"""Who computes something else is not timed, and the float64 computation is the LSTM's recurrence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.benchmarks import ours
from streamlstm.benchmarks.contestants import Contestant, WrongOutputs, check_contestant, expected_outputs
from streamlstm.benchmarks.peers import PEERS, load_peer
from streamlstm.benchmarks.workloads import RecurrentNetwork, Shape, Workload, kernel_workloads
from streamlstm.kernels import backends

SHAPE = Shape(3, 13, 2)
STEP, BLOCK = Workload(SHAPE, 5), Workload(SHAPE, 5, 7)


class Altered:
    """A right contestant with one fault."""

    def __init__(self, inner: Contestant, network: RecurrentNetwork, work: Workload, fault: str) -> None:
        self._inner, self._make, self._fault = inner, lambda: numpy_peer(network, work), fault
        self._x: NDArray[np.float32] | None = None

    def load(self, x: NDArray[np.float32]) -> None:
        self._x = x
        self._inner.load(x)

    def advance(self) -> None:
        if self._fault == "forgets its state":
            self._inner = self._make()
            assert self._x is not None
            self._inner.load(self._x)
        self._inner.advance()

    def read(self) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        out, errors = self._inner.read()
        if self._fault == "rounds to bfloat16":
            out = (out.view(np.uint32) & 0xFFFF0000).view(np.float32)
        if self._fault == "gives no errors":
            errors = None
        if self._fault == "gives NaN":
            out = np.where(np.arange(out.size).reshape(out.shape) == 4, np.nan, out).astype(np.float32)
        return out, errors


def numpy_peer(network: RecurrentNetwork, work: Workload) -> Contestant:
    return load_peer("numpy").contestants(network, work)[0]


@pytest.mark.parametrize("work", [STEP, BLOCK], ids=lambda work: work.name)
def test_the_numpy_peer_and_ours_compute_the_same(work: Workload) -> None:
    network = RecurrentNetwork.random(SHAPE)
    expected = expected_outputs(network, work)
    check_contestant("numpy", numpy_peer(network, work), work, expected)
    columns = ours.contestants(network, work)
    assert list(columns) == ["streamlstm", *backends()[1:]]
    for name, ways in columns.items():
        for way in ways:
            check_contestant(name, way, work, expected)


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("forgets its state", "out of call 2 is"),
        ("rounds to bfloat16", "out of call 1 is"),
        ("gives NaN", "out of call 1 is nan"),
        ("gives no errors", r"expected errors \[5\], got nothing"),
    ],
)
def test_a_wrong_contestant_is_refused(fault: str, what: str) -> None:
    network = RecurrentNetwork.random(SHAPE)
    wrong = Altered(numpy_peer(network, STEP), network, STEP, fault)
    with pytest.raises(WrongOutputs, match=what):
        check_contestant("wrong", wrong, STEP, expected_outputs(network, STEP))


def test_swapped_gates_are_refused() -> None:
    network = RecurrentNetwork.random(SHAPE)
    first, second = network.layers
    i, f, g, o = np.split(second.bias, 4)
    swapped = np.concatenate([f, i, g, o])
    other = RecurrentNetwork((first, replace(second, bias=swapped)), network.head_weight, network.head_bias)
    with pytest.raises(WrongOutputs, match="out of call 1"):
        check_contestant("swapped", numpy_peer(other, STEP), STEP, expected_outputs(network, STEP))


def test_the_reference_is_the_recurrence_written_by_hand() -> None:
    """One stream, one unit, one channel: every line of the recurrence, with numbers."""
    network = RecurrentNetwork.random(Shape(1, 1, 1))
    layer = network.layers[0]
    work = Workload(Shape(1, 1, 1), 1)
    h = c = 0.0
    for x, (out, errors) in zip(work.inputs(3)[:, 0, 0], expected_outputs(network, work), strict=True):
        i, f, g, o = (
            float(layer.w_ih[k, 0]) * float(x) + float(layer.w_hh[k, 0]) * h + float(layer.bias[k]) for k in range(4)
        )
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        wanted = float(network.head_weight[0, 0]) * h + float(network.head_bias[0])
        assert out[0, 0] == pytest.approx(wanted, rel=1e-6)
        assert errors is not None and errors[0] == pytest.approx((wanted - float(x)) ** 2, rel=1e-5)


def test_weights_and_inputs_are_the_same_every_time() -> None:
    first, again = RecurrentNetwork.random(SHAPE), RecurrentNetwork.random(SHAPE)
    np.testing.assert_array_equal(first.layers[1].w_hh, again.layers[1].w_hh)
    np.testing.assert_array_equal(STEP.inputs(2), STEP.inputs(2))
    assert STEP.inputs(2).shape == (2, 5, 3) and BLOCK.inputs(2).shape == (2, 7, 5, 3)


def test_the_table_has_every_cell_once() -> None:
    names = [work.name for work in kernel_workloads(is_quick=False)]
    assert len(set(names)) == len(names) == 4 * (5 + 3)
    assert {work.name for work in kernel_workloads(is_quick=True)} < set(names)
    assert set(PEERS) == {"numpy", "pytorch", "jax", "onnxruntime", "openvino"}
