"""The verbs as a user types them: what they write, what they say, how they end."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from cli.running import ENVIRONMENT, logging_as_it_was, start
from waiting import PATIENCE_S, wait_until

from streamlstm import Detector, ModelBundle, train
from streamlstm.adapters.local_log import LocalReader
from streamlstm.cli import main
from streamlstm.errors import ConfigError, DataError, TransportError
from streamlstm.model.network import Architecture
from streamlstm.scoring.settled import settled_samples
from streamlstm.training.parameters import initial_parameters, to_network

ROWS = 700


def streamlstm(folder: Path, *arguments: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streamlstm", *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def in_shell(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a verb from a line of the shell, with what it pipes and redirects."""
    return subprocess.run(
        f"{sys.executable} -m streamlstm {line}",
        shell=True,
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    with logging_as_it_was():
        yield


def in_this_process(monkeypatch: pytest.MonkeyPatch, folder: Path, arguments: list[str]) -> int:
    """Run a verb through `main`, as the script does, but without another interpreter's start; return its exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["streamlstm", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def good(folder: Path, *arguments: object, stdin: str | None = None) -> str:
    done = streamlstm(folder, *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def values(seed: int = 1) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rng, phase = np.random.default_rng(seed), np.arange(ROWS) / 40 * 2 * np.pi
    flow = 50 + 8 * np.sin(phase) + rng.normal(0, 0.3, ROWS)
    pressure = 3 + 0.4 * np.cos(phase) + rng.normal(0, 0.03, ROWS)
    return np.round(np.stack([flow, pressure], axis=1), 3).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pump.csv (a fault near its end), pump.npz, two streams as JSON lines, and a trained bundle."""
    path = tmp_path_factory.mktemp("verbs")
    rows = values()
    rows[660:680, 1] += 1.5
    stamps = np.datetime_as_string(np.datetime64("2026-05-01") + np.arange(ROWS).astype("timedelta64[s]"), unit="s")
    with (path / "pump.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", "flow", "pressure"])
        writer.writerows([stamp, *map(str, row)] for stamp, row in zip(stamps, rows, strict=True))
    np.savez(path / "pump.npz", values=rows, channels=["flow", "pressure"], period_s=1.0, train_len=600)
    with (path / "hall.jsonl").open("w") as file:
        for n, stamp in enumerate(stamps):
            for stream, source in (("hall/a", rows), ("hall/b", values(2))):
                sample = {"flow": float(source[n, 0]), "pressure": float(source[n, 1])}
                file.write(json.dumps({"stream_id": stream, "ts": f"{stamp}Z", "values": sample}) + "\n")
    said = good(path, "train", "pump.npz", "--out", "pump.safetensors")
    assert "trained on 600 rows of 1 stream(s)" in said
    return path


def test_train_takes_every_format_and_gives_the_same_bits_for_the_same_seed(folder: Path) -> None:
    good(folder, "train", "pump.csv", "--rows", 600, "--out", "csv.safetensors", "--name", "pump")
    good(folder, "train", "hall.jsonl", "--out", "hall.safetensors", "--updates", 20)
    first, second = (ModelBundle.load(folder / f"{name}.safetensors") for name in ("pump", "csv"))
    assert first.network.head_weight.tobytes() == second.network.head_weight.tobytes()
    assert first.calibration.total.statistic.tobytes() == second.calibration.total.statistic.tobytes()
    assert train(values(), seed=3, max_updates=20).digest == train(values(), seed=3, max_updates=20).digest
    assert train(values(), seed=3, max_updates=20).digest != train(values(), seed=4, max_updates=20).digest


