"""`score`: its options."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.console.options import milliseconds
from streamlstm.cli.console.output import check_target
from streamlstm.errors import UsageError
from streamlstm.recordings.time_unit import TimeUnit

__all__ = ["ScoreFormat", "score", "verb"]


class ScoreFormat(StrEnum):
    """How scores are written."""

    CSV = "csv"
    JSONL = "jsonl"


verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm score vitals.safetensors ward.csv --out scores.csv --alerts alerts.jsonl")
def score(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The model bundle (.safetensors).")],
    file: Annotated[
        str,
        typer.Argument(
            metavar="[FILE or -]", help="A recording, a folder or a pattern (docs/data.md); - is standard input."
        ),
    ] = "-",
    out: Annotated[Path | None, typer.Option(help="The file for scores; standard output by default.")] = None,
    ts_unit: Annotated[TimeUnit, typer.Option(help="The unit of numeric time stamps.")] = "s",
    alerts: Annotated[Path | None, typer.Option(help="The file for alerts, as JSON lines.")] = None,
    score_format: Annotated[
        ScoreFormat, typer.Option("--format", help="CSV, or score records as JSON lines.")
    ] = ScoreFormat.CSV,
    false_alarms: Annotated[float, typer.Option(help="The budget of false alarms for each stream and day.")] = 0.2,
    reset_after: Annotated[
        float, typer.Option(help="Seconds of silence after which a stream's state starts again; 0 means never.")
    ] = 0.0,
    open_after: Annotated[
        int, typer.Option(min=1, help="How many samples in a row above the threshold open an alert.")
    ] = 2,
    resolve_after: Annotated[int, typer.Option(min=1, help="How many samples in a row below it resolve one.")] = 5,
    refractory: Annotated[
        float, typer.Option(help="Seconds after an alert during which only a worse one opens.")
    ] = 30.0,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Score a recording, row by row and causally, and show where alerts would have opened.

    A whole-window model (train --arrangement) scores it in windows instead.
    """
    from streamlstm.cli.score.recording import score_recording
    from streamlstm.scoring.alerts import AlertPolicy
    from streamlstm.scoring.thresholds import Threshold
    from streamlstm.types import GapPolicy

    configure_logging(log_format)
    gaps = GapPolicy(reset_after_ms=milliseconds("--reset-after", reset_after))
    policy = AlertPolicy(
        open_after=open_after,
        resolve_after=resolve_after,
        refractory_ms=milliseconds("--refractory", refractory),
    )
    for option, target in (("--out", out), ("--alerts", alerts)):
        if target:
            check_target(option, target, inputs={"model bundle": bundle, "data": Path(file)})
    if out and alerts and out.absolute() == alerts.absolute():
        raise UsageError(f"--alerts: {alerts} is the file of --out; choose another")
    score_recording(
        bundle,
        file,
        out=out,
        alerts=alerts,
        ts_unit=ts_unit,
        is_csv=score_format is ScoreFormat.CSV,
        gaps=gaps,
        threshold=Threshold(false_alarms),
        policy=policy,
    )
