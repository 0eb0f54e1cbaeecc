"""What `train` does, once its configuration is read: recordings are shared out, and one model made after the other."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamlstm.cli.console.clock import created_at
from streamlstm.cli.console.job_view import JobView
from streamlstm.cli.console.output import print_note, print_result
from streamlstm.cli.train.descriptions import brief_lines, data_line, outcome_line, plan_lines
from streamlstm.cli.train.targets import CheckpointChoice, check_files, check_out
from streamlstm.config import LoadedTraining, TrainConfig
from streamlstm.errors import StreamLstmError
from streamlstm.jobs.training import TrainingJob, TrainingOptions
from streamlstm.jobs.training_data import check_heads, read_training_series
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.recordings.grouping import Group, group_series, models_yaml
from streamlstm.wiring.training import heads_by_place, model_files, training_data, training_options

__all__ = ["train_models"]


def train_models(loaded: LoadedTraining, *, start: CheckpointChoice, is_dry_run: bool) -> None:
    """Train everything a configuration asks for.

    Raises: UsageError, DataError, BundleError; StreamLstmError when the disk refuses. Files that were there before are
    then as they were.
    """
    config, where = loaded
    made_at = created_at()
    out = config.out or Path("model.safetensors" if config.is_one else "models")
    check_out(out, where(("out",)) if config.out else "--out", is_one=config.is_one)
    base = ModelBundle.load(config.start) if config.start else None
    series = read_training_series(training_data(config), base=base)
    check_heads(series, heads_by_place(config, where))
    print_note(data_line(series))
    if config.is_one:
        groups = [Group(out.stem, ("**",), series)]
        bundles = [out]
    else:
        groups = group_series(series, config.per, place=where(("per",)))
        bundles = [out / f"{group.name}.safetensors" for group in groups]
    jobs = [
        training_options(
            config,
            group,
            files=model_files(config, bundle),
            start=base,
            created_at=made_at,
            command=shlex.join(["streamlstm", *sys.argv[1:]]),
            is_resumed=start is CheckpointChoice.RESUME,
        )
        for group, bundle in zip(groups, bundles, strict=True)
    ]
    for job in jobs:
        check_files(job.files, sources={one.source for one in series}, start=start)
    if is_dry_run:
        _describe(config, jobs)
        return
    if not config.is_one:
        with _disk(out):
            out.mkdir(exist_ok=True)
    for job in jobs:
        if not config.is_one:
            rows = sum(len(one.values) for one in job.group.series)
            print_note(f"{job.group.name}: {len(job.group.series)} stream(s), {rows:,} rows")
        _train(job)
    if not config.is_one:
        with _disk(out / "models.yaml"):
            lines = models_yaml((job.group.matches, job.files.bundle.name) for job in jobs)
            (out / "models.yaml").write_text(lines, "utf-8")
        print_result(models_yaml((job.group.matches, str(job.files.bundle)) for job in jobs).rstrip())


def _train(job: TrainingOptions) -> None:
    view = JobView()
    try:
        outcome = TrainingJob(job, view).run()
    except KeyboardInterrupt:
        checkpoint = job.files.checkpoint
        if view.reached is not None and checkpoint.exists():
            print_note(f"stopped after update {view.reached:,}; continue from {checkpoint} with --resume")
        raise
    if outcome is not None:
        print_result(outcome_line(outcome))
        if len(outcome.files) > 1:
            print_note(f"  beside it: {', '.join(map(str, outcome.files[1:]))}")


def _describe(config: TrainConfig, jobs: list[TrainingOptions]) -> None:
    """Say what would be trained: one model at length, several with a line each."""
    for line in plan_lines(jobs[0]) if config.is_one else brief_lines(jobs):
        print_result(line)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Tell what the disk refuses as an error of ours."""
    try:
        yield
    except OSError as error:
        raise StreamLstmError(f"{path}: cannot be written ({error.strerror})") from error
