"""`run`: the worker daemon."""

from __future__ import annotations

import logging
import signal
import threading
from collections import Counter
from types import FrameType

import typer

from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.console.options import ConfigArgument, ConfigOption, SetOption

__all__ = ["run", "verb"]

_log = logging.getLogger(__name__)

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm run deploy/streamlstm.yaml --set app.id=icu --log-format json")
def run(
    config: ConfigArgument = None,
    config_option: ConfigOption = None,
    overrides: SetOption = None,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Run the worker: consume telemetry, publish scores and alerts, until SIGTERM or Ctrl-C."""
    from streamlstm.cli.console.configuration import configured
    from streamlstm.kernels import isa
    from streamlstm.wiring.worker import build_service

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
    counts = sum((pipeline.counts for pipeline in service.pipelines.values()), Counter[str]())
    if loaded.alerts.settled:
        _log.info(
            "judged one period later: %d alerts confirmed, outside the budget, and %d withdrawn",
            counts["alerts_confirmed"],
            counts["alerts_withdrawn"],
        )
    _log.info(
        "alerts of these partitions so far: %d opened, %d of them outside the budget, %d held back (budget: %s)",
        counts["alerts_open"],
        counts["alerts_outside_budget"],
        counts["alerts_held_back"],
        loaded.threshold.threshold().summary,
    )
    _log.info("stopped")
