"""`train` as people use it: one file of settings, several models, interruption and resumption, search, dry run."""

from __future__ import annotations

import csv
import json
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli.running import ENVIRONMENT, Verbs, start
from waiting import PATIENCE_S

from streamlstm import Detector, ModelBundle
from streamlstm.config import load_config
from streamlstm.evaluation.power.power import Power
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.recordings.grouping import models_yaml

QUICK = ("--updates", 20, "--hidden", 5, "--no-report")


def rows(seed: int, count: int = 300) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rng, phase = np.random.default_rng(seed), np.arange(count) / 25 * 2 * np.pi
    flow = 40 + 6 * np.sin(phase) + rng.normal(0, 0.4, count)
    pressure = 2 + 0.3 * np.cos(phase) + rng.normal(0, 0.04, count)
    return np.round(np.stack([flow, pressure], axis=1), 3).astype(np.float32)


def write_csv(path: Path, streams: dict[str, int], *, count: int = 300) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", "stream_id", "flow", "pressure"])
        for stream_id, seed in streams.items():
            for n, row in enumerate(rows(seed, count)):
                writer.writerow([f"2026-05-01T00:{n // 60:02}:{n % 60:02}Z", stream_id, *map(str, row)])


@pytest.fixture
def verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verbs:
    write_csv(tmp_path / "pump.csv", {"pump": 1})
    write_csv(tmp_path / "ward.csv", {"ward1/a": 2, "ward1/b": 3, "ward2/a": 4})
    return Verbs(tmp_path, monkeypatch, capsys)


CONFIG = """\
data: [../pump.csv]
out: vitals.safetensors
name: vitals
version: 7
period: 500ms
channels: [pressure, flow]
rows: 250
model: {hidden: 6, cell: [gru, lstm], reconstruct: 9, forecast: 3, mask_inputs: true}
training: {max_updates: 15, validate_every: 5, loss: huber, trim: 0.1, schedule: one_cycle, jitter: 0.05, seed: 4}
report: false
"""


def test_one_file_says_everything_and_paths_count_from_it(verbs: Verbs) -> None:
    folder = verbs.folder / "conf"
    folder.mkdir()
    (folder / "vitals.yaml").write_text(CONFIG)
    verbs.good("train", "conf/vitals.yaml")
    bundle = ModelBundle.load(folder / "vitals.safetensors")
    assert (bundle.label, bundle.period_s, bundle.channels) == ("vitals@7", 0.5, ("pressure", "flow"))
    a, options = bundle.network.architecture, bundle.training["options"]
    assert (a.hidden, a.cells, a.reconstruct, a.forecast, a.mask_inputs) == (6, ("gru", "lstm"), 9, 3, True)
    assert (options["loss"], options["trim"], options["schedule"], options["jitter"]) == (
        "huber",
        0.1,
        "one_cycle",
        0.05,
    )
    assert (options["seed"], options["max_updates"], bundle.training["rows"]) == (4, 15, 250)
    assert bundle.standardizer.mean[1] == pytest.approx(40, abs=2)  # flow, which is the second channel now
    assert sorted(path.name for path in folder.iterdir()) == [
        "vitals.log.jsonl",
        "vitals.safetensors",
        "vitals.yaml",
    ]


