"""One model, causal or of whole windows: planned, trained with every tracker told, saved, reported.

The bundle is written first, then the checkpoint is removed, then come the report and the log's last line: a training
that is killed anywhere can be gone on with, or has left its bundle.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from streamlstm.errors import BundleError, StreamLstmError, UsageError
from streamlstm.jobs.observer import Observer
from streamlstm.jobs.power import with_power
from streamlstm.jobs.training_data import TABLE_SUFFIX
from streamlstm.jobs.tuning import SearchOptions, find_options
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.model.channels import ChannelDeclaration
from streamlstm.recordings.grouping import Group
from streamlstm.reporting.page import TrainingReport, write_report
from streamlstm.training.causal.plan import CausalPlan, make_plan
from streamlstm.training.fit import Training, run_plan
from streamlstm.training.plan import BundleLabels, Plan, fingerprint
from streamlstm.training.tracking.mlflow_run import MlflowRun
from streamlstm.training.tracking.tensorboard_events import TensorBoardEvents
from streamlstm.training.tracking.tracker import JsonLog, Tracker
from streamlstm.training.trainer import ValidationPoint
from streamlstm.training.windows.plan import make_window_plan

__all__ = ["MlflowTarget", "ModelFiles", "TrainingJob", "TrainingOptions", "TrainingOutcome"]

AnyBundle: TypeAlias = ModelBundle | WindowBundle
AnyPlan: TypeAlias = Plan[Any, AnyBundle]


@dataclass(frozen=True, slots=True)
class ModelFiles:
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


@dataclass(frozen=True, slots=True)
class MlflowTarget:
    """Where MLflow keeps the run; its own setting where `uri` is None."""

    uri: str | None
    experiment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What is trained on what, what the model is called, and which files it leaves.

    Units: period_s in seconds between samples, 0 = unknown. `options` are those of `make_plan`, or with an arrangement
    other than causal of `make_window_plan`; None where one is to be chosen. `start` is the bundle whose weights are
    trained on, `frozen` those of its layers that stay as they are.
    """

    name: str
    version: int
    created_at: str
    group: Group
    period_s: float
    files: ModelFiles
    options: Mapping[str, Any]
    arrangement: str = "causal"
    declared: Mapping[str, ChannelDeclaration] | None = None
    """Of causal models; None = what the bundle says that is gone on from."""
    start: ModelBundle | None = None
    frozen: tuple[str, ...] = ()
    search: SearchOptions | None = None
    tensorboard: Path | None = None
    mlflow: MlflowTarget | None = None
    command: str = ""
    """Which the report shows: how to make the model again."""
    power: bool = True
    """Whether to measure what the model finds of injected faults; whole-window models have no such figures."""
    is_resumed: bool = False
    is_one: bool = True
    """Whether this is the only model; of several, those that are made already are kept when resumed."""

    def plan(self, options: Mapping[str, Any] | None = None) -> AnyPlan:
        """Plan the model: with the given options, then those of a search."""
        values = {one.stream_id: one.values for one in self.group.series}
        channels = self.group.series[0].channels
        given = {**self.options, **(options or {})}
        if self.arrangement == "causal":
            return make_plan(values, channels=channels, start=self.start, declared=self.declared, **given)
        if self.declared and any(one != ChannelDeclaration() for one in self.declared.values()):
            raise UsageError("declare: expected nothing for a whole-window model, which knows no declarations")
        return make_window_plan(values, arrangement=self.arrangement, channels=channels, **given)


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """What was trained; `files` begin with the bundle."""

    bundle: AnyBundle
    rows: int
    streams: int
    updates: int
    validation_loss: float
    seconds: float
    files: tuple[Path, ...]


