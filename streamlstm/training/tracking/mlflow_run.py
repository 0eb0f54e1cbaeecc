"""Training as a run of MLflow: options are parameters, validations metrics, files artifacts (extra `tracking`).

Nothing is told to anybody else: MLflow's own telemetry is switched off, unless the environment switches it on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from streamlstm.errors import StreamLstmError, UsageError
from streamlstm.training.trainer import ValidationPoint

__all__ = ["MlflowRun"]

_LONGEST_PARAMETER = 500
_BUNDLE_TAG = "streamlstm.bundle"


class MlflowRun:
    """One run. With `resume`, an unfinished run of the same bundle is gone on with.

    Raises: UsageError when mlflow is not installed; StreamLstmError when the server or folder refuses.
    """

    def __init__(self, *, uri: str | None, experiment: str, name: str, bundle: Path, resume: bool) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # skinny MLflow has no other store on this machine
        try:
            from mlflow import MlflowClient
            from mlflow.entities import Metric, Param, RunTag
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise UsageError('mlflow is not installed; pip install "streamlstm[tracking]"') from error
        self._metric, self._param, self._error = Metric, Param, MlflowException
        self._where = uri or os.environ.get("MLFLOW_TRACKING_URI") or "MLflow's own store"
        self._seen = 0
        with self._refusals():
            self._client = MlflowClient(tracking_uri=uri)
            known = self._client.get_experiment_by_name(experiment)
            experiment_id = known.experiment_id if known else self._client.create_experiment(experiment)
            tag = str(bundle.resolve())
            unfinished = self._client.search_runs([experiment_id], "attributes.status = 'RUNNING'") if resume else []
            mine = [run for run in unfinished if run.data.tags.get(_BUNDLE_TAG) == tag]
            run = mine[0] if mine else self._client.create_run(experiment_id, run_name=name)
            self._run_id = run.info.run_id
            self._client.log_batch(self._run_id, tags=[RunTag(_BUNDLE_TAG, tag)])
            if mine:
                known_looks = self._client.get_metric_history(self._run_id, "validation_loss")
                self._seen = max((metric.step for metric in known_looks), default=0)

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Log the plan's values, the options among them, as parameters."""
        flat = {key: value for key, value in plan.items() if not isinstance(value, Mapping)}
        for value in plan.values():
            flat |= value if isinstance(value, Mapping) else {}
        parameters = [self._param(key, str(value)[:_LONGEST_PARAMETER]) for key, value in flat.items()]
        with self._refusals():
            self._client.log_batch(self._run_id, params=parameters)

    def validation(self, point: ValidationPoint) -> None:
        """Log the losses, rate and norm of an update, once."""
        if point.update <= self._seen:
            return
        fields = {name: value for name, value in asdict(point).items() if name != "update"}
        metrics = [self._metric(name, float(value), 0, point.update) for name, value in fields.items()]
        with self._refusals():
            self._client.log_batch(self._run_id, metrics=metrics)

    def end(self, summary: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Log the files, and say that the run is over."""
        with self._refusals():
            for name in ("updates", "best_update", "best_validation_loss"):
                self._client.log_metric(self._run_id, name, float(summary[name]))
            for file in files:
                self._client.log_artifact(self._run_id, str(file))
            self._client.set_terminated(self._run_id)

    def close(self) -> None:
        """Leave a run that is not over as it is: a resumed training goes on with it."""

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except (self._error, OSError) as error:
            first_line = str(error).partition("\n")[0]
            raise StreamLstmError(f"MLflow at {self._where}: {first_line}") from error
