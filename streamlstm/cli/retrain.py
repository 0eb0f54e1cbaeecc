"""`retrain` and `models`: the retraining job, and what it has published."""

from __future__ import annotations

import os
import platform
import signal
import sys
import time
from datetime import UTC, datetime
from types import FrameType
from typing import Annotated

import msgspec
import typer

from streamlstm.cli.app import app
from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.console.output import print_result
from streamlstm.cli.console.progress import ProgressBar
from streamlstm.cli.run import ConfigArgument, ConfigOption, SetOption, configured
from streamlstm.config import Config
from streamlstm.config.retraining import Retrain
from streamlstm.errors import UsageError
from streamlstm.jobs.retraining.job import retrain as run_job
from streamlstm.model.bundles.registry import Registry
from streamlstm.training.trainer import TrainingProgress
from streamlstm.wiring.retraining import retraining_options
from streamlstm.wiring.transports import open_history

__all__ = ["models", "retrain"]


@app.command(epilog="Example: streamlstm retrain deploy/streamlstm.yaml --set retrain.from=-14d")
def retrain(
    config: ConfigArgument = None,
    config_option: ConfigOption = None,
    overrides: SetOption = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; retrain.name by default.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and plan only: train nothing, publish nothing and take no lock.")
    ] = False,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Train on recent telemetry, and publish the model if it is better than the one in use.

    The job reads the worker's own topics by time, outside its group, and writes one line of JSON to standard output.
    It exits with 0 when it is done, published or not; with 1 when it failed, or another job holds the model's lock; and
    with 2 for a mistake in the configuration.
    """
    configure_logging(log_format)
    loaded = configured(config, config_option, [*(overrides or ()), *([f"retrain.name={name}"] if name else ())])
    section = _section(loaded)
    options = retraining_options(loaded, section, now_ms=time.time_ns() // 1_000_000)
    signal.signal(signal.SIGTERM, _end)
    reader = open_history(loaded)
    try:
        with ProgressBar("retrain") as progress:

            def on_progress(at: TrainingProgress) -> None:
                losses = f"loss {at.loss:.4f}, validation {at.validation_loss:.4f}"
                progress.update(at.update, at.of, f"{losses}, {at.seconds_left:.0f} s left")

            outcome = run_job(
                options,
                reader,
                Registry(section.registry),
                holder=_holder(),
                on_progress=on_progress,
                dry_run=dry_run,
            )
    except KeyboardInterrupt:
        print("interrupted; nothing was published", file=sys.stderr)
        sys.exit(130)
    finally:
        reader.close()
    print_result(msgspec.json.encode(outcome).decode())


@app.command(epilog="Example: streamlstm models deploy/streamlstm.yaml --rollback")
def models(
    config: ConfigArgument = None,
    config_option: ConfigOption = None,
    overrides: SetOption = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; retrain.name by default.")] = None,
    promote: Annotated[
        int | None, typer.Option(metavar="VERSION", min=1, help="Make this version the champion.")
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Make the previous champion the champion again.")
    ] = False,
) -> None:
    """List the versions that retraining has published, or go back to one of them."""
    section = _section(configured(config, config_option, overrides))
    registry, model = Registry(section.registry), name or section.name
    if rollback and promote is not None:
        raise UsageError("expected one of --rollback and --promote, got both")
    if rollback or promote is not None:
        if not registry.versions(model):
            raise UsageError(f"{section.registry}: there is no model {model!r} yet; streamlstm retrain makes one")
        with registry.lock(model, _holder()):
            if promote is not None:
                registry.promote(model, promote)
            else:
                registry.rollback(model)
    marks = {registry.previous(model): "previous", registry.champion(model): "champion"}
    for version in registry.versions(model):
        print_result(f"{model}@{version}  {marks.get(version, ''):<8}  {registry.path(model, version)}")


def _section(config: Config) -> Retrain:
    if config.retrain is None:
        raise UsageError(
            "expected a section retrain in the configuration, got none; the least is "
            "retrain: {registry: ./models, name: vitals}"
        )
    return config.retrain


def _holder() -> str:
    since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"process {os.getpid()} on {platform.node()} since {since}"


def _end(number: int, _frame: FrameType | None) -> None:
    """End at once, as Ctrl-C does: whatever was under way is undone or has not begun."""
    print(f"{signal.Signals(number).name}: ending; nothing half-written is left", file=sys.stderr)
    sys.exit(128 + number)
