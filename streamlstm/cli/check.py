"""`check`: everything about a worker that can be checked without starting it."""

from __future__ import annotations

import json
import logging
from typing import Annotated

import typer

from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.console.options import ConfigArgument, ConfigOption, SetOption
from streamlstm.cli.console.output import print_result
from streamlstm.errors import StreamLstmError

__all__ = ["check", "verb"]

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm check deploy/streamlstm.yaml")
def check(
    config: ConfigArgument = None,
    config_option: ConfigOption = None,
    overrides: SetOption = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the configuration's JSON Schema and exit.")] = False,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Validate the configuration, the bundles and access to the log, without starting."""
    from streamlstm.cli.console.configuration import configured
    from streamlstm.config import json_schema
    from streamlstm.wiring.transports import check_log
    from streamlstm.wiring.worker import load_routes

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
