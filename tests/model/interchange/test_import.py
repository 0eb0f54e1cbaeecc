"""Foreign layers and normal data to a bundle that scores."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model.interchange.stacks import DATA, Array, random_bundle, random_layers, run_stack, same_bits, signal

from streamlstm import Detector, ModelBundle
from streamlstm.cli import main
from streamlstm.errors import BundleError, DataError, UsageError
from streamlstm.model.interchange import ForeignNetwork, write_pytorch
from streamlstm.model.interchange.widening import widen
from streamlstm.model.standardizer import Standardizer
from streamlstm.training.importing import import_network
from streamlstm.training.linear_head import SplitSegment, fit_head
from streamlstm.training.segments import Segment

ROWS = 1500


def foreign(*cells: str, inputs: int = 3, hidden: int = 24, projection: int = 0) -> ForeignNetwork:
    return ForeignNetwork(
        random_layers(cells, inputs=inputs, hidden=hidden, projection=projection), None, None, "a test"
    )


def head_of(bundle: ModelBundle, values: Array) -> Array:
    """What the network of a bundle makes of rows in the channels' units: [T, 1 + p, C], in their units again."""
    network, standardizer = bundle.network, bundle.standardizer
    head = run_stack(network.layers, standardizer.apply(values)[None], (network.head_weight, network.head_bias))[0]
    return head.reshape(len(values), -1, values.shape[1]) * standardizer.scale + standardizer.mean


@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before"])
def test_a_bundle_of_foreign_layers_finds_a_fault(cell: str) -> None:
    values = signal(ROWS, 3)
    bundle = import_network(foreign(cell), values, period_s=1.0, channels=["a", "b", "c"], forecast=4)
    later = signal(2 * ROWS, 3)[ROWS:].copy()
    later[900:940, 1] += 3 * bundle.standardizer.scale[1]
    times = 1000 * np.arange(ROWS)
    scores = Detector(bundle).score(["s"] * ROWS, times, later)
    assert np.nanargmax(scores.score) in range(900, 1000)
    assert np.nanmax(scores.score[900:960]) > 1
    assert np.nanmean(scores.score[200:900] > 1) < 0.01
    forecast = head_of(bundle, later)[200:899, 1]
    error = np.sqrt(np.square(forecast - later[201:900]).mean(axis=0))
    assert (error < 0.75 * later[201:900].std(axis=0)).all()  # the noise alone is 0.39 of it
    assert bundle.training["imported"] == "a test"


def test_the_head_is_what_least_squares_say() -> None:
    """Against numpy's own least squares, on the rows where a target is observed; a channel never seen has none."""
    layers = random_layers(["gru"], inputs=3, hidden=6)
    x = Standardizer.fit(signal(900, 3)).apply(signal(900, 3))
    observed = np.random.default_rng(5).random(x.shape) < 0.8
    observed[:, 0], observed[:, 2] = True, False
    segment = Segment(np.ascontiguousarray(x), observed)
    weight, bias = fit_head(layers, [SplitSegment(segment, 10, 700)], forecast=2)
    hidden = np.column_stack([run_stack(layers, x[None])[0], np.ones(len(x))]).astype(np.float64)
    for ahead in range(3):
        for channel in range(2):
            seen = 10 + np.flatnonzero(observed[10 + ahead : 698 + ahead, channel])
            wanted = np.linalg.lstsq(hidden[seen], x[seen + ahead, channel].astype(np.float64), rcond=None)[0]
            row = 3 * ahead + channel
            np.testing.assert_allclose([*weight[row], bias[row]], wanted, rtol=0, atol=2e-3)
    assert not weight[2::3].any() and not bias[2::3].any()


def test_raw_inputs_are_the_same_function() -> None:
    """A network of values in their own units, standardized inside: its own head says the same."""
    values, bare = signal(ROWS, 3), foreign("gru", "lstm", hidden=6)
    gentle = replace(bare.layers[0], w_ih=bare.layers[0].w_ih / 40)
    rng = np.random.default_rng(6)
    head = rng.normal(0, 3, (9, 6)).astype(np.float32), rng.normal(0, 9, 9).astype(np.float32)
    network = replace(bare, layers=(gentle, bare.layers[1]), head=head)
    bundle = import_network(network, values, is_raw=True, has_head=True)
    raw = run_stack(network.layers, values[None], head)[0].reshape(ROWS, 3, 3)
    np.testing.assert_allclose(head_of(bundle, values), raw, rtol=0, atol=2e-4)
    assert bundle.network.architecture.forecast == 2


def test_layers_of_different_width_compute_the_same() -> None:
    cells = ("lstm", "gru", "peephole", "rnn", "gru_reset_before", "lstm")
    inputs, layers = 3, []
    for cell, hidden in zip(cells, (9, 4, 7, 3, 5, 6), strict=True):
        layers.append(random_layers([cell], inputs=inputs, hidden=hidden)[0])
        inputs = hidden
    x = np.random.default_rng(1).normal(size=(2, 30, 3)).astype(np.float32)
    widened = widen(layers)
    assert {layer.hidden_size for layer in widened} == {9}
    made = run_stack(widened, x)
    np.testing.assert_allclose(made[..., :6], run_stack(layers, x), rtol=0, atol=1e-6)
    assert not made[..., 6:].any()
    projected = random_layers(["lstm"], inputs=3, hidden=5, projection=4)
    assert widen([*projected, random_layers(["rnn"], inputs=4, hidden=8)[0]])[0].output_size == 4


