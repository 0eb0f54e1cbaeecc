"""What `run` says of its kernels when it starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from waiting import PATIENCE_S

import streamlstm as package
from streamlstm import train
from streamlstm.kernels import isas

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(package.__file__).resolve().parents[1])}
CONFIG = """
app: {id: hall}
local: {path: log.db}
sources: [{topics: [telemetry]}]
models: [{match: "hall/*", bundle: pump.safetensors}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    values = np.random.default_rng(4).normal(3, 1, (400, 1))
    train(values, period_s=1.0, hidden=5, max_updates=4).save(path / "pump.safetensors")
    (path / "run.yaml").write_text(CONFIG)
    return path


def start(folder: Path, *overrides: str, isa: str) -> subprocess.Popen[str]:
    sets = [word for override in overrides for word in ("--set", override)]
    command = [sys.executable, "-m", "streamlstm", "run", "run.yaml", "--log-format", "json", *sets]
    environment = ENVIRONMENT | {"STREAMLSTM_ISA": isa}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("overrides", "isa", "says"),
    [
        ((), isas()[0], f"network steps on {isas()[0]} (fused), threads: 1, states in float32"),
        (
            ("app.threads=2", "state.dtype=float16"),
            isas()[-1],
            f"network steps on {isas()[-1]} (fused), threads: 2, states in float16",
        ),
    ],
    ids=["default", "asked for"],
)
def test_one_line_says_what_steps_the_network(folder: Path, overrides: tuple[str, ...], isa: str, says: str) -> None:
    with start(folder, *overrides, isa=isa) as worker:
        assert worker.stderr is not None
        try:
            for line in worker.stderr:
                record = json.loads(line)
                if record["message"].startswith("network steps on"):
                    break
            worker.send_signal(signal.SIGTERM)
            rest = worker.stderr.read()
            assert worker.wait(timeout=PATIENCE_S) == 0
        finally:
            worker.kill()
    assert record["message"] == says and record["level"] == "info"
    assert "network steps on" not in rest


def test_a_level_that_the_processor_has_not_is_refused(folder: Path) -> None:
    with start(folder, isa="x86-64-v9") as worker:
        _, said = worker.communicate(timeout=PATIENCE_S)
    assert worker.returncode == 2
    assert "STREAMLSTM_ISA: expected one of" in said and "x86-64-v9" in said
