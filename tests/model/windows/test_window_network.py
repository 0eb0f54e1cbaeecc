"""Whole-window networks: what they see, gradients against an oracle, padding, the bundle and who refuses it."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamlstm import Detector, ModelBundle
from streamlstm.errors import BundleError, ShapeError
from streamlstm.kernels import CELL_FIELDS, CellKind, CellWeights
from streamlstm.model.bundles.window import WindowBundle, WindowCalibration, is_window_bundle
from streamlstm.model.standardizer import Standardizer
from streamlstm.model.windows.batch import WindowBatch
from streamlstm.model.windows.network import BLANKS, WindowArchitecture, WindowNetwork


def _oracle() -> ModuleType:
    path = Path(__file__).parents[2] / "kernels" / "oracle.py"
    spec = importlib.util.spec_from_file_location("window_oracle", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


oracle = _oracle()

C, ROWS = 2, 8
ARCHITECTURES = [
    pytest.param(WindowArchitecture("bidirectional", C, 3, ("lstm", "gru"), ROWS), id="bidirectional"),
    pytest.param(WindowArchitecture("bidirectional", C, 4, ("peephole",), ROWS), id="one bidirectional layer"),
    pytest.param(WindowArchitecture("encoder_decoder", C, 3, ("lstm", "gru"), ROWS), id="encoder_decoder"),
    pytest.param(WindowArchitecture("encoder_decoder", C, 4, ("rnn",), ROWS), id="one recurrent layer"),
]
Parameters = dict[str, NDArray[Any]]


def random_parameters(a: WindowArchitecture, seed: int) -> Parameters:
    """None zero, of a size at which gates neither saturate nor sleep."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"head.weight": (a.channels, a.head_inputs), "head.bias": (a.channels,)}
    for name, cell, inputs in a.layers:
        rows = CellKind(cell).gates * a.hidden
        shapes |= {f"{name}.w_ih": (rows, inputs), f"{name}.w_hh": (rows, a.hidden), f"{name}.bias": (rows,)}
        if cell == "gru":
            shapes[f"{name}.bias_hn"] = (a.hidden,)
        if cell == "peephole":
            shapes[f"{name}.peephole"] = (3, a.hidden)
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def network_of(a: WindowArchitecture, parameters: Parameters) -> WindowNetwork:
    layers = [
        CellWeights(CellKind(cell), **{f: parameters[key] for f in CELL_FIELDS if (key := f"{name}.{f}") in parameters})
        for name, cell, _ in a.layers
    ]
    return WindowNetwork(a, tuple(layers), parameters["head.weight"], parameters["head.bias"])


def random_batch(lengths: list[int], seed: int, *, missing: float = 0.2) -> WindowBatch:
    rng = np.random.default_rng(seed)
    shape = (max(lengths), len(lengths), C)
    inside = np.arange(shape[0])[:, None, None] < np.array(lengths)[:, None]
    observed = (rng.random(shape) >= missing) & inside
    return WindowBatch(
        np.where(observed, rng.normal(0.2, 1, shape), 0).astype(np.float32),
        observed.astype(np.float32),
        np.array(lengths),
    )


def oracle_estimates(a: WindowArchitecture, p: Parameters, x: Any, seen: Any) -> Any:
    """One window, alone, in float64: x, seen [rows][C]."""

    def layer(name: str, cell: str) -> SimpleNamespace:
        return SimpleNamespace(kind=cell, **{f: p.get(f"{name}.{f}") for f in CELL_FIELDS})

    def size(cell: str) -> int:
        return a.hidden * (2 if cell in oracle.LSTM_KINDS else 1)

    inputs = [
        [float(v * s) for v, s in zip(xs, ss, strict=True)] + [float(s) for s in ss]
        for xs, ss in zip(x, seen, strict=True)
    ]
    if a.arrangement == "bidirectional":
        for n, cell in enumerate(a.cells):
            ways = []
            for way in ("forward", "reverse"):
                rows = inputs if way == "forward" else inputs[::-1]
                out, _ = oracle.run([layer(f"layers.{n}.{way}", cell)], [[row] for row in rows], [[0.0] * size(cell)])
                ways.append([step[0] for step in (out if way == "forward" else out[::-1])])
            inputs = [ahead + back for ahead, back in zip(*ways, strict=True)]
        states = inputs
    else:
        state = [[0.0] * sum(map(size, a.cells))]
        encoder = [layer(f"encoder.{n}", cell) for n, cell in enumerate(a.cells)]
        _, state = oracle.run(encoder, [[row] for row in inputs], state)
        decoder = [layer(f"decoder.{n}", cell) for n, cell in enumerate(a.cells)]
        out, _ = oracle.run(decoder, [[[0.0]]] * len(inputs), state)
        states = [step[0] for step in out[::-1]]
    return [
        [oracle.dot(row, h) + float(b) for row, b in zip(p["head.weight"], p["head.bias"], strict=True)] for h in states
    ]