def test_score_writes_a_line_a_row_and_the_alert(folder: Path) -> None:
    text = good(folder, "score", "pump.safetensors", "pump.csv", "--alerts", "alerts.jsonl")
    lines = text.splitlines()
    assert lines[0] == "row,stream_id,ts,score,p_value,status,alert,settled"
    rows = list(csv.DictReader(lines))
    assert [int(row["row"]) for row in rows] == list(range(ROWS))
    warm_up = ModelBundle.load(folder / "pump.safetensors").calibration.warm_up
    assert all((row["score"] == "") == (row["status"] == "warming") for row in rows)
    assert sum(row["status"] == "warming" for row in rows) == warm_up
    assert rows[0]["ts"] == "2026-05-01T00:00:00.000Z"
    length = settled_samples(ModelBundle.load(folder / "pump.safetensors").period_rows)
    assert [row["settled"] != "" for row in rows] == [warm_up <= row <= ROWS - length for row in range(ROWS)]
    scores = [float(row["score"]) for row in rows[warm_up : warm_up + length]]
    assert float(rows[warm_up]["settled"]) == pytest.approx(sum(scores) / length, abs=1e-5)
    opened = [int(row["row"]) for row in rows if row["alert"] == "1"]
    assert any(660 <= row < 690 for row in opened)
    alerts = [json.loads(line) for line in (folder / "alerts.jsonl").read_text().splitlines()]
    assert alerts[0]["schema"] == "streamlstm.alert/1"
    assert {alert["state"] for alert in alerts} <= {"open", "resolved"}


@pytest.mark.parametrize(
    ("options", "budget"),
    [
        ((), "0.2 false alarms a stream and day"),
        (("--false-alarms", 6, "--per", "hour"), "6 false alarms a stream and hour"),
    ],
)
def test_score_says_what_was_opened_of_which_budget(folder: Path, options: tuple[object, ...], budget: str) -> None:
    options += ("--open-after", "2s", "--refractory", "0.5 periods and 10s")
    done = streamlstm(folder, "score", "pump.safetensors", "hall.jsonl", "--alerts", "some.jsonl", *options)
    alerts = [json.loads(line) for line in (folder / "some.jsonl").read_text().splitlines()]
    opened = sum(alert["revision"] == 1 for alert in alerts)
    days = 2 * (ROWS - 1) / 86_400
    last = done.stderr.splitlines()[-1]
    expected = rf"{opened} alerts opened in {days:.3g} stream-days, \d+ more were held back \(budget: {budget}\)$"
    assert opened >= 1 and re.search(expected, last), done.stderr


def test_score_is_causal_and_the_same_from_standard_input_and_python(folder: Path) -> None:
    whole = good(folder, "score", "pump.safetensors", "pump.csv").splitlines()
    head = "\n".join((folder / "pump.csv").read_text().splitlines()[:501]) + "\n"
    prefix = good(folder, "score", "pump.safetensors", "-", stdin=head).splitlines()
    without_name = [line.split(",", 2)[2].rsplit(",", 1) for line in whole[1:501]]
    for (score, settled), (own, later) in zip(
        (line.split(",", 2)[2].rsplit(",", 1) for line in prefix[1:]), without_name, strict=True
    ):
        assert score == own
        assert settled in ("", later)
    rows = np.genfromtxt(folder / "pump.csv", delimiter=",", skip_header=1, usecols=(1, 2), dtype=np.float32)
    scores = Detector.load(folder / "pump.safetensors").score(["s"] * ROWS, np.arange(ROWS) * 1000, rows)
    found = [line.split(",")[3] for line in whole[1:]]
    assert found == ["" if s != s else f"{s:.6f}" for s in scores.score.tolist()]


def test_score_as_json_lines_keeps_the_order_of_two_streams(folder: Path) -> None:
    lines = good(folder, "score", "pump.safetensors", "hall.jsonl", "--format", "jsonl").splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["stream_id"] for record in records[:4]] == ["hall/a", "hall/b", "hall/a", "hall/b"]
    assert len(records) == 2 * ROWS
    assert records[0]["score"] is None and records[-1]["score"] >= 0
    assert records[-1]["schema"] == "streamlstm.score/1"


