"""What MLflow's client is asked for, by a client that notes it; the real one is in test_tracking.py."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import pytest

from streamlstm.errors import StreamLstmError
from streamlstm.training.tracking.mlflow_run import MlflowRun
from streamlstm.training.trainer import ValidationPoint


class Metric(NamedTuple):
    key: str
    value: float
    timestamp: int
    step: int


class Pair(NamedTuple):
    key: str
    value: str


class RefusedError(Exception):
    """MLflow's own error."""


@dataclass
class Server:
    """Experiments and runs, and whether it answers."""

    runs: list[Any] = field(default_factory=list)
    experiments: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    is_down: bool = False

    def client(self, tracking_uri: str | None) -> Server:
        self.asked.append(f"client {tracking_uri}")
        return self

    def get_experiment_by_name(self, name: str) -> Any:
        return self.experiments.get(name)

    def create_experiment(self, name: str) -> str:
        self.experiments[name] = SimpleNamespace(experiment_id=f"of {name}")
        return f"of {name}"

    def search_runs(self, experiments: list[str], query: str) -> list[Any]:
        assert query == "attributes.status = 'RUNNING'"
        return [run for run in self.runs if run.experiment in experiments and run.is_running]

    def create_run(self, experiment: str, *, run_name: str) -> Any:
        info, data = SimpleNamespace(run_id=str(len(self.runs))), SimpleNamespace(tags={})
        run = SimpleNamespace(info=info, data=data, experiment=experiment, name=run_name, is_running=True)
        run.params, run.metrics, run.files = {}, [], []
        self.runs.append(run)
        return run

    def log_batch(self, run_id: str, *, tags: Any = (), params: Any = (), metrics: Any = ()) -> None:
        if self.is_down:
            raise RefusedError("no such server\nand so on")
        run = self.runs[int(run_id)]
        run.data.tags |= dict(tags)
        run.params |= dict(params)
        run.metrics += metrics

    def log_metric(self, run_id: str, key: str, value: float) -> None:
        self.runs[int(run_id)].metrics.append(Metric(key, value, 0, 0))

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        return [metric for metric in self.runs[int(run_id)].metrics if metric.key == key]

    def log_artifact(self, run_id: str, file: str) -> None:
        self.runs[int(run_id)].files.append(file)

    def set_terminated(self, run_id: str) -> None:
        self.runs[int(run_id)].is_running = False


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    contents: dict[str, dict[str, Any]] = {
        "mlflow": {"MlflowClient": server.client},
        "mlflow.entities": {"Metric": Metric, "Param": Pair, "RunTag": Pair},
        "mlflow.exceptions": {"MlflowException": RefusedError},
    }
    for name, held in contents.items():
        module = ModuleType(name)
        vars(module).update(held)
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_ALLOW_FILE_STORE", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return server


def run_of(bundle: str, *, resume: bool = False, uri: str | None = "here") -> MlflowRun:
    return MlflowRun(uri=uri, experiment="pumps", name="m", bundle=Path(bundle), resume=resume)


def point(update: int) -> ValidationPoint:
    return ValidationPoint(update, 2, 0.5, 9.0 / update, 0.02, 1.5)


def test_a_run_is_noted_from_beginning_to_end(server: Server) -> None:
    run = run_of("m.safetensors")
    run.begin({"name": "m", "options": {"hidden": 7, "note": "x" * 600}})
    run.validation(point(3))
    run.end({"updates": 3, "best_update": 3, "best_validation_loss": 3.0}, [Path("a"), Path("b")])
    run.close()
    [noted] = server.runs
    assert server.asked == ["client here"] and (noted.name, noted.experiment) == ("m", "of pumps")
    assert noted.params == {"name": "m", "hidden": "7", "note": "x" * 500}
    at_update = [Metric(key, value, 0, 3) for key, value in vars_of(point(3)).items()]
    ends = [Metric("updates", 3.0, 0, 0), Metric("best_update", 3.0, 0, 0), Metric("best_validation_loss", 3.0, 0, 0)]
    assert noted.metrics == at_update + ends
    assert noted.files == ["a", "b"] and not noted.is_running
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == os.environ["MLFLOW_ALLOW_FILE_STORE"] == "true"


def vars_of(at: ValidationPoint) -> dict[str, float]:
    names = ("epoch", "loss", "validation_loss", "learning_rate", "gradient_norm")
    return {name: float(getattr(at, name)) for name in names}


def test_only_an_unfinished_run_of_the_same_bundle_is_gone_on_with(server: Server) -> None:
    run_of("other.safetensors").validation(point(30))
    first = run_of("m.safetensors")
    first.validation(point(3))
    first.validation(point(6))
    run_of("m.safetensors").validation(point(3))  # a training anew is a run of its own
    assert len(server.runs) == 3 and len(server.experiments) == 1
    again = run_of("m.safetensors", resume=True)
    for update in (3, 6, 9):
        again.validation(point(update))
    assert len(server.runs) == 3
    assert [metric.step for metric in server.runs[1].metrics if metric.key == "loss"] == [3, 6, 9]
    again.end({"updates": 9, "best_update": 9, "best_validation_loss": 1.0}, [])
    server.runs[2].is_running = False
    run_of("m.safetensors", resume=True).validation(point(3))
    assert len(server.runs) == 4


def test_a_run_that_was_broken_off_before_its_first_validation_is_gone_on_with(server: Server) -> None:
    run_of("m.safetensors")
    run_of("m.safetensors", resume=True).validation(point(1))
    assert [len(run.metrics) for run in server.runs] == [5]


@pytest.mark.parametrize(("uri", "variable", "where"), [("a", "b", "a"), (None, "b", "b"), (None, "", "MLflow's own")])
def test_a_server_that_refuses_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch, uri: str | None, variable: str, where: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    run = run_of("m.safetensors", uri=uri)
    server.is_down = True
    with pytest.raises(StreamLstmError, match=rf"MLflow at {where}.*: no such server$"):
        run.validation(point(3))
