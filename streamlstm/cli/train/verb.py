"""`train`: recorded files to a model bundle. Its options are short ways to set keys of the configuration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.console.options import SetOption, checked_seconds
from streamlstm.cli.console.output import print_result
from streamlstm.errors import UsageError
from streamlstm.recordings.time_unit import TimeUnit

if TYPE_CHECKING:
    from streamlstm.config.source import KeyPath, Plain

__all__ = ["CELLS", "train", "verb"]

_DATA, _MODEL, _TRAINING, _OUTPUT = "Data", "Model", "Training", "Output"
_YAML = (".yaml", ".yml")
CELLS = ("lstm", "peephole", "gru", "gru_reset_before", "rnn")
"""Those of the kernels, which help need not import."""


def _option(*names: str, panel: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, metavar=metavar, show_default=False)


verb = typer.Typer(add_completion=False)


@verb.command(
    epilog="Example: streamlstm train ward.csv --out models/vitals.safetensors --name vitals. "
    "Every option, and more, can be set in a file: streamlstm train vitals.yaml --set training.loss=huber"
)
def train(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONFIG|DATA...", help="A YAML file; or recordings: files, folders, patterns, - for stdin."
        ),
    ] = None,
    config: Annotated[
        Path | None, _option("--config", panel=_DATA, help="A YAML file, with DATA or instead of it.", metavar="FILE")
    ] = None,
    rows: Annotated[int | None, _option("--rows", panel=_DATA, help="Use only the first rows of each stream.")] = None,
    channels: Annotated[
        str | None, _option("--channels", panel=_DATA, help="Channels, comma separated; all by default.", metavar="A,B")
    ] = None,
    ts_unit: Annotated[
        TimeUnit | None, _option("--ts-unit", panel=_DATA, help="Unit of numeric time stamps; s by default.")
    ] = None,
    period: Annotated[
        float | None, _option("--period", panel=_DATA, help="Seconds between samples; taken from the data by default.")
    ] = None,
    per: Annotated[
        str | None,
        _option("--per", panel=_DATA, help="One model for all, for each stream, or for groups: ward*.", metavar="PER"),
    ] = None,
    cell: Annotated[
        str | None,
        _option(
            "--cell", panel=_MODEL, help=f"{', '.join(CELLS)}; or one for each layer, with commas.", metavar="CELL"
        ),
    ] = None,
    hidden: Annotated[int | None, _option("--hidden", panel=_MODEL, help="Hidden units; 32 by default.")] = None,
    layers: Annotated[
        int | None, _option("--layers", panel=_MODEL, help="Number of layers; 1, or as many as cells.")
    ] = None,
    projection: Annotated[
        int | None, _option("--projection", panel=_MODEL, help="Outputs to project an LSTM's units to.")
    ] = None,
    forecast: Annotated[
        int | None, _option("--forecast", panel=_MODEL, help="Samples ahead to forecast; 16 by default.")
    ] = None,
    reconstruct: Annotated[
        int | None, _option("--reconstruct", panel=_MODEL, help="Samples back to rebuild; a period by default.")
    ] = None,
    mask_inputs: Annotated[
        bool | None,
        _option("--mask-inputs/--no-mask-inputs", panel=_MODEL, help="Tell the network which values were missing."),
    ] = None,
    arrangement: Annotated[
        str | None,
        _option("--arrangement", panel=_MODEL, help="encoder_decoder or bidirectional; offline only.", metavar="NAME"),
    ] = None,
    updates: Annotated[
        int | None, _option("--updates", panel=_TRAINING, help="At most so many updates of the weights.")
    ] = None,
    learning_rate: Annotated[
        float | None, _option("--learning-rate", panel=_TRAINING, help="Learning rate at the schedule's peak.")
    ] = None,
    loss: Annotated[
        str | None, _option("--loss", panel=_TRAINING, help="Loss: mse, huber or gaussian.", metavar="NAME")
    ] = None,
    trim: Annotated[
        float | None, _option("--trim", panel=_TRAINING, help="Share of the worst rows to leave out.")
    ] = None,
    seed: Annotated[
        int | None, _option("--seed", panel=_TRAINING, help="The same seed gives the same weights, bit for bit.")
    ] = None,
    tune: Annotated[
        int | None, _option("--tune", panel=_TRAINING, help="First search for options, in so many trials.", metavar="N")
    ] = None,
    start: Annotated[
        Path | None, _option("--from", panel=_TRAINING, help="Fine-tune this bundle.", metavar="BUNDLE")
    ] = None,
    freeze: Annotated[
        list[str] | None,
        _option("--freeze", panel=_TRAINING, help="With --from: keep layers.0 or head as it is.", metavar="NAME"),
    ] = None,
    resume: Annotated[
        bool | None,
        _option("--resume/--anew", panel=_TRAINING, help="Continue an interrupted training, or forget its checkpoint."),
    ] = None,
    dry_run: Annotated[
        bool, _option("--dry-run", panel=_OUTPUT, help="Show data, shapes, memory, time; train nothing.")
    ] = False,
    out: Annotated[
        Path | None,
        _option("--out", panel=_OUTPUT, help="Bundle to write; model.safetensors by default.", metavar="PATH"),
    ] = None,
    name: Annotated[
        str | None, _option("--name", panel=_OUTPUT, help="Name of the model; by default that of the bundle's file.")
    ] = None,
    version: Annotated[
        int | None, _option("--version", panel=_OUTPUT, help="Version of the model; 1 by default.")
    ] = None,
    power: Annotated[
        bool | None,
        _option("--power/--no-power", panel=_OUTPUT, help="Measure which injected faults are found; yes by default."),
    ] = None,
    report: Annotated[
        bool | None,
        _option("--report/--no-report", panel=_OUTPUT, help="Write the page beside the bundle; yes by default."),
    ] = None,
    log: Annotated[
        Path | None, _option("--log", panel=_OUTPUT, help="File for JSON lines of every validation.", metavar="FILE")
    ] = None,
    no_log: Annotated[bool, _option("--no-log", panel=_OUTPUT, help="Write no such log.")] = False,
    tensorboard: Annotated[
        Path | None,
        _option("--tensorboard", panel=_OUTPUT, help="Folder for TensorBoard's event files.", metavar="DIR"),
    ] = None,
    mlflow: Annotated[
        str | None,
        _option("--mlflow", panel=_OUTPUT, help="Track the run with MLflow: a server or a folder.", metavar="URI"),
    ] = None,
    overrides: SetOption = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the configuration's JSON Schema and exit.")] = False,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Train a model on recordings of normal behaviour (an NPZ with train_len: on the rows before it)."""
    from streamlstm.cli.train.models import train_models
    from streamlstm.cli.train.targets import CheckpointChoice
    from streamlstm.config import load_training, train_schema

    configure_logging(log_format)
    if schema:
        print_result(json.dumps(train_schema(), indent=2))
        return
    file, recordings = _file_and_data(config, data or [])
    if period is not None:
        checked_seconds("--period", period)
    if log is not None and no_log:
        raise UsageError("--no-log: expected one of --log and --no-log, got both")
    here = None if file is None or file.parent.resolve() == Path.cwd() else Path.cwd()
    given: dict[str, tuple[KeyPath, Plain]] = {
        "DATA": (("data",), [_from(here, one) for one in recordings] or None),
        "--rows": (("rows",), rows),
        "--channels": (("channels",), _names(channels)),
        "--ts-unit": (("ts_unit",), ts_unit),
        "--period": (("period",), None if period is None else f"{period:.9f}s"),
        "--per": (("per",), per),
        "--cell": (("model", "cell"), cell),
        "--hidden": (("model", "hidden"), hidden),
        "--layers": (("model", "layers"), layers),
        "--projection": (("model", "projection"), projection),
        "--forecast": (("model", "forecast"), forecast),
        "--reconstruct": (("model", "reconstruct"), reconstruct),
        "--mask-inputs": (("model", "mask_inputs"), mask_inputs),
        "--arrangement": (("model", "arrangement"), arrangement),
        "--updates": (("training", "max_updates"), updates),
        "--learning-rate": (("training", "learning_rate"), learning_rate),
        "--loss": (("training", "loss"), loss),
        "--trim": (("training", "trim"), trim),
        "--seed": (("training", "seed"), seed),
        "--tune": (("tune", "trials"), tune),
        "--from": (("from",), _from(here, start)),
        "--freeze": (("freeze",), list(freeze) if freeze else None),
        "--out": (("out",), _from(here, out)),
        "--name": (("name",), name),
        "--version": (("version",), version),
        "--power": (("power",), power),
        "--report": (("report",), report),
        "--log": (("log",), _from(here, log)),
        "--no-log": (("log",), False if no_log else None),
        "--tensorboard": (("tensorboard",), _from(here, tensorboard)),
        "--mlflow": (("mlflow", "uri"), mlflow),
    }
    options = {option: (key, value) for option, (key, value) in given.items() if value is not None}
    train_models(
        load_training(file, overrides=overrides or (), options=options),
        start=CheckpointChoice(resume),
        is_dry_run=dry_run,
    )


def _file_and_data(config: Path | None, arguments: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Tell the configuration from the recordings. Raises: UsageError when there is neither."""
    if config is None and arguments and Path(arguments[0]).suffix.lower() in _YAML:
        config, arguments = Path(arguments[0]), arguments[1:]
    if config is None and not arguments:
        raise UsageError("expected recordings or a configuration file, got none; e.g. streamlstm train ward.csv")
    for argument in arguments:
        if Path(argument).suffix.lower() in _YAML:
            raise UsageError(f"{argument}: expected one configuration file, and recordings after it, got it among them")
    return config, list(arguments)


def _from(folder: Path | None, path: str | Path | None) -> str | None:
    """Return a path of the command line, which counts from where we are, for a file in whose folder others count."""
    if path is None or folder is None or str(path) == "-":
        return None if path is None else str(path)
    return str(folder / path)


def _names(listed: str | None) -> Plain:
    return None if listed is None else [name.strip() for name in listed.split(",")]
