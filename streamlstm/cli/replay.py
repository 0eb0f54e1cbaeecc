"""`replay`: recorded telemetry published to the configured log, at a chosen speed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.console.options import SetOption
from streamlstm.errors import UsageError
from streamlstm.recordings.time_unit import TimeUnit

__all__ = ["replay", "verb"]

_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""What Kafka takes as the name of a topic."""

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm replay ward.csv --to deploy/streamlstm.yaml --speed 60")
def replay(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A recording, a folder or a pattern (docs/data.md).")],
    to: Annotated[
        Path, typer.Option("--to", metavar="CONFIG", help="The configuration that names the log and the topic.")
    ],
    topic: Annotated[str | None, typer.Option(help="The topic; by default the first source's.")] = None,
    ts_unit: Annotated[TimeUnit, typer.Option(help="The unit of numeric time stamps.")] = "s",
    speed: Annotated[
        float, typer.Option(min=0, help="How many times as fast as real time; 0 is as fast as possible.")
    ] = 1.0,
    samples_per_record: Annotated[
        int, typer.Option(min=1, help="Samples in each record; more than one makes packed frames.")
    ] = 1,
    overrides: SetOption = None,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Publish recorded telemetry in the order of event time."""
    from streamlstm.cli.console.progress import ProgressBar
    from streamlstm.config import load_config
    from streamlstm.jobs.publishing import publish_series
    from streamlstm.recordings.reading import read_series
    from streamlstm.wiring.transports import open_publisher

    configure_logging(log_format)
    config = load_config(to, overrides or ())
    target = config.sources[0].topics[0] if topic is None else topic
    if not _TOPIC_NAME.fullmatch(target):
        whose = "the first source's pattern " if topic is None else ""
        raise UsageError(f"--topic: expected a name of letters, digits, '.', '_' and '-', got {whose}{target!r}")
    series = read_series(file, ts_unit=ts_unit)
    publisher = open_publisher(config)
    try:
        with ProgressBar("replay") as progress:
            for done, total in publish_series(
                publisher, target, series, speed=speed, samples_per_record=samples_per_record
            ):
                progress.update(done, total, f"to {target}")
    finally:
        publisher.close()