def test_score_judges_alerts_where_it_is_told_to(folder: Path) -> None:
    rows = np.concatenate([values(), values(2)[20:]])  # 700 rows end in the middle of a period of 40
    rows[660:700, 1] += 1.5
    with (folder / "long.jsonl").open("w") as file:
        for n, (flow, pressure) in enumerate(rows.tolist()):
            sample = {"flow": flow, "pressure": pressure}
            file.write(json.dumps({"stream_id": "hall/a", "ts": 1_780_000_000 + n, "values": sample}) + "\n")
    options = ("--format", "jsonl", "--settled", "--alerts", "judged.jsonl")
    done = streamlstm(folder, "score", "pump.safetensors", "long.jsonl", *options)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    settled = [record for record in records if record["schema"] == "streamlstm.settled/1"]
    scores = {tuple(record["source"]): record for record in records if record["schema"] == "streamlstm.score/1"}
    assert len(scores) == len(rows) and 0 < len(settled) < len(rows)
    for record in settled:
        score = scores[tuple(record["source"])]
        assert (record["stream_id"], record["ts"], record["model"]) == (score["stream_id"], score["ts"], score["model"])
        assert score["score"] is not None
    alerts = [json.loads(line) for line in (folder / "judged.jsonl").read_text().splitlines()]
    assert {alert.get("settled") for alert in alerts} - {None} <= {"confirmed", "withdrawn"}
    last = {alert["alert_id"]: alert.get("settled") for alert in alerts}
    verdicts = Counter(last.values())
    assert verdicts["confirmed"] + verdicts["withdrawn"] > 0
    said = "judged one period later: {confirmed} alerts confirmed, outside the budget, and {withdrawn} withdrawn"
    assert said.format(confirmed=verdicts["confirmed"], withdrawn=verdicts["withdrawn"]) in done.stderr


CONFIG = """\
app: {id: hall}
local: {path: log.db}
sources: [{topics: [telemetry]}]
models: [{match: "hall/*", bundle: pump.safetensors}]
"""


def test_replay_check_and_run_on_the_local_log(folder: Path) -> None:
    (folder / "run.yaml").write_text(CONFIG)
    assert "pump@1" in good(folder, "check", "run.yaml")
    good(folder, "replay", "hall.jsonl", "--to", "run.yaml", "--speed", 0)
    command = [sys.executable, "-m", "streamlstm", "run", "run.yaml", "--log-format", "json"]
    worker = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    try:
        reader = LocalReader(folder / "log.db")

        def scores() -> list[bytes | None]:
            assert worker.poll() is None
            try:
                return [record.value for record in reader.read("streamlstm.scores")]
            except TransportError:  # the worker makes the topic, and may not be up yet
                return []

        wait_until(lambda: len(scores()) == 2 * ROWS, "every score")
        last = json.loads(scores()[-1] or b"")
        reader.close()
        worker.send_signal(signal.SIGTERM)
        _, log = worker.communicate(timeout=PATIENCE_S)
        assert worker.returncode == 0
    finally:
        worker.kill()
        worker.communicate()
    *_, budget, stopped = [json.loads(line)["message"] for line in log.splitlines()]
    assert stopped == "stopped" and budget.endswith("held back (budget: 0.2 false alarms a stream and day)")
    assert last["stream_id"] == "hall/b" and last["model"] == "pump@1"
    said = good(folder, "inspect", "log.db")
    reader = LocalReader(folder / "log.db")
    alerts = [json.loads(record.value or b"{}") for record in reader.read("streamlstm.alerts")]
    reader.close()
    opened = {key for key, state in {a["alert_id"]: a["state"] for a in alerts}.items() if state == "open"}
    assert f"group hall, telemetry-0: committed {2 * ROWS} of 0 to {2 * ROWS}" in said
    opened_ever = sum(a["revision"] == 1 for a in alerts)
    assert budget.startswith(f"alerts of these partitions so far: {opened_ever} opened, 0 of them outside the budget, ")
    assert f"snapshot at offset {2 * ROWS}" in said and f"pump@1: 2 streams, {len(opened)} open alerts" in said


def test_inspect_says_what_a_bundle_holds(folder: Path) -> None:
    said = good(folder, "inspect", "pump.safetensors")
    assert "pump@1" in said and "(verified)" in said and "flow" in said
    assert "lstm, 1 layer of 32 units, forecast" in said and "projected" not in said


