"""`run` and `check`: the worker daemon, and everything about it that can be checked without starting it."""

from __future__ import annotations

import json
import logging
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from streamlstm.cli.app import app
from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.console.output import print_result
from streamlstm.config import Config, json_schema, load_config
from streamlstm.errors import StreamLstmError, UsageError
from streamlstm.kernels import isa
from streamlstm.wiring.transports import check_log
from streamlstm.wiring.worker import build_service, load_routes

__all__ = ["ConfigArgument", "ConfigOption", "SetOption", "check", "configured", "run"]

_log = logging.getLogger(__name__)

ConfigArgument = Annotated[
    Path | None, typer.Argument(metavar="CONFIG", help="The YAML configuration.", show_default=False)
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The YAML configuration, as an option.", show_default=False)
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override one key of the configuration; may repeat.")
]


def configured(argument: Path | None, option: Path | None, overrides: list[str] | None) -> Config:
    """Load the configuration given as argument or option. Raises: UsageError, ConfigError."""
    path = argument or option
    if path is None:
        raise UsageError("expected a configuration file, got none; e.g. streamlstm run deploy/streamlstm.yaml")
    return load_config(path, overrides or ())


@app.command(epilog="Example: streamlstm run deploy/streamlstm.yaml --set app.id=icu --log-format json")
def run(
    config: ConfigArgument = None,
    config_option: ConfigOption = None,
    overrides: SetOption = None,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Run the worker: consume telemetry, publish scores and alerts, until SIGTERM or Ctrl-C."""
    configure_logging(log_format)
    loaded = configured(config, config_option, overrides)
    service = build_service(loaded)
    stop = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        _log.info("%s: finishing the round, committing, leaving the group", signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    where = loaded.kafka.bootstrap_servers if loaded.kafka else f"local log {loaded.local and loaded.local.path}"
    _log.info("streamlstm %s: %s, %d model(s), %s", loaded.app.id, where, len(loaded.models), loaded.guarantee)
    app, states = loaded.app, loaded.state.dtype
    _log.info("network steps on %s (%s), threads: %d, states in %s", isa(), app.backend, app.threads, states)
    service.worker.run(stop.is_set)
    _log.info("stopped")


@app.command(epilog="Example: streamlstm check deploy/streamlstm.yaml")
def check(
    config: ConfigArgument = None,
    config_option: ConfigOption = None,
    overrides: SetOption = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the configuration's JSON Schema and exit.")] = False,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Validate the configuration, the bundles and access to the log, without starting."""
    configure_logging(log_format, level=logging.ERROR)
    if schema:
        print_result(json.dumps(json_schema(), indent=2))
        return
    loaded = configured(config, config_option, overrides)
    print_result(f"ok    configuration {config or config_option}")
    is_good = True
    try:
        for route in load_routes(loaded).routes:
            bundle = route.model.bundle
            print_result(f"ok    model {bundle.label} for {route.pattern}: {len(bundle.channels)} channels")
    except StreamLstmError as error:
        print_result(f"FAIL  model: {error}")
        is_good = False
    for finding in check_log(loaded):
        print_result(f"{'ok  ' if finding.is_good else 'FAIL'}  {finding.subject}: {finding.detail}")
        is_good &= finding.is_good
    raise typer.Exit(0 if is_good else 1)
