"""Every cell from recording to score: trained, saved, loaded, and held to the training graph's own outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm import Detector, ModelBundle, train
from streamlstm.kernels import state_size, unroll
from streamlstm.scoring.forward import Forward
from streamlstm.scoring.state import StreamStates
from streamlstm.types import GapPolicy

ROWS, LIVE = 1400, 1000
FAULT = slice(1250, 1280)

CELLS = [
    pytest.param(("lstm", 0), id="lstm"),
    pytest.param(("lstm", 9), id="lstm projected"),
    pytest.param(("peephole", 0), id="peephole"),
    pytest.param(("gru", 0), id="gru"),
    pytest.param(("gru_reset_before", 0), id="gru_reset_before"),
    pytest.param(("rnn", 0), id="rnn"),
    pytest.param(("gru,lstm", 0), id="gru below lstm"),
]


def pump() -> NDArray[np.float32]:
    """Flow and pressure of a pump, pressure too low within FAULT."""
    rng, phase = np.random.default_rng(11), np.arange(ROWS) / 36 * 2 * np.pi
    flow = 50 + 8 * np.sin(phase) + rng.normal(0, 0.4, ROWS)
    pressure = 3 + 0.4 * np.cos(phase - 0.7) + 0.1 * np.sin(2 * phase) + rng.normal(0, 0.03, ROWS)
    pressure[FAULT] -= 0.9
    return np.stack([flow, pressure], axis=1).astype(np.float32)


@pytest.fixture(scope="module", params=CELLS)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """A bundle of the cell that was saved and loaded."""
    cell, projection = request.param
    trained = train(
        pump()[:LIVE],
        period_s=1.0,
        seed=5,
        hidden=19,
        cell=cell,
        projection=projection,
        forecast=4,
        max_updates=150,
    )
    assert trained.network.architecture.cells == tuple(cell.split(","))
    assert trained.network.architecture.outputs[-1] == (projection or 19)
    path: Path = tmp_path_factory.mktemp("cell") / "pump.safetensors"
    trained.save(path)
    return ModelBundle.load(path)


def test_the_worker_computes_what_was_trained(bundle: ModelBundle) -> None:
    """Outputs of the stepping kernel and of `unroll`, which share no line, with the head in float64."""
    rows, network = pump(), bundle.network
    forward = Forward(network, bundle.standardizer)
    states = StreamStates(network.architecture, forward.weights, max_streams=3)
    slots = states.slots_of(["a", "b"])[1:].repeat(ROWS)
    passed = forward.run(states, slots, np.arange(ROWS, dtype=np.int64) * 1000, rows, GapPolicy())
    state = np.zeros((1, state_size(network.layers)), np.float32)
    trace = unroll(network.layers, np.ascontiguousarray(passed.x[:, None]), state=state)
    expected = trace.y[:, 0].astype(np.float64) @ network.head_weight.T.astype(np.float64) + network.head_bias
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(passed.head, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(states.arena.export(slots[:1]), trace.state, rtol=1e-5, atol=1e-5)  # c grows to 17


def test_the_fault_is_found_and_batches_do_not_matter(bundle: ModelBundle) -> None:
    rows, times = pump()[LIVE:], np.arange(LIVE, ROWS, dtype=np.int64) * 1000
    count = len(rows)
    batched = Detector(bundle).score(["pump"] * count, times, rows)
    before, fault = np.arange(count) < FAULT.start - LIVE, slice(FAULT.start - LIVE, FAULT.stop - LIVE)
    assert np.nanmax(batched.score[fault]) > 1.0
    assert np.nanmax(batched.score[fault]) > np.nanmax(batched.score[before])

    one_by_one, other = Detector(bundle), rows[::-1].copy()
    for row in range(count):
        single = one_by_one.score(["elsewhere", "pump"], [times[row]] * 2, [other[row], rows[row]])
        for name in ("score", "p_value", "status", "expected", "contribution"):
            assert getattr(single, name)[1].tobytes() == getattr(batched, name)[row].tobytes(), (name, row)


def test_float16_states_stay_close(bundle: ModelBundle) -> None:
    rows, times = pump()[LIVE:], np.arange(LIVE, ROWS, dtype=np.int64) * 1000
    single, half = (
        Detector(bundle, state_dtype=dtype).score(["pump"] * len(rows), times, rows) for dtype in ("float32", "float16")
    )
    assert (single.status == half.status).all()
    np.testing.assert_allclose(half.expected, single.expected, rtol=0, atol=0.05)
    assert not np.array_equal(half.expected, single.expected)
    np.testing.assert_allclose(half.score, single.score, rtol=0.05, atol=0.05)
