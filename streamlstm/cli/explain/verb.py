"""`explain`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.console.options import milliseconds
from streamlstm.cli.console.output import check_file_target
from streamlstm.cli.score.verb import BudgetSpan
from streamlstm.errors import UsageError
from streamlstm.recordings.time_unit import TimeUnit

__all__ = ["explain", "verb"]

verb = typer.Typer(add_completion=False)


@verb.command(
    epilog="Example: streamlstm explain vitals.safetensors ward.csv --stream ward3/bed7 --at 2026-11-21T01:20:30Z "
    "--out why.html"
)
def explain(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The model bundle (.safetensors).")],
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="The recording, a folder or a pattern (docs/data.md); - is standard input."
        ),
    ],
    at: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Event time of the sample: RFC 3339 (without a zone, UTC), or a number of --ts-unit."
        ),
    ],
    stream: Annotated[
        str | None, typer.Option(metavar="ID", help="The stream, where the recording has several.")
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            help="How much before the time is shown, and a quarter as much after: samples, or 5m, or 2 periods. "
            "By default two and a half periods, or 240 samples where the model knows no period.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The page, one HTML file; without it only the sentence is printed.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="A CSV of stream_id,start,end: what a person has labelled, to be drawn.")
    ] = None,
    ts_unit: Annotated[
        TimeUnit, typer.Option(help="The unit of numeric time stamps, also in --at and --labels.")
    ] = "s",
    false_alarms: Annotated[float, typer.Option(help="The budget of false alarms for each stream and day.")] = 0.2,
    per: Annotated[BudgetSpan, typer.Option(help="What the budget is counted by.")] = BudgetSpan.DAY,
    reset_after: Annotated[
        float, typer.Option(help="Seconds of silence after which a stream's state starts again; 0 means never.")
    ] = 0.0,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Say why the detector spoke at a time, or did not, and draw what it saw and expected.

    The recording is replayed up to that time through the worker's own path.
    """
    from streamlstm.cli.explain.answer import Question, answer
    from streamlstm.scoring.delays import Delay
    from streamlstm.scoring.thresholds import Threshold
    from streamlstm.types import GapPolicy

    configure_logging(log_format)
    if out is not None:
        inputs = {"model bundle": bundle, "data": Path(file)} | ({"labels": labels} if labels else {})
        check_file_target(out, inputs=inputs)
    span: Delay | None = None
    if window is not None:
        from streamlstm.config.values import delay_of

        try:
            span = delay_of(int(window) if window.isdecimal() else window)
        except ValueError as error:
            raise UsageError(f"--window: {error}, got {window!r}") from error
    answer(
        bundle,
        file,
        Question(at, stream, span, ts_unit),
        labels=labels,
        out=out,
        gaps=GapPolicy(reset_after_ms=milliseconds("--reset-after", reset_after)),
        threshold=Threshold.of(false_alarms, per=per.value),
    )
