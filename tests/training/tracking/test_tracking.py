"""TensorBoard and MLflow, read back with their own readers: every validation point once, also after a resumption."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli.running import ENVIRONMENT
from waiting import PATIENCE_S

READ_EVENTS = """\
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1]).Reload()
for tag in sorted(events.Tags()["scalars"]):
    print(tag, *(f"{one.step}:{one.value:.4f}" for one in events.Scalars(tag)))
print(events.Tensors("plan")[0].tensor_proto.string_val[0].decode())
"""
READ_RUNS = """\
import sys
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1])
for run in client.search_runs([client.get_experiment_by_name("pumps").experiment_id]):
    history = client.get_metric_history(run.info.run_id, "validation_loss")
    print(run.info.run_name, run.info.status, run.data.params["hidden"], *(one.step for one in history))
    print(*sorted(one.path for one in client.list_artifacts(run.info.run_id)))
"""
TRACK = """\
import sys
from pathlib import Path
from streamlstm.training.tracking.mlflow_run import MlflowRun
from streamlstm.training.tracking.tensorboard_events import TensorBoardEvents
from streamlstm.training.trainer import ValidationPoint

def point_at(update):
    return ValidationPoint(update, 1, 0.5, 9 / update, 0.02, 1.5)

for updates in ((3, 6), (3, 6, 9)):  # interrupted, then resumed
    bundle = Path("m.safetensors")
    runs = MlflowRun(uri="runs", experiment="pumps", name="m", bundle=bundle, resume=len(updates) == 3)
    for tracker in (TensorBoardEvents(Path("events")), runs):
        tracker.begin({"name": "m", "options": {"hidden": 7}})
        for update in updates:
            tracker.validation(point_at(update))
        if len(updates) == 3:
            bundle.write_text("a bundle")
            tracker.end({"updates": 9, "best_update": 9, "best_validation_loss": 1.0}, [bundle])
        tracker.close()
"""


def python(folder: Path, program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = ENVIRONMENT | {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"} | environment
    command = [sys.executable, "-W", "ignore", "-c", program, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def test_every_look_is_told_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    pytest.importorskip("mlflow")
    done = python(tmp_path, TRACK)
    assert done.returncode == 0, done.stderr
    events = python(tmp_path, READ_EVENTS, "events").stdout.splitlines()
    assert "loss/validation 3:3.0000 6:1.5000 9:1.0000" in events
    assert "learning_rate 3:0.0200 6:0.0200 9:0.0200" in events
    assert "| name | m |" in events
    runs = python(tmp_path, READ_RUNS, "runs").stdout.splitlines()
    assert runs == ["m FINISHED 7 3 6 9", "m.safetensors"]


@pytest.mark.parametrize(
    ("hidden", "option", "sentence"),
    [
        ("tensorboard", "--tensorboard", 'tensorboard is not installed; pip install "streamlstm[tracking]"'),
        ("mlflow", "--mlflow", 'mlflow is not installed; pip install "streamlstm[tracking]"'),
        ("optuna", "--tune", 'optuna is not installed; pip install "streamlstm[tune]"'),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(tmp_path: Path, hidden: str, option: str, sentence: str) -> None:
    (tmp_path / "a.csv").write_text("flow\n" + "".join(f"{n * n % 17}\n" for n in range(120)))
    program = f"import sys; sys.modules[{hidden!r}] = None; sys.argv[0] = 'streamlstm'; "
    done = python(tmp_path, program + "from streamlstm.cli import main; main()", "train", "a.csv", option, "3")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"error: {sentence}"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
