"""What `train` does, once its configuration is read: recordings are shared out, and one model made after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

from streamlstm.cli.console.output import check_target, say, tell
from streamlstm.cli.dry_run import describe_briefly, describe_plan
from streamlstm.cli.training_data import LOG_SUFFIX, describe_series, read_training_series
from streamlstm.cli.training_job import Target, TrainingJob, period_of, plan_of
from streamlstm.cli.window_training import train_windows
from streamlstm.config import LoadedTraining, TrainConfig
from streamlstm.errors import StreamLstmError, UsageError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.recordings.grouping import Group, group_series, models_yaml

__all__ = ["Start", "train_models"]


class Start(Enum):
    """What to do with the checkpoint of a training that did not come to its end."""

    REFUSE = None
    RESUME = True
    ANEW = False


def train_models(loaded: LoadedTraining, *, start: Start, is_dry_run: bool) -> None:
    """Train everything a configuration asks for.

    Raises: UsageError, DataError, BundleError; StreamLstmError when the disk refuses. Files that were there before are
    then as they were.
    """
    config, where = loaded
    is_causal = config.model.arrangement == "causal"
    if start is Start.RESUME and not is_causal:
        raise UsageError(f"--resume: expected a causal model, got {config.model.arrangement}, which has no checkpoints")
    created_at = _created_at()
    out = config.out or Path("model.safetensors" if config.is_one else "models")
    _check_out(config, out, where(("out",)) if config.out else "--out")
    base = ModelBundle.load(config.start) if config.start else None
    series = read_training_series(config, where, base=base)
    tell(describe_series(series))
    if config.is_one:
        groups = [Group(out.stem, ("**",), series)]
        targets = [_target(config, out)]
    else:
        groups = group_series(series, config.per, place=where(("per",)))
        targets = [_target(config, out / f"{group.name}.safetensors") for group in groups]
    for target in targets:
        _check_files(target, sources={one.source for one in series}, start=start)
    if is_dry_run:
        _describe(config, groups, base)
        return
    if not config.is_one:
        with _disk(out):
            out.mkdir(exist_ok=True)
    for target, group in zip(targets, groups, strict=True):
        if not config.is_one:
            tell(f"{group.name}: {len(group.series)} stream(s), {sum(len(one.values) for one in group.series):,} rows")
        if not is_causal:
            train_windows(config, group, target, created_at=created_at)
        else:
            is_resumed = start is Start.RESUME
            TrainingJob(config, group, target, base, created_at=created_at, is_resumed=is_resumed).run()
    if not config.is_one:
        made = list(zip(groups, targets, strict=True))
        with _disk(out / "models.yaml"):
            lines = models_yaml((group.matches, target.bundle.name) for group, target in made)
            (out / "models.yaml").write_text(lines, "utf-8")
        say(models_yaml((group.matches, str(target.bundle)) for group, target in made).rstrip())


def _describe(config: TrainConfig, groups: list[Group], base: ModelBundle | None) -> None:
    """Say what would be trained: one model at length, several with a line each."""
    if config.model.arrangement != "causal":
        raise UsageError(f"--dry-run: expected a causal model, got {config.model.arrangement}")
    seconds = 0.0
    for group in groups:
        plan = plan_of(config, group, base)
        if config.is_one:
            describe_plan(plan, period_s=period_of(config, group), frozen=config.freeze, tune=config.tune)
        else:
            seconds += describe_briefly(group.name, plan, frozen=config.freeze, tune=config.tune)
    if not config.is_one:
        say(f"{len(groups)} models, at most {seconds:,.0f} s together")


def _target(config: TrainConfig, bundle: Path) -> Target:
    def beside(switch: bool | Path, suffix: str) -> Path | None:
        return switch if isinstance(switch, Path) else bundle.with_suffix(suffix) if switch else None

    return Target(bundle, beside(config.report, ".html"), beside(config.log, LOG_SUFFIX))


def _check_out(config: TrainConfig, out: Path, place: str) -> None:
    if not out.parent.is_dir():
        raise UsageError(f"{place}: the folder {out.parent} does not exist")
    if config.is_one and out.exists() and not out.is_file():
        # A device would be replaced by the bundle, a folder refused at the end.
        raise UsageError(f"{place}: expected a file, got {out}, which is a folder or a device")
    if not config.is_one and out.exists() and not out.is_dir():
        raise UsageError(f"{place}: expected a folder for several models, got {out}, which is none")


def _check_files(target: Target, *, sources: set[str], start: Start) -> None:
    """Refuse to write over data, or over the checkpoint of a training that can be gone on with."""
    files = {"--out": target.bundle, "--report": target.report, "--log": target.log}
    for option, file in files.items():
        for source in sources if file is not None else ():
            check_target(option, file, inputs={"data": Path(source)})  # type: ignore[arg-type]
    if start is Start.REFUSE and target.checkpoint.exists():
        raise UsageError(
            f"{target.checkpoint} is of a training that did not come to its end; "
            "go on with it (--resume) or begin anew (--anew)"
        )


def _created_at() -> str:
    """Return the time, or SOURCE_DATE_EPOCH, with which a bundle has the same bytes whenever it is made."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"SOURCE_DATE_EPOCH: expected seconds since 1970, got {epoch!r}") from None
    return moment.isoformat(timespec="seconds")


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Tell what the disk refuses as an error of ours."""
    try:
        yield
    except OSError as error:
        raise StreamLstmError(f"{path}: cannot be written ({error.strerror})") from error