def test_inspect_names_the_cell_of_every_layer(folder: Path, tmp_path: Path) -> None:
    pump = ModelBundle.load(folder / "pump.safetensors")
    architecture = Architecture(2, 8, ("gru", "peephole", "rnn"), 4, 5, projection=3)
    network = to_network(architecture, initial_parameters(architecture, np.random.default_rng(1)))
    replace(pump, network=network).save(tmp_path / "mixed.safetensors")
    said = good(tmp_path, "inspect", "mixed.safetensors")
    assert "gru, peephole, rnn, 3 layers of 8 units projected to 3, forecast 4 samples" in said
    gru, peephole, rnn = 24 * (2 + 8 + 1) + 8, 32 * (8 + 3 + 1) + 3 * 8 + 3 * 8, 8 * (3 + 8 + 1)
    assert f"{gru + peephole + rnn + 10 * (8 + 1):,} (" in said


@pytest.mark.parametrize("verb", ["demo", "train", "run", "score", "replay", "check", "inspect"])
def test_help_shows_an_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert in_this_process(monkeypatch, tmp_path, [verb, "--help"]) == 0
    assert f"Example: streamlstm {verb}" in " ".join(capsys.readouterr().out.split())


BAD: list[tuple[list[str], int, str]] = [
    (["train", "nowhere.csv"], 1, "nowhere.csv: cannot read"),
    (["train", "empty.csv"], 1, "empty.csv: expected samples"),
    (["train", "words.csv"], 1, "words.csv"),
    (["train", "short.csv"], 1, "expected at least 100 rows"),
    (["train", "torn.npz"], 1, "torn.npz"),
    (["train", "pickled.npz"], 1, "pickled.npz"),
    (["train", "void"], 1, "void: expected files of"),
    (["train", "pump.csv", "--out", "no/such/folder/m.safetensors"], 2, "no/such/folder does not exist"),
    (["score", "nowhere.safetensors", "pump.csv"], 1, "nowhere.safetensors: cannot be read"),
    (["score", "pump.csv", "pump.csv"], 1, "truncated or foreign"),
    (["score", "pump.safetensors", "other.csv"], 1, "expected channels ['flow', 'pressure']"),
    (["score", "pump.safetensors", "pump.csv", "--out", "no/such/file.csv"], 2, "cannot be written"),
    (["inspect", "torn.npz"], 1, "torn.npz"),
    (["run"], 2, "expected a configuration file"),
    (["run", "nowhere.yaml"], 2, "nowhere.yaml"),
    (["run", "typo.yaml"], 2, "typo.yaml:4: threshhold: unknown key; did you mean 'threshold'?"),
    (["check", "typo.yaml"], 2, "typo.yaml:4"),
    (["run", "bundleless.yaml"], 1, "gone.safetensors: cannot be read"),
    (["run", "torn.yaml"], 1, "expected a whole safetensors file"),
    (["train", "pump.csv", "--out", "."], 2, "expected a file, got ., which is a folder or a device"),
    (["train", "pump.csv", "--out", "pump.csv"], 2, "pump.csv is the data itself"),
    (
        ["train", "pump.csv", "--cell", "elman"],
        2,
        "cells: expected lstm, peephole, gru, gru_reset_before, rnn, got 'elman'",
    ),
    (["train", "pump.csv", "--cell", "gru,rnn", "--layers", "3"], 2, "expected one name, or 3 for 3 layer(s), got 2"),
    (["train", "pump.csv", "--cell", "gru", "--projection", "9"], 2, "expected an LSTM layer to project, got gru"),
    (["train", "pump.csv", "--projection", "32"], 2, "projection: expected 0 to 31, below the hidden units, got 32"),
    (["train", "pump.csv", "--period", "inf"], 2, "--period: expected seconds"),
    (["train", "pump.csv", "--forecast", "700"], 2, "--forecast: expected fewer than the 700 rows"),
    (["train", "pump.csv", "other.csv"], 1, "other.csv: stream 'other': expected the channels of 'pump'"),
    (["score", "pump.safetensors", "words.csv"], 1, "words.csv: row 0, column 'flow': expected a number, got 'high'"),
    (["score", "pump.safetensors", "broken.jsonl"], 1, "broken.jsonl:2"),
    (["score", "pump.safetensors", "pump.csv", "--out", "pump.safetensors"], 2, "is the model bundle itself"),
    (["score", "pump.safetensors", "pump.csv", "--alerts", "pump.csv"], 2, "pump.csv is the data itself"),
    (["score", "pump.safetensors", "pump.csv", "--out", "s", "--alerts", "s"], 2, "s is the file of --out"),
    (["score", "pump.safetensors", "pump.csv", "--out", "."], 2, "cannot be written (Is a directory)"),
    (["score", "pump.safetensors", "pump.csv", "--refractory", "long"], 2, "--refractory: expected samples from 1 on"),
    (["score", "pump.safetensors", "pump.csv", "--open-after", "0"], 2, "--open-after: expected samples from 1 on, or"),
    (["score", "pump.safetensors", "pump.csv", "--refractory", "nan"], 2, "--refractory: expected seconds"),
    (["score", "pump.safetensors", "pump.csv", "--reset-after", "-5"], 2, "--reset-after: expected seconds"),
    (["score", "pump.safetensors", "pump.csv", "--false-alarms", "nan"], 2, "expected a number above 0"),
    (["inspect", "."], 1, "cannot be read (Is a directory)"),
    (["score", "void", "pump.csv"], 1, "void: cannot be read (Is a directory)"),
    (["demo", "--keep", "pump.csv"], 2, "--keep: the folder pump.csv cannot be made (File exists)"),
    (["bench", "kernel", "--json", "void"], 2, "--json: expected a file, got void, which is a folder"),
    (["inspect", "foreign.db"], 1, "expected a local log of streamlstm"),
    (["replay", "pump.csv", "--to", "run.yaml", "--topic", ""], 2, "expected a name"),
    (["replay", "pump.csv", "--to", "run.yaml", "--topic", "a*"], 2, "'a*'"),
    (["replay", "torn.npz", "--to", "run.yaml"], 1, "torn.npz"),
    (["score"], 2, "missing argument 'BUNDLE' (see streamlstm score --help)"),
    (["score", "pump.safetensors", "a", "b"], 2, "unexpected extra argument(s) (b) (see streamlstm score --help)"),
    (["score", "pump.safetensors", "--fromat", "csv"], 2, "no such option: --fromat (near it: --format"),
    (["score", "pump.safetensors", "--format", "xml"], 2, "'--format': 'xml' is not one of 'csv', 'jsonl'"),
    (["replay", "pump.csv", "--to"], 2, "option '--to' requires an argument"),
    (["replay", "pump.csv", "--to", "run.yaml", "--speed", "-1"], 2, "'--speed': expected greater than or equal to 0"),
    (
        ["replay", "pump.csv", "--to", "run.yaml", "--speed", "x"],
        2,
        "invalid value for '--speed': expected a valid",
    ),
    (["fly"], 2, "there is no command 'fly'; expected one of demo, train, score,"),
    (["bench", "kernl"], 2, "there is no command 'kernl'; did you mean 'kernel'?"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "message"), BAD, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_a_mistake_is_a_sentence_and_an_exit_code(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    (folder / "void").mkdir(exist_ok=True)
    (folder / "empty.csv").write_text("")
    (folder / "words.csv").write_text("timestamp,flow\n2026-01-01,high\n2026-01-02,low\n")
    (folder / "short.csv").write_text("flow,pressure\n" + "1.0,2.0\n" * 20)
    (folder / "other.csv").write_text("timestamp,humidity\n2026-01-01T00:00:00Z,3\n")
    (folder / "torn.npz").write_bytes((folder / "pump.npz").read_bytes()[:300])
    np.savez(folder / "pickled.npz", values=np.array([{"a": 1}], dtype=object))
    (folder / "typo.yaml").write_text(CONFIG.replace("models:", "threshhold: {}\nmodels:"))
    (folder / "bundleless.yaml").write_text(CONFIG.replace("pump.safetensors", "gone.safetensors"))
    (folder / "run.yaml").write_text(CONFIG)
    (folder / "torn.yaml").write_text(CONFIG.replace("pump.safetensors", "torn.safetensors"))
    (folder / "torn.safetensors").write_bytes((folder / "pump.safetensors").read_bytes()[:500])
    (folder / "broken.jsonl").write_text((folder / "hall.jsonl").read_text().splitlines()[0] + "\n{oops\n")
    (folder / "foreign.db").write_bytes(b"SQLite format 3\0and no more")
    kept = {name: (folder / name).read_bytes() for name in ("pump.csv", "pump.safetensors")}
    assert in_this_process(monkeypatch, folder, arguments) == code
    said = capsys.readouterr().err
    assert message in " ".join(said.split()), said
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in said and "╭" not in said
    assert kept == {name: (folder / name).read_bytes() for name in kept}


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (DataError("ward.csv: expected samples"), 1, "ward.csv: expected samples"),
        (ConfigError("a.yaml:3: gaps: unknown key"), 2, "a.yaml:3: gaps: unknown key"),
        (OSError(28, "No space left on device", "model.checkpoint"), 1, "model.checkpoint: No space left on device"),
        (OSError("no route"), 1, "a file or a connection: no route"),
        (MemoryError("10 GiB"), 1, "not enough memory: 10 GiB; use fewer rows or a smaller model"),
        (EOFError(), 1, "the input has ended, and more was expected"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 1, ""),
    ],
    ids=repr,
)
def test_whatever_ends_a_verb_is_a_sentence_and_an_exit_code(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    sentence: str,
) -> None:
    def fail() -> None:
        raise error

    verb = typer.Typer(add_completion=False)
    verb.command()(fail)
    monkeypatch.setattr("streamlstm.cli.check.verb", verb)
    assert in_this_process(monkeypatch, folder, ["check"]) == code
    assert capsys.readouterr().err.strip() == (sentence and f"error: {sentence}")


