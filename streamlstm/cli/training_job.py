"""One causal model of `train`: planned, trained with everyone told who tracks it, saved, reported.

The bundle is written first, then the checkpoint is removed, then come the report and the log's last line: a training
that is killed anywhere can be gone on with, or has left its bundle.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from streamlstm.cli.console.output import say, tell
from streamlstm.cli.console.progress import Progress
from streamlstm.cli.search import search_options
from streamlstm.cli.training_data import TABLE_SUFFIX
from streamlstm.config import TrainConfig
from streamlstm.errors import BundleError, StreamLstmError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.recordings.grouping import Group
from streamlstm.reporting.page import TrainingReport, write_report
from streamlstm.training.fit import Training, run_plan
from streamlstm.training.plan import Plan, fingerprint, make_plan
from streamlstm.training.tracking.mlflow_run import MlflowRun
from streamlstm.training.tracking.tensorboard_events import TensorBoardEvents
from streamlstm.training.tracking.tracker import JsonLog, Tracker
from streamlstm.training.trainer import TrainingProgress, ValidationPoint

__all__ = ["Target", "TrainingJob", "name_of", "period_of", "plan_of", "progress_detail"]


@dataclass(frozen=True)
class Target:
    """The files of one model."""

    bundle: Path
    report: Path | None
    log: Path | None

    @property
    def checkpoint(self) -> Path:
        """What an interrupted training goes on from."""
        return self.bundle.with_suffix(".checkpoint")

    @property
    def table(self) -> Path:
        """The trials of a search."""
        return self.bundle.with_suffix(TABLE_SUFFIX)


class TrainingJob:
    """One model."""

    def __init__(
        self,
        config: TrainConfig,
        group: Group,
        target: Target,
        base: ModelBundle | None,
        *,
        created_at: str,
        is_resumed: bool,
    ) -> None:
        self._config = config
        self._group = group
        self._target = target
        self._base = base
        self._created_at = created_at
        self._is_resumed = is_resumed
        self._name = name_of(config, group)

    def run(self) -> None:
        """Plan, train, save, report."""
        config, target = self._config, self._target
        if self._is_resumed and config.is_one and config.tune is None and not target.checkpoint.exists():
            tell(f"  no checkpoint {target.checkpoint}: training begins anew")
        plan = self._plan_of({})
        if config.tune is not None:
            options = search_options(config, self._plan_of, table=target.table, is_resumed=self._is_resumed)
            plan = self._plan_of(options)
        if self._is_made(plan):
            tell(f"  {target.bundle} is of these data and options already, and kept")
            return
        for sentence in plan.choices:
            tell(f"  {sentence}")
        with ExitStack() as stack:
            trackers = [stack.enter_context(closing(tracker)) for tracker in self._trackers()]
            for tracker in trackers:
                tracker.begin(self._described(plan))
            began = time.monotonic()
            training = self._train(plan, trackers)
            seconds = time.monotonic() - began
            training.bundle.save(target.bundle)
            _remove(target.checkpoint)
            files = [target.bundle]
            if target.report is not None:
                self._report(target.report, training, seconds)
                files.append(target.report)
            summary = self._summary(training, seconds)
            for tracker in trackers:
                tracker.end(summary, files)
        if target.log is not None:
            files.append(target.log)
        if config.tune is not None:
            files.append(target.table)
        self._say(training, seconds, files)

    def _is_made(self, plan: Plan) -> bool:
        """Whether a training of several models had come past this one when it was interrupted."""
        if not self._is_resumed or self._config.is_one or self._target.checkpoint.exists():
            return False
        try:
            made = ModelBundle.load(self._target.bundle)
        except BundleError:
            return False
        wanted = {"fingerprint": fingerprint(plan.series), "options": json.loads(json.dumps(asdict(plan.options)))}
        is_same = all(made.training.get(key) == value for key, value in wanted.items())
        return is_same and (made.name, made.version) == (self._name, self._config.version) and self._base is None

    @property
    def _label(self) -> str:
        return "train" if self._config.is_one else self._group.name

    def _plan_of(self, options: dict[str, Any]) -> Plan:
        return plan_of(self._config, self._group, self._base, options)

    def _train(self, plan: Plan, trackers: list[Tracker]) -> Training:
        config = self._config
        reached = 0

        def on_validation(point: ValidationPoint) -> None:
            for tracker in trackers:
                tracker.validation(point)

        try:
            with Progress(self._label) as progress:

                def on_progress(at: TrainingProgress) -> None:
                    nonlocal reached
                    reached = at.update
                    progress.update(at.update, at.of, progress_detail(at), seconds_left=at.seconds_left)

                return run_plan(
                    plan,
                    period_s=period_of(config, self._group),
                    units=self._group.series[0].units,
                    name=self._name,
                    version=config.version,
                    created_at=self._created_at,
                    frozen=config.freeze,
                    checkpoint=self._target.checkpoint,
                    resume=self._is_resumed,
                    on_progress=on_progress,
                    on_validation=on_validation,
                )
        except KeyboardInterrupt:
            if self._target.checkpoint.exists():
                tell(f"stopped after update {reached:,}; go on from {self._target.checkpoint} with --resume")
            raise

    def _trackers(self) -> list[Tracker]:
        config, target = self._config, self._target
        trackers: list[Tracker] = []
        if config.tensorboard is not None:
            trackers.append(TensorBoardEvents(config.tensorboard / self._name))
        if config.mlflow is not None:
            uri, experiment = config.mlflow.uri, config.mlflow.experiment
            trackers.append(
                MlflowRun(
                    uri=uri, experiment=experiment, name=self._name, bundle=target.bundle, resume=self._is_resumed
                )
            )
        return [JsonLog(target.log), *trackers] if target.log is not None else trackers

    def _described(self, plan: Plan) -> dict[str, Any]:
        cuts = [(*plan.cuts[key], len(values)) for key, values in plan.series.items()]
        return {
            "name": self._name,
            "version": self._config.version,
            "bundle": str(self._target.bundle),
            "sources": sorted({one.source for one in self._group.series}),
            "streams": len(plan.series),
            "channels": list(plan.channels),
            "rows": sum(end for _, _, end in cuts),
            "training_rows": sum(first for first, _, _ in cuts),
            "validation_rows": sum(second - first for first, second, _ in cuts),
            "calibration_rows": sum(end - second for _, second, end in cuts),
            "period_rows": plan.period_rows,
            "from": self._base.label if self._base else None,
            "frozen": list(self._config.freeze),
            "choices": list(plan.choices),
            "options": asdict(plan.options),
        }

    def _summary(self, training: Training, seconds: float) -> dict[str, Any]:
        fit = training.fit
        return {
            "updates": fit.updates,
            "best_update": fit.best_update,
            "best_validation_loss": fit.best_validation_loss,
            "is_stopped_early": fit.updates < training.plan.options.max_updates,
            "digest": training.bundle.digest,
            "seconds": round(seconds, 3),
        }

    def _report(self, path: Path, training: Training, seconds: float) -> None:
        plan, fit = training.plan, training.fit
        page = TrainingReport(
            bundle=training.bundle,
            history=fit.history,
            best_update=fit.best_update,
            series=plan.series,
            cuts=plan.cuts,
            choices=plan.choices,
            seconds=seconds,
            sources=tuple(sorted({one.source for one in self._group.series})),
            command=shlex.join(["streamlstm", *sys.argv[1:]]),
        )
        write_report(path, page)

    def _say(self, training: Training, seconds: float, files: list[Path]) -> None:
        bundle, plan = training.bundle, training.plan
        rows = sum(map(len, plan.series.values()))
        say(
            f"{files[0]}: {bundle.label}, {len(bundle.channels)} channels, trained on {rows:,} rows of "
            f"{len(plan.series)} stream(s) in {seconds:.1f} s; {training.fit.updates} updates, "
            f"validation loss {training.fit.best_validation_loss:.4f}"
        )
        if len(files) > 1:
            tell(f"  beside it: {', '.join(map(str, files[1:]))}")


def progress_detail(at: TrainingProgress) -> str:
    """Say losses and speed, as they follow the bar."""
    losses = f"epoch {at.epoch}, loss {at.loss:.4f}, validation {at.validation_loss:.4f}"
    return f"{losses}, {at.rows_per_second / 1000:,.0f}k rows/s"


def plan_of(config: TrainConfig, group: Group, base: ModelBundle | None, options: dict[str, Any] | None = None) -> Plan:
    """Plan a model: what is configured, then `options` of a search."""
    given = config.model.model_dump(exclude={"arrangement"}) | config.training.model_dump() | (options or {})
    values = {one.stream_id: one.values for one in group.series}
    return make_plan(values, channels=group.series[0].channels, start=base, **given)


def name_of(config: TrainConfig, group: Group) -> str:
    """Return what a model is called: as configured, or as its file; of several, the one before the other."""
    return (config.name or group.name) if config.is_one or not config.name else f"{config.name}-{group.name}"


def period_of(config: TrainConfig, group: Group) -> float:
    """Return the seconds between samples: as configured, or the first stream's."""
    return group.series[0].period_s if config.period_ms is None else config.period_ms / 1000


def _remove(checkpoint: Path) -> None:
    try:
        checkpoint.unlink(missing_ok=True)
    except OSError as error:
        raise StreamLstmError(f"{checkpoint}: cannot be removed ({error.strerror})") from error
