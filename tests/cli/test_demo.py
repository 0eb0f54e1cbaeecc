"""The demo as a newcomer runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from waiting import PATIENCE_S


def run_demo(folder: Path, *arguments: str) -> str:
    """Return the report. The demo is a minute of work for a processor: it is waited for as long as twenty events."""
    command = [sys.executable, "-m", "streamlstm", "demo", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=20 * PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_the_demo_finds_most_faults_and_ends_by_itself(tmp_path: Path) -> None:
    report = run_demo(tmp_path)
    found, missed = len(re.findall(r"\byes\b", report)), len(re.findall(r"\bno\b", report))
    assert found + missed == 24
    assert found >= 16
    assert re.search(r"bed9/ecg-recorded: \d+ of 117 labelled beats", report)
    rates = [float(rate) for rate in re.findall(r"\(([\d.]+) a stream-day\)", report)]
    assert len(rates) == 4
    assert list(tmp_path.iterdir()) == []


def test_the_demo_runs_on_a_real_broker_and_on_a_recording(tmp_path: Path, kafka_broker: str) -> None:
    rng = np.random.default_rng(3)
    values = np.sin(2 * np.pi * np.arange(4000)[:, None] / 50 + [0.0, 1.0]) + rng.normal(0, 0.05, (4000, 2))
    values[3000:3020, 0] += 2.5
    label = np.zeros(4000, np.uint8)
    label[3000:3020] = 1
    np.savez(tmp_path / "pump.npz", values=values.astype(np.float32), label=label, period_s=1.0, train_len=2000)
    report = run_demo(tmp_path, "--data", "pump.npz", "--kafka", kafka_broker, "--keep", "kept")
    assert "through the Kafka log" in report
    assert re.search(r"pump +labelled +yes", report)
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"recorded.safetensors", "streamlstm.yaml"}