def test_options_come_after_the_file_and_their_paths_count_from_here(verbs: Verbs) -> None:
    folder = verbs.folder / "conf"
    folder.mkdir()
    (folder / "vitals.yaml").write_text(CONFIG)
    arguments = ["train", "--config", "conf/vitals.yaml", "ward.csv", "--out", "other.safetensors", "--seed", 9]
    verbs.good(*arguments, "--no-log", "--set", "training.trim=0.2", "--set", "model.hidden=7", "--hidden", 8)
    bundle = ModelBundle.load(verbs.folder / "other.safetensors")
    assert (bundle.training["streams"], bundle.training["options"]["seed"]) == (3, 9)
    assert (bundle.training["options"]["trim"], bundle.network.architecture.hidden) == (0.2, 8)
    assert sorted(path.name for path in folder.iterdir()) == ["vitals.yaml"]
    assert not (verbs.folder / "other.log.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected recordings or a configuration file, got none"),
        (["a.yaml", "b.yaml"], "b.yaml: expected one configuration file"),
        (["typo.yaml"], "typo.yaml:2: training.learningrate: unknown key; did you mean 'learning_rate'?"),
        (["pump.csv", "--hidden", "0"], "--hidden: expected greater than or equal to 1, got 0"),
        (["pump.csv", "--set", "training.trim=1"], "--set training.trim: training.trim: expected less than 1, got 1"),
        (["pump.csv", "--loss", "l2"], "--loss: expected 'mse', 'huber' or 'gaussian', got 'l2'"),
        (["pump.csv", "--freeze", "layers.0"], "--freeze: expected `from`, the bundle whose layers are frozen"),
        (["pump.csv", "--log", "a", "--no-log"], "--no-log: expected one of --log and --no-log"),
        (["pump.csv", "--log", "pump.csv"], "--log: pump.csv is the data itself"),
        (["pump.csv", "--per", "stream", "--log", "a"], "--log: expected true or false with several models"),
        (["pump.csv", "--per", "stream", "--out", "pump.csv"], "--out: expected a folder for several models"),
        (["ward.csv", "--per", "hall*"], "--per: expected stream ids that begin with 'hall*' (or all, or stream), got"),
        (["pump.csv", "--arrangement", "bidirectional", "--trim", "0.1"], "--trim: expected no such key with"),
        (
            ["pump.csv", "--arrangement", "bidirectional", "--tune", "2", "--set", "tune.dropout=[0.1, 0.3]"],
            "tune.dropout: expected no such key with arrangement bidirectional",
        ),
        (
            ["pump.csv", "--arrangement", "bidirectional", "--from", "m.safetensors"],
            "--from: expected no such key with",
        ),
        (["pump.csv", "--set", "model.window=64"], "expected an arrangement that has windows (encoder_decoder"),
        (["pump.csv", "--set", "training.segment=64"], "training.segment: segment is called bptt_steps now"),
        (["pump.csv", "--tune", "2", "--set", "tune.dropout=[0.3, 0.1]"], "expected the lowest first, got 0.3 and 0.1"),
    ],
)
def test_a_mistake_is_a_sentence(verbs: Verbs, arguments: list[str], message: str) -> None:
    (verbs.folder / "typo.yaml").write_text("data: [pump.csv]\ntraining: {learningrate: 0.1}\n")
    data = (verbs.folder / "pump.csv").read_bytes()
    assert message in verbs.bad("train", *arguments, code=2)
    assert (verbs.folder / "pump.csv").read_bytes() == data


def test_data_and_channels_that_do_not_fit(verbs: Verbs) -> None:
    sentence = verbs.bad("train", "pump.csv", "--channels", "flow,speed", code=1)
    assert sentence == "pump.csv: stream 'pump': expected the channel 'speed', got flow, pressure"
    (verbs.folder / "f.yaml").write_text("data: [pump.csv]\nmodel:\n  hidden: 3\n  forecast: 300\n")
    assert "f.yaml:4: model.forecast: expected fewer than the 300 rows" in verbs.bad("train", "f.yaml", code=2)