def test_what_does_not_fit() -> None:
    values = signal(ROWS, 2)
    with pytest.raises(
        DataError, match=r"expected 3 channels, as the lowest layer of a test takes, got 2: a, b; choose"
    ):
        import_network(foreign("lstm"), values, channels=["a", "b"])
    network = foreign("lstm", inputs=2, hidden=5)
    with pytest.raises(UsageError, match="a test: has no linear layer to use as head"):
        import_network(network, values, has_head=True)
    for outputs, forecast in ((2, None), (7, None), (6, 3)):
        head = np.ones((outputs, 5), np.float32), np.ones(outputs, np.float32)
        with pytest.raises(UsageError, match=rf"head: expected .* got {outputs}; leave head out"):
            import_network(replace(network, head=head), values, has_head=True, forecast=forecast)
    mixed = random_layers(["lstm"], inputs=4, hidden=6, projection=2)
    lower = random_layers(["lstm"], inputs=2, hidden=6, projection=4)
    with pytest.raises(BundleError, match="projected alike, got projections to 2, 4"):
        import_network(replace(network, layers=(*lower, *mixed)), values)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("import")
    np.savez(path / "normal.npz", values=signal(600, 3), channels=np.array(["x", "y", "z"]), period_s=2.0)
    return path


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: object) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["streamlstm", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_verbs_there_and_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("import", DATA / "lstm.pt", "--data", "normal.npz", "--channels", "z,x,y", "--forecast", 2)
    assert run(monkeypatch, folder, *command, "--out", "a.safetensors", "--name", "press") == 0
    assert "press@1, lstm 3->5, lstm 5->5" in capsys.readouterr().out
    bundle = ModelBundle.load(folder / "a.safetensors")
    assert (bundle.channels, bundle.period_s) == (("z", "x", "y"), 2.0)
    assert run(monkeypatch, folder, "export", "a.safetensors", "--out", "torch.safetensors") == 0
    assert run(monkeypatch, folder, "export", "a.safetensors", "--out", "graph.onnx") == 0
    for file in ("torch.safetensors", "graph.onnx"):
        back = (
            "import",
            file,
            "--data",
            "normal.npz",
            "--channels",
            "z,x,y",
            "--head",
            "head",
            "--out",
            "b.safetensors",
        )
        assert run(monkeypatch, folder, *back) == 0, capsys.readouterr().err
        again = ModelBundle.load(folder / "b.safetensors")
        assert same_bits(again.network.layers, bundle.network.layers)
        for one, other in (
            (again.network.head_weight, bundle.network.head_weight),
            (again.standardizer.scale, bundle.standardizer.scale),
            (again.calibration.total.statistic, bundle.calibration.total.statistic),
        ):
            assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["import", "lstm.pt"], 2, "--data: expected normal data to calibrate on, got none"),
        (["import", "lost.pt", "--data", "normal.npz"], 1, "lost.pt: cannot be read (No such file or directory)"),
        (["import", "lstm.pt", "--data", "lost.csv"], 1, "lost.csv"),
        (["import", "lstm.pt", "--data", "normal.npz", "--channels", "x,y"], 1, "expected 3 channels"),
        (["import", "lstm.pt", "--data", "normal.npz", "--channels", "x,y,q"], 2, "got 'q'"),
        (["import", "lstm.pt", "--data", "normal.npz", "--channels", "x,y,y"], 2, "expected different columns"),
        (["import", "lstm.pt", "--data", "normal.npz", "--head", "tail"], 2, "linear layer in the file (head)"),
        (["import", "lstm.pt", "--data", "normal.npz", "--out", "no/b.safetensors"], 2, "the folder no does not exist"),
        (["import", "lstm.pt", "--data", "normal.npz", "--out", "lstm.pt"], 2, "is the file of weights itself"),
        (["import", "normal.npz", "--data", "normal.npz"], 2, "expected a file of weights"),
        (["export", "gru.safetensors", "--out", "x.h5"], 2, "expected FILE.safetensors (PyTorch's names) or FILE.onnx"),
        (["export", "gru.safetensors", "--out", "x.safetensors"], 2, "export it to ONNX (FILE.onnx)"),
        (["export", "gru.safetensors", "--out", "gru.safetensors"], 2, "is the bundle itself"),
        (["export", "lost.safetensors", "--out", "x.onnx"], 1, "lost.safetensors: cannot be read"),
        (["export", "names.safetensors", "--out", "x.onnx"], 1, "expected a streamlstm bundle"),
    ],
)
def test_mistakes(
    arguments: list[str],
    code: int,
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "lstm.pt").write_bytes((DATA / "lstm.pt").read_bytes())
    random_bundle(["gru_reset_before"]).save(folder / "gru.safetensors")
    write_pytorch(random_bundle(["rnn"]), folder / "names.safetensors")
    files = {path.name for path in folder.iterdir()}
    assert run(monkeypatch, folder, *arguments) == code
    error = capsys.readouterr().err
    assert said in error and error.startswith("error: ") and error.count("\n") == 1
    assert {path.name for path in folder.iterdir()} == files