@pytest.mark.parametrize("a", ARCHITECTURES)
def test_estimates_and_gradients_equal_an_oracle_in_float64(a: WindowArchitecture) -> None:
    lengths = [ROWS, 5, 1]
    parameters, batch = random_parameters(a, 1), random_batch(lengths, 2)
    rng = np.random.default_rng(3)
    seen = batch.observed * (rng.random(batch.x.shape[:2])[..., None] > 0.3)
    d_expected = rng.normal(0, 1, batch.x.shape).astype(np.float32)
    for lane, length in enumerate(lengths):
        d_expected[length:, lane] = 0
    network = network_of(a, parameters)
    trace = network.run(batch, seen.astype(np.float32))
    found = network.backward(trace, d_expected)
    assert found.keys() == parameters.keys()

    doubles = {name: array.astype(np.float64) for name, array in parameters.items()}

    def loss() -> float:
        total = 0.0
        for lane, length in enumerate(lengths):
            expected = oracle_estimates(a, doubles, batch.x[:length, lane].tolist(), seen[:length, lane].tolist())
            total += float((np.array(expected) * d_expected[:length, lane]).sum())
        return total

    for lane, length in enumerate(lengths):
        expected = oracle_estimates(a, doubles, batch.x[:length, lane].tolist(), seen[:length, lane].tolist())
        np.testing.assert_allclose(trace.expected[:length, lane], expected, rtol=0, atol=1e-5)
    for name, array in doubles.items():
        places = rng.permutation(array.size)[:6]
        for place in places:
            held, step = array.flat[place], 1e-6
            array.flat[place] = held + step
            above = loss()
            array.flat[place] = held - step
            below = loss()
            array.flat[place] = held
            wanted = (above - below) / (2 * step)
            assert math.isclose(found[name].flat[place], wanted, rel_tol=2e-4, abs_tol=2e-4), (name, place)


@pytest.mark.parametrize("a", ARCHITECTURES)
@settings(max_examples=12)
@given(lengths=st.lists(st.integers(1, ROWS), min_size=2, max_size=5), seed=st.integers(0, 999))
def test_a_padded_batch_equals_each_window_alone(a: WindowArchitecture, lengths: list[int], seed: int) -> None:
    network, batch = network_of(a, random_parameters(a, 4)), random_batch(lengths, seed)
    padding = np.arange(max(lengths))[:, None] >= np.array(lengths)
    batch.x[padding] = 7.0  # not observed: it must not matter
    together = network.estimate(batch)
    for lane, length in enumerate(lengths):
        one = slice(lane, lane + 1)
        alone = WindowBatch(batch.x[:length, one].copy(), batch.observed[:length, one].copy(), batch.lengths[one])
        np.testing.assert_allclose(together[:length, one], network.estimate(alone), rtol=0, atol=1e-6)


@pytest.mark.parametrize("cells", [("lstm",), ("gru", "lstm")], ids=["1 layer", "2 layers"])
def test_a_bidirectional_network_does_not_see_what_it_estimates(cells: tuple[str, ...]) -> None:
    a = WindowArchitecture("bidirectional", C, 5, cells, 16)
    network, batch = network_of(a, random_parameters(a, 5)), random_batch([16], 6, missing=0)
    before = network.estimate(batch)
    for row in range(16):
        changed = batch.x.copy()
        changed[row] += 3
        after = network.estimate(dataclasses.replace(batch, x=changed))
        block = row // (16 // BLANKS) * (16 // BLANKS)
        together = slice(block, block + 16 // BLANKS)
        np.testing.assert_array_equal(after[together], before[together])
        assert np.abs(after - before).max() > 1e-3  # the others see it, before and after


def test_sizes_that_cannot_be_are_refused() -> None:
    a = WindowArchitecture("encoder_decoder", C, 5, ("lstm",), 16)
    network = network_of(a, random_parameters(a, 5))
    with pytest.raises(ShapeError, match="arrangement: expected bidirectional or encoder_decoder, got 'causal'"):
        WindowArchitecture("causal", 2)
    with pytest.raises(ShapeError, match="rows: expected at least 4, got 3"):
        WindowArchitecture("bidirectional", 2, rows=3)
    with pytest.raises(ShapeError, match="layers: expected"):
        WindowNetwork(a, network.layers[::-1], network.head_weight, network.head_bias)


@pytest.fixture
def bundle() -> WindowBundle:
    a = WindowArchitecture("encoder_decoder", C, 4, ("peephole", "gru"), 16)
    return WindowBundle(
        network=network_of(a, random_parameters(a, 8)),
        standardizer=Standardizer(np.array([50, 3], np.float32), np.array([8, 0.4], np.float32)),
        calibration=WindowCalibration(
            np.array([0.3, 0.4], np.float32),
            np.linspace(0.1, 4, 32),
            np.linspace(0, 3.9, 32),
            np.array([0.15, 1.1]),
            rows=900,
            cluster_rows=7.5,
            width=8,
        ),
        channels=("flow", "pressure"),
        period_s=1.0,
        name="pumps",
        units=("l/min", "bar"),
    )


def test_a_bundle_makes_the_round_trip(bundle: WindowBundle, tmp_path: Path) -> None:
    path = tmp_path / "pumps.safetensors"
    bundle.save(path)
    assert is_window_bundle(path)
    loaded = WindowBundle.load(path)
    assert (loaded.digest, loaded.label, loaded.units) == (bundle.digest, "pumps@1", ("l/min", "bar"))
    assert loaded.network.architecture == bundle.network.architecture
    batch = random_batch([16, 9], 1)
    np.testing.assert_array_equal(loaded.network.estimate(batch), bundle.network.estimate(batch))
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    content = path.read_bytes()
    path.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    with pytest.raises(BundleError, match="the digest does not match"):
        WindowBundle.load(path)


def test_who_scores_streams_refuses_it_and_says_why(
    bundle: WindowBundle, tiny_bundle: ModelBundle, tmp_path: Path
) -> None:
    path = tmp_path / "pumps.safetensors"
    bundle.save(path)
    for load in (ModelBundle.load, Detector.load):
        with pytest.raises(BundleError, match=r"got a whole-window one \(encoder_decoder\), which needs samples that"):
            load(path)
    tiny_bundle.save(path)
    assert not is_window_bundle(path)
    with pytest.raises(BundleError, match="expected a whole-window model, got a causal one"):
        WindowBundle.load(path)
