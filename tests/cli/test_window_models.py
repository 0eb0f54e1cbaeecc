"""Whole-window models as a user meets them: score and inspect take them, who scores streams says why it does not."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from waiting import PATIENCE_S

import streamlstm as package
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.scoring.windows.detector import WindowDetector
from streamlstm.training.windows.fit import train_window_model

ROWS, FAULT = 400, slice(250, 290)
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(package.__file__).resolve().parents[1])}


def streamlstm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streamlstm", *arguments]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and a file of two interleaved streams, the first with a fault."""
    folder, rng = tmp_path_factory.mktemp("windows"), np.random.default_rng(5)
    values = [
        np.stack([np.sin(t / 5.1), 0.6 * np.cos(t / 5.1 - 0.4)], axis=1) + rng.normal(0, 0.04, (len(t), 2))
        for t in (np.arange(1200), np.arange(ROWS), np.arange(ROWS) + 17)
    ]
    values[1][FAULT, 1] *= -1
    model = train_window_model(
        values[0],
        arrangement="encoder_decoder",
        period_s=1,
        channels=["a", "b"],
        name="duo",
        window=40,
        max_updates=200,
    )
    model.save(folder / "duo.safetensors")
    lines = [
        f"{t},{stream},{row[0]:.4f},{row[1]:.4f}\n"
        for t in range(ROWS)
        for stream, row in (("one", values[1][t]), ("two", values[2][t]))
    ]
    (folder / "live.csv").write_text("ts,stream_id,a,b\n" + "".join(lines))
    (folder / "run.yaml").write_text(
        "app: {id: duo}\nlocal: {path: ./log.db}\nsources: [{topics: [telemetry]}]\n"
        "models: [{match: '**', bundle: duo.safetensors}]\n"
    )
    return folder


def test_score_writes_the_same_columns_and_opens_an_alert(folder: Path) -> None:
    done = streamlstm(folder, "score", "duo.safetensors", "live.csv", "--alerts", "alerts.jsonl", "--out", "scores.csv")
    assert done.returncode == 0, done.stderr
    with (folder / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["row", "stream_id", "ts", "score", "p_value", "status", "alert", "settled"]
    assert [int(row["row"]) for row in rows] == list(range(2 * ROWS))
    one, two = ([row for row in rows if row["stream_id"] == name] for name in ("one", "two"))
    assert any(row["alert"] == "1" for row in one[FAULT])
    assert not any(row["alert"] == "1" for row in two)
    alerts = [json.loads(line) for line in (folder / "alerts.jsonl").read_text().splitlines()]
    assert {(alert["stream_id"], alert["model"]) for alert in alerts} == {("one", "duo@1")}

    with (folder / "live.csv").open(newline="") as file:
        values = np.array([[row["a"], row["b"]] for row in csv.DictReader(file)], np.float32)
    model = WindowBundle.load(folder / "duo.safetensors")
    scores = WindowDetector(model).score(["one", "two"] * ROWS, np.repeat(np.arange(ROWS) * 1000, 2), values)
    np.testing.assert_allclose([float(row["score"]) for row in rows], scores.score, rtol=0, atol=1e-6)


def test_inspect_says_what_it_is(folder: Path) -> None:
    done = streamlstm(folder, "inspect", "duo.safetensors")
    assert done.returncode == 0, done.stderr
    assert "network     encoder_decoder: lstm, 1 layer of 32 units, windows of 40 samples" in done.stdout
    assert "scores      recordings only; a worker refuses it" in done.stdout
    assert "training.options:" in done.stdout


@pytest.mark.parametrize("verb", ["run", "check"])
def test_who_scores_streams_refuses_it(folder: Path, verb: str) -> None:
    done = streamlstm(folder, verb, "run.yaml")
    assert done.returncode == 1
    assert "expected a causal model, got a whole-window one (encoder_decoder), which needs samples that come after" in (
        done.stdout + done.stderr
    )
    assert "Traceback" not in done.stderr