def test_a_model_for_each_stream_group_or_pattern(verbs: Verbs) -> None:
    said = verbs.good("train", "ward.csv", "--per", "stream", "--out", "each", *QUICK)
    names = {"ward1-a": "ward1/a", "ward1-b": "ward1/b", "ward2-a": "ward2/a"}
    for name, stream_id in names.items():
        assert ModelBundle.load(verbs.folder / f"each/{name}.safetensors").label == f"{name}@1"
        assert f'{{match: "{stream_id}", bundle: "each/{name}.safetensors"}}' in said
    first, second = (ModelBundle.load(verbs.folder / f"each/{name}.safetensors") for name in list(names)[:2])
    assert first.network.head_weight.tobytes() != second.network.head_weight.tobytes()

    said = verbs.good("train", "ward.csv", "--per", "ward*", "--out", "wards", "--name", "vitals", *QUICK)
    assert ModelBundle.load(verbs.folder / "wards/ward1.safetensors").training["streams"] == 2
    assert ModelBundle.load(verbs.folder / "wards/ward2.safetensors").name == "vitals-ward2"
    assert '{match: "ward1/**", bundle: "wards/ward1.safetensors"}' in said

    (verbs.folder / "t.yaml").write_text('data: [ward.csv]\nper: {b beds: "*/b", rest: "**"}\nout: named\n')
    verbs.good("train", "t.yaml", *QUICK)
    assert ModelBundle.load(verbs.folder / "named/b-beds.safetensors").training["streams"] == 1
    assert ModelBundle.load(verbs.folder / "named/rest.safetensors").training["streams"] == 2
    worker = "app: {id: a}\nsources: [{topics: [t]}]\n" + (verbs.folder / "named/models.yaml").read_text()
    (verbs.folder / "named/worker.yaml").write_text(worker)
    [beds, rest] = load_config(verbs.folder / "named/worker.yaml").models
    assert (beds.match, rest.match) == ("*/b", "**")
    assert Detector.load(beds.bundle).bundle.name == "b-beds"


def test_models_yaml_holds_any_stream_id() -> None:
    assert models_yaml([(('a "b": {', "ü/**"), "x.safetensors")]) == (
        'models:\n  - {match: "a \\"b\\": {", bundle: "x.safetensors"}\n  - {match: "ü/**", bundle: "x.safetensors"}\n'
    )


def test_the_log_holds_the_plan_every_look_and_the_summary(verbs: Verbs) -> None:
    verbs.good("train", "ward.csv", "--out", "m.safetensors", *QUICK, "--set", "training.validate_every=5")
    plan, *looks, summary = map(json.loads, (verbs.folder / "m.log.jsonl").read_text().splitlines())
    assert plan["event"] == "plan" and (plan["streams"], plan["rows"]) == (3, 900)
    assert plan["training_rows"] + plan["validation_rows"] + plan["calibration_rows"] == 900
    assert plan["options"]["hidden"] == 5 and plan["channels"] == ["flow", "pressure"]
    assert [look["update"] for look in looks] == [5, 10, 15, 20]
    assert all(look["event"] == "look" and look["validation_loss"] > 0 and look["learning_rate"] > 0 for look in looks)
    assert summary["event"] == "summary" and summary["updates"] == 20
    assert summary["digest"] == ModelBundle.load(verbs.folder / "m.safetensors").digest
    # What training leaves is no data when the folder is read the next time.
    (verbs.folder / "ward.csv").unlink()
    assert "1 file(s)" in verbs.good("train", ".", "--out", "n.safetensors", *QUICK)


def test_the_report_lies_beside_the_bundle(verbs: Verbs) -> None:
    verbs.good("train", "pump.csv", "--out", "m.safetensors", "--updates", 10, "--hidden", 4)
    page = (verbs.folder / "m.html").read_text()
    assert page.startswith("<!doctype html>") and "m@1" in page
    verbs.good("train", "pump.csv", "--out", "n.safetensors", *QUICK)
    assert not (verbs.folder / "n.html").exists()


def test_what_a_model_finds_is_measured_unless_it_is_switched_off(verbs: Verbs) -> None:
    write_csv(verbs.folder / "long.csv", {"long": 1}, count=800)
    verbs.good("train", "long.csv", "--out", "m.safetensors", "--updates", 20, "--hidden", 5)
    power = Power.of(ModelBundle.load(verbs.folder / "m.safetensors").training)
    assert power is not None and power.places >= 8 and "faster" in power.kinds  # there is a period
    said = verbs.good("inspect", "m.safetensors")
    assert f"faults injected at {power.quiet} places" in said and "  step " in said and "training.power" not in said
    assert "<h2>Power</h2>" in (verbs.folder / "m.html").read_text()
    verbs.good("train", "long.csv", "--out", "n.safetensors", "--no-power", *QUICK)
    assert Power.of(ModelBundle.load(verbs.folder / "n.safetensors").training) is None
    assert "not measured" in verbs.good("inspect", "n.safetensors")
    said = verbs.good("train", "pump.csv", "--out", "short.safetensors", *QUICK)
    assert "power: not measured, the calibration part is shorter than faults are followed for" in said


