"""`demo`: its options."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging

__all__ = ["demo", "verb"]

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm demo --data ward.csv")
def demo(
    data: Annotated[str | None, typer.Option(metavar="FILE", help="Use a recording instead of the simulation.")] = None,
    kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Run on this broker instead of a local file.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep bundles, log and configuration in this folder.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed for the simulation and for training.")] = 1,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Train on the clean part of telemetry, run the worker on the rest, and report which faults it found."""
    from streamlstm.cli.demo.service import show_service

    configure_logging(log_format, level=logging.WARNING)
    show_service(data, kafka, keep, seed)
