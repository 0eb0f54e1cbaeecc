"""From the configuration of a training to the options of its jobs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamlstm.config import TrainConfig
from streamlstm.config.source import KeyPath
from streamlstm.jobs.training import MlflowTarget, ModelFiles, TrainingOptions
from streamlstm.jobs.training_data import LOG_SUFFIX, TrainingData
from streamlstm.jobs.tuning import SearchOptions
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.recordings.grouping import Group
from streamlstm.training.options import WINDOW_OPTIONS
from streamlstm.training.trials import Choice, Range, Space

__all__ = ["heads_by_place", "model_files", "training_data", "training_options"]


def training_data(config: TrainConfig) -> TrainingData:
    """Take what is read of which recordings."""
    return TrainingData(config.data, config.ts_unit, config.channels, config.rows)


def heads_by_place(config: TrainConfig, where: Callable[[KeyPath], str]) -> dict[str, int]:
    """Take how far the configured heads reach, each with the place where it was written."""
    shape = config.model
    heads = {"forecast": shape.forecast, "reconstruct": shape.reconstruct}
    return {where(("model", name)): rows for name, rows in heads.items() if rows is not None}


def model_files(config: TrainConfig, bundle: Path) -> ModelFiles:
    """Name the files that lie beside a bundle, as configured."""

    def beside(switch: bool | Path, suffix: str) -> Path | None:
        return switch if isinstance(switch, Path) else bundle.with_suffix(suffix) if switch else None

    return ModelFiles(bundle, beside(config.report, ".html"), beside(config.log, LOG_SUFFIX))


def training_options(
    config: TrainConfig,
    group: Group,
    *,
    files: ModelFiles,
    start: ModelBundle | None,
    created_at: str,
    command: str,
    is_resumed: bool,
) -> TrainingOptions:
    """Take what is trained for one group of streams."""
    mlflow = config.mlflow
    return TrainingOptions(
        name=_name(config, group),
        version=config.version,
        created_at=created_at,
        group=group,
        period_s=group.series[0].period_s if config.period_ms is None else config.period_ms / 1000,
        files=files,
        options=_options(config),
        declared=config.declared,
        arrangement=config.model.arrangement,
        start=start,
        frozen=config.freeze,
        search=_search(config),
        tensorboard=config.tensorboard,
        mlflow=None if mlflow is None else MlflowTarget(mlflow.uri, mlflow.experiment),
        command=command,
        power=config.power,
        is_resumed=is_resumed,
        is_one=config.is_one,
    )


def _name(config: TrainConfig, group: Group) -> str:
    """Return what a model is called: as configured, or as its file; of several, the one before the other."""
    return (config.name or group.name) if config.is_one or not config.name else f"{config.name}-{group.name}"


def _options(config: TrainConfig) -> dict[str, Any]:
    """Take the options that apply to the arrangement."""
    shape, training = config.model.model_dump(exclude={"arrangement"}), config.training.model_dump()
    if config.model.arrangement == "causal":
        return {name: value for name, value in shape.items() if name != "window"} | training
    names = ("cell", "hidden", "layers", "window")
    return {name: shape[name] for name in names} | {name: training[name] for name in WINDOW_OPTIONS}


def _search(config: TrainConfig) -> SearchOptions | None:
    """Take what is searched: what `model` and `training` set is not."""
    tune, shape, training = config.tune, config.model, config.training
    if tune is None:
        return None
    space: Space = {
        "hidden": Choice(tune.hidden),
        "layers": Choice(tune.layers),
        "cell": Choice(tune.cell),
        "batch": Choice(tune.batch),
        "learning_rate": Range(*tune.learning_rate, is_logarithmic=True),
        "dropout": Range(*tune.dropout),
    }
    if config.model.arrangement != "causal":
        space = {name: where for name, where in space.items() if name != "dropout"}
    given = shape.model_dump() | training.model_dump()
    free = {name: where for name, where in space.items() if given[name] is None}
    if shape.cell and "," in shape.cell:
        free.pop("layers", None)  # there are as many as cells
    return SearchOptions(free, tune.trials, training.seed)