def test_dry_run_says_what_would_be_and_writes_nothing(verbs: Verbs) -> None:
    before = sorted(path.name for path in verbs.folder.iterdir())
    said = verbs.good("train", "ward.csv", "--dry-run", "--hidden", 7, "--cell", "gru,lstm", "--channels", "flow")
    said += verbs.good("train", "ward.csv", "--dry-run", "--per", "stream")
    assert sorted(path.name for path in verbs.folder.iterdir()) == before
    layers = 21 * (1 + 7 + 1) + 7 + 28 * (7 + 7 + 1)
    head = 1 + 16
    assert f"{layers + head * (7 + 1):,} in the bundle" in said
    for part in (
        "ward1/a: 300 rows",
        "540 rows to train on, 180 to validate, 180 to calibrate",
        "x 1 inputs an update",
    ):
        assert part in said
    for part in ("layers.1    lstm: 7 inputs, 7 hidden units", "MiB", "at most", "3 models"):
        assert part in said


def test_fine_tuning_leaves_frozen_layers_as_they_are(verbs: Verbs) -> None:
    verbs.good("train", "pump.csv", "--out", "base.safetensors", "--layers", 2, *QUICK)
    arguments = [
        "train",
        "ward.csv",
        "--from",
        "base.safetensors",
        "--freeze",
        "layers.0",
        "--out",
        "tuned.safetensors",
    ]
    verbs.good(*arguments, "--updates", 10, "--no-report")
    base, tuned = (ModelBundle.load(verbs.folder / f"{name}.safetensors") for name in ("base", "tuned"))
    assert base.network.layers[0].w_hh.tobytes() == tuned.network.layers[0].w_hh.tobytes()
    assert base.network.layers[1].w_hh.tobytes() != tuned.network.layers[1].w_hh.tobytes()
    assert tuned.training["start"] == "base@1" and tuned.training["frozen"] == ["layers.0"]
    assert "hidden: expected 5 as base@1 has, got 6" in verbs.bad(*arguments, "--hidden", 6, code=2)
    assert "freeze: expected" in verbs.bad(*arguments, "--freeze", "layers.7", code=2)


LONG = ("--hidden", 6, "--no-report", "--updates", 400, "--set", "training.validate_every=4")
EPOCH = {"SOURCE_DATE_EPOCH": "1780000000"}


def looks_in(log: Path) -> list[int]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [event["update"] for event in map(json.loads, lines) if event["event"] == "look"]


@pytest.mark.parametrize("arrangement", ["causal", "bidirectional"])
def test_killed_and_resumed_it_gives_the_same_bytes(verbs: Verbs, arrangement: str) -> None:
    """Kills at random moments of training, twice; what is written is that of an unbroken run."""
    patient = (*LONG, "--set", "training.patience=1000", "--arrangement", arrangement)
    unbroken, broken = verbs.folder / "unbroken", verbs.folder / "broken"
    for folder in (unbroken, broken):
        folder.mkdir()
        write_csv(folder / "ward.csv", {"ward1/a": 2, "ward1/b": 3, "ward2/a": 4}, count=700)
    done = start(unbroken, "train", "ward.csv", "--out", "m.safetensors", *patient, **EPOCH)
    _, errors = done.communicate(timeout=PATIENCE_S)
    assert done.returncode == 0, errors
    wanted = 2
    for attempt in range(2):
        arguments = ["train", "ward.csv", "--out", "m.safetensors", *patient, *(["--resume"] if attempt else [])]
        process = start(broken, *arguments, **EPOCH)
        deadline = time.monotonic() + PATIENCE_S
        while len(looks_in(broken / "m.log.jsonl")) < wanted:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(random.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)
        assert not (broken / "m.safetensors").exists()
        assert (broken / "m.checkpoint").exists()
        wanted = len(looks_in(broken / "m.log.jsonl")) + 5
    last = start(broken, "train", "ward.csv", "--out", "m.safetensors", *patient, "--resume", **EPOCH)
    _, errors = last.communicate(timeout=PATIENCE_S)
    assert last.returncode == 0, errors
    assert (broken / "m.safetensors").read_bytes() == (unbroken / "m.safetensors").read_bytes()
    assert not (broken / "m.checkpoint").exists()
    if arrangement == "causal":
        assert Power.of(ModelBundle.load(broken / "m.safetensors").training) is not None
    assert looks_in(broken / "m.log.jsonl") == looks_in(unbroken / "m.log.jsonl") == list(range(4, 401, 4))