class TrainingJob:
    """One model."""

    def __init__(self, options: TrainingOptions, observer: Observer) -> None:
        self._options = options
        self._files = options.files
        self._observer = observer

    def run(self) -> TrainingOutcome | None:
        """Plan, train, save, report; return None where the model is made already.

        Raises: UsageError, DataError; StreamLstmError when the disk refuses.
        """
        o, files, note = self._options, self._files, self._observer.note
        if o.is_resumed and o.is_one and o.search is None and not files.checkpoint.exists():
            note(f"no checkpoint {files.checkpoint}: training begins from the start")
        plan = o.plan()
        if o.search is not None:
            found = find_options(o.search, o.plan, self._observer, table=files.table, is_resumed=o.is_resumed)
            plan = o.plan(found)
        if self._is_made(plan):
            note(f"{files.bundle} was trained on these data and options already, and is kept")
            return None
        for sentence in plan.choices:
            note(sentence)
        with ExitStack() as stack:
            trackers = [stack.enter_context(closing(tracker)) for tracker in self._trackers()]
            for tracker in trackers:
                tracker.begin(self._described(plan))
            began = time.monotonic()
            training = self._train(plan, trackers)
            seconds = time.monotonic() - began
            training = self._with_power(training)
            training.bundle.save(files.bundle)
            _remove(files.checkpoint)
            made = [files.bundle]
            if files.report is not None:
                self._report(files.report, training, seconds)
                made.append(files.report)
            summary = _summary(training, seconds)
            for tracker in trackers:
                tracker.end(summary, made)
        if files.log is not None:
            made.append(files.log)
        if o.search is not None:
            made.append(files.table)
        return TrainingOutcome(
            bundle=training.bundle,
            rows=sum(map(len, plan.series.values())),
            streams=len(plan.series),
            updates=training.fit.updates,
            validation_loss=training.fit.best_validation_loss,
            seconds=seconds,
            files=tuple(made),
        )

    def _is_made(self, plan: AnyPlan) -> bool:
        """Whether a training of several models had come past this one when it was interrupted."""
        o = self._options
        if not o.is_resumed or o.is_one or self._files.checkpoint.exists():
            return False
        try:
            made = plan.BUNDLE.load(self._files.bundle)
        except BundleError:
            return False
        wanted = {"fingerprint": fingerprint(plan.series), "options": json.loads(json.dumps(plan.settings))}
        is_same = all(made.training.get(key) == value for key, value in wanted.items())
        return is_same and (made.name, made.version) == (o.name, o.version) and o.start is None

    def _train(self, plan: AnyPlan, trackers: list[Tracker]) -> Training[Any, AnyBundle]:
        o = self._options

        def on_validation(point: ValidationPoint) -> None:
            for tracker in trackers:
                tracker.validation(point)

        with self._observer.training("train" if o.is_one else o.group.name) as show:
            return run_plan(
                plan,
                BundleLabels(o.period_s, o.group.series[0].units, o.name, o.version, o.created_at),
                frozen=o.frozen,
                checkpoint=self._files.checkpoint,
                resume=o.is_resumed,
                on_progress=show,
                on_validation=on_validation,
            )

    def _with_power(self, training: Training[Any, AnyBundle]) -> Training[Any, AnyBundle]:
        """Measure what the model finds; whole-window models open no alerts as samples come."""
        plan, bundle = training.plan, training.bundle
        if not (self._options.power and isinstance(plan, CausalPlan) and isinstance(bundle, ModelBundle)):
            return training
        with self._observer.progress("power") as show:
            measured = with_power(bundle, plan, updates=training.fit.updates, on_progress=show)
        if measured is bundle:
            self._observer.note("power: not measured, the calibration part is shorter than faults are followed for")
        return replace(training, bundle=measured)

    def _trackers(self) -> list[Tracker]:
        o, files = self._options, self._files
        trackers: list[Tracker] = []
        if o.tensorboard is not None:
            trackers.append(TensorBoardEvents(o.tensorboard / o.name))
        if o.mlflow is not None:
            uri, experiment = o.mlflow.uri, o.mlflow.experiment
            trackers.append(
                MlflowRun(uri=uri, experiment=experiment, name=o.name, bundle=files.bundle, resume=o.is_resumed)
            )
        return [JsonLog(files.log), *trackers] if files.log is not None else trackers

    def _described(self, plan: AnyPlan) -> dict[str, Any]:
        o = self._options
        cuts = [(*plan.cuts[key], len(values)) for key, values in plan.series.items()]
        return {
            "name": o.name,
            "version": o.version,
            "bundle": str(self._files.bundle),
            "sources": self._sources,
            "streams": len(plan.series),
            "channels": list(plan.channels),
            "rows": sum(end for _, _, end in cuts),
            "training_rows": sum(first for first, _, _ in cuts),
            "validation_rows": sum(second - first for first, second, _ in cuts),
            "calibration_rows": sum(end - second for _, second, end in cuts),
            "period_rows": plan.period_rows,
            "from": o.start.label if o.start else None,
            "frozen": list(o.frozen),
            "choices": list(plan.choices),
            "options": plan.settings,
        }

    def _report(self, path: Path, training: Training[Any, AnyBundle], seconds: float) -> None:
        plan, fit = training.plan, training.fit
        page = TrainingReport(
            bundle=training.bundle,
            history=fit.history,
            best_update=fit.best_update,
            series=plan.series,
            cuts=plan.cuts,
            choices=plan.choices,
            seconds=seconds,
            sources=tuple(self._sources),
            command=self._options.command,
        )
        write_report(path, page)

    @property
    def _sources(self) -> list[str]:
        return sorted({one.source for one in self._options.group.series})


def _summary(training: Training[Any, AnyBundle], seconds: float) -> dict[str, Any]:
    fit = training.fit
    return {
        "updates": fit.updates,
        "best_update": fit.best_update,
        "best_validation_loss": fit.best_validation_loss,
        "is_stopped_early": fit.updates < training.plan.options.max_updates,
        "digest": training.bundle.digest,
        "seconds": round(seconds, 3),
    }


def _remove(checkpoint: Path) -> None:
    try:
        checkpoint.unlink(missing_ok=True)
    except OSError as error:
        raise StreamLstmError(f"{checkpoint}: cannot be removed ({error.strerror})") from error