INTERRUPTED_IMPORT = """
import sys
class Interruption:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interruption())
from streamlstm.cli import main
main()
"""


def test_ctrl_c_while_the_command_line_is_imported_ends_with_130() -> None:
    command = [sys.executable, "-c", INTERRUPTED_IMPORT]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_without_standard_error_nothing_is_mixed_into_the_output(folder: Path) -> None:
    done = in_shell(folder, "inspect nowhere.safetensors 2>&-")
    assert (done.returncode, done.stdout) == (1, "")


def test_standard_input_without_samples_is_named(folder: Path) -> None:
    done = streamlstm(folder, "score", "pump.safetensors", "-", stdin="")
    assert (done.returncode, done.stderr) == (1, "error: standard input: expected samples, got an empty file\n")


def test_a_device_is_not_replaced_by_a_bundle(folder: Path) -> None:
    pipe = folder / "pipe"  # stands for /dev/null: what is no regular file must outlive the command
    os.mkfifo(pipe)
    done = streamlstm(folder, "train", "pump.csv", "--updates", 1, "--out", "pipe")
    assert done.returncode == 2 and "folder or a device" in done.stderr
    assert pipe.is_fifo()


def test_the_schema_is_json(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert in_this_process(monkeypatch, folder, ["check", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "streamlstm configuration"


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full")
@pytest.mark.parametrize(
    ("arguments", "redirection", "code", "message"),
    [
        ("score pump.safetensors pump.csv", ">/dev/full", 1, "standard output: cannot be written (No space left"),
        ("score pump.safetensors pump.csv --alerts a.jsonl", ">/dev/full", 1, "standard output: cannot be written"),
        ("score pump.safetensors pump.csv --out /dev/full", "", 1, "/dev/full: cannot be written (No space left"),
        ("inspect pump.safetensors", ">/dev/full", 1, "standard output: cannot be written (No space left"),
        ("score pump.safetensors pump.csv", ">&-", 2, "standard output is closed; name a file with --out"),
    ],
)
def test_output_that_cannot_be_written_is_named(
    folder: Path, arguments: str, redirection: str, code: int, message: str
) -> None:
    done = in_shell(folder, f"{arguments} {redirection}")
    assert done.returncode == code
    assert done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1, done.stderr


def test_ctrl_c_ends_with_130(folder: Path) -> None:
    running = start(folder, "train", "pump.csv", "--updates", 1_000_000, "--out", "never.safetensors")
    assert running.stderr is not None
    while "trains at most" not in running.stderr.readline():
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130
    assert "Traceback" not in errors
    assert not (folder / "never.safetensors").exists()


def test_a_reader_that_has_seen_enough_is_no_accident(folder: Path) -> None:
    done = in_shell(folder, "score pump.safetensors pump.csv | head -1")
    assert done.stdout.startswith("row,stream_id")
    assert "Traceback" not in done.stderr