def test_a_checkpoint_is_not_overwritten_unasked(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start(verbs.folder, "train", "pump.csv", "--out", "m.safetensors", *LONG)
    while not (verbs.folder / "m.checkpoint").exists():
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130 and "m.checkpoint with --resume" in errors
    kept = (verbs.folder / "m.checkpoint").read_bytes()
    refusal = verbs.bad("train", "pump.csv", "--out", "m.safetensors", *LONG, code=2)
    assert refusal.endswith("go on with it (--resume) or begin anew (--anew)")
    refusal = verbs.bad("train", "ward.csv", "--out", "m.safetensors", *LONG, "--resume", code=1)
    assert "expected one of this training, got one of other data or options" in refusal
    assert (verbs.folder / "m.checkpoint").read_bytes() == kept
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1780000000")
    verbs.good("train", "pump.csv", "--out", "m.safetensors", *LONG, "--anew")
    anew = (verbs.folder / "m.safetensors").read_bytes()
    said = verbs.good("train", "pump.csv", "--out", "m.safetensors", *LONG, "--resume")
    assert "no checkpoint m.checkpoint: training begins from the start" in said
    assert (verbs.folder / "m.safetensors").read_bytes() == anew
    assert ModelBundle.load(verbs.folder / "m.safetensors").created_at == "2026-05-28T20:26:40+00:00"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert "SOURCE_DATE_EPOCH: expected seconds" in verbs.bad("train", "pump.csv", code=2)


def test_of_several_models_those_made_are_kept_when_resumed(verbs: Verbs) -> None:
    verbs.good("train", "ward.csv", "--per", "stream", "--out", "each", *QUICK)
    made = {path.name: path.stat().st_mtime_ns for path in (verbs.folder / "each").glob("*.safetensors")}
    (verbs.folder / "each/ward1-b.safetensors").unlink()
    said = verbs.good("train", "ward.csv", "--per", "stream", "--out", "each", *QUICK, "--resume")
    assert said.count("already, and is kept") == 2
    now = {path.name: path.stat().st_mtime_ns for path in (verbs.folder / "each").glob("*.safetensors")}
    assert {name for name in made if made[name] != now[name]} == {"ward1-b.safetensors"}
    said = verbs.good("train", "ward.csv", "--per", "stream", "--out", "each", *QUICK, "--resume", "--seed", 3)
    assert "kept" not in said


@pytest.mark.parametrize(
    ("limit_bytes", "file"), [(100, "m.log.jsonl"), (3_000, "m.checkpoint"), (40_000, "m.html")], ids=str
)
def test_a_full_disk_is_a_sentence_and_leaves_what_was_there(verbs: Verbs, limit_bytes: int, file: str) -> None:
    arguments = ["train", "pump.csv", "--out", "m.safetensors", "--updates", 10, "--hidden", 4]
    verbs.good(*arguments)
    (verbs.folder / "m.checkpoint").write_bytes(b"of before")
    before = {path.name: path.read_bytes() for path in verbs.folder.iterdir()}

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    done = subprocess.run(
        [sys.executable, "-m", "streamlstm", *map(str, arguments), "--anew", "--seed", "2"],
        cwd=verbs.folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        preexec_fn=bounded,
    )
    assert done.returncode == 1, done.stderr
    [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert file in error and "cannot be written (File too large)" in error
    after = {path.name: path.read_bytes() for path in verbs.folder.iterdir()}
    assert after.keys() - {"m.checkpoint"} == before.keys() - {"m.checkpoint"}  # no drafts
    assert after[file] == before[file]
    if file != "m.html":  # which comes after the bundle
        assert after["m.safetensors"] == before["m.safetensors"]


def test_whole_window_models(verbs: Verbs) -> None:
    given = ["train", "ward.csv", "--arrangement", "encoder_decoder", "--updates", 6, "--out", "w.safetensors"]
    said = verbs.good(*given, "--set", "model.window=24", "--set", "training.validate_every=2")
    assert "w@1, encoder_decoder" in said
    assert not (verbs.folder / "w.checkpoint").exists()
    plan, *points, summary = map(json.loads, (verbs.folder / "w.log.jsonl").read_text().splitlines())
    assert (plan["options"]["arrangement"], plan["options"]["window"]) == ("encoder_decoder", 24)
    assert "dropout" not in plan["options"]
    assert "From the samples around each one" in (verbs.folder / "w.html").read_text()
    assert [point["update"] for point in points] == [2, 4, 6]
    assert summary["digest"] == WindowBundle.load(verbs.folder / "w.safetensors").digest
    assert "row,stream_id" in verbs.good("score", "w.safetensors", "pump.csv")


def test_whole_window_models_of_several_streams_are_kept_when_resumed(verbs: Verbs) -> None:
    given = ["train", "ward.csv", "--arrangement", "bidirectional", "--per", "stream", "--out", "each", *QUICK]
    verbs.good(*given)
    (verbs.folder / "each/ward1-b.safetensors").unlink()
    assert verbs.good(*given, "--resume").count("already, and is kept") == 2
    assert "is kept" not in verbs.good(*given, "--resume", "--set", "model.window=20")


def test_whole_window_models_are_searched_for(verbs: Verbs) -> None:
    pytest.importorskip("optuna")
    given = ["train", "pump.csv", "--arrangement", "bidirectional", "--out", "w.safetensors", *QUICK[:2], "--no-report"]
    said = verbs.good(*given, "--tune", 3, "--set", "tune.hidden=[4, 6]", "--set", "tune.layers=[1]")
    assert "of 3 trial(s)" in said
    with (verbs.folder / "w.tune.csv").open(newline="") as file:
        trials = list(csv.DictReader(file))
    assert len(trials) == 3 and "dropout" not in trials[0]
    best = min((trial for trial in trials if trial["state"] == "complete"), key=lambda t: float(t["validation_loss"]))
    bundle = WindowBundle.load(verbs.folder / "w.safetensors")
    assert bundle.training["validation_loss"] == float(best["validation_loss"])
    assert bundle.network.architecture.hidden == int(best["hidden"])
    assert "3 trial(s) of w.tune.csv are known already and not trained again" in verbs.good(
        *given, "--tune", 3, "--set", "tune.hidden=[4, 6]", "--set", "tune.layers=[1]", "--resume"
    )


def test_dry_run_of_a_whole_window_model(verbs: Verbs) -> None:
    before = sorted(path.name for path in verbs.folder.iterdir())
    given = ["train", "ward.csv", "--arrangement", "bidirectional", "--hidden", 7, "--set", "model.window=32"]
    said = verbs.good(*given, "--dry-run") + verbs.good(*given, "--dry-run", "--per", "stream")
    assert sorted(path.name for path in verbs.folder.iterdir()) == before
    weights = 2 * 28 * (4 + 7 + 1) + 2 * (14 + 1)
    for part in (
        "scores whole windows of 32 rows",
        "32 rows x 4 windows x 4 inputs an update",
        "layers.0.reverse: lstm, 4 inputs, 7 hidden units",
        f"{weights:,} in training; {weights:,} in the bundle",
        "bidirectional lstm of 7, windows of 32; at most",
    ):
        assert part in said, part


def test_the_schema_is_published(verbs: Verbs) -> None:
    schema = json.loads(verbs.good("train", "--schema"))
    published = Path(__file__).parents[2] / "docs/train.schema.json"
    assert schema == json.loads(published.read_text("utf-8")), "run `make schema`"
    assert "from" in schema["properties"] and "start" not in schema["properties"]
