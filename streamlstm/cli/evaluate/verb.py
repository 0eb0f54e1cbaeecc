"""`evaluate`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.recordings.time_unit import TimeUnit

__all__ = ["evaluate", "verb"]

verb = typer.Typer(add_completion=False)


@verb.command(
    epilog="Example: streamlstm evaluate ward.csv --labels faults.csv --out evaluation. "
    "docs/detection.md explains every measure."
)
def evaluate(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="The benchmark's folder (sets of NPZ files with labels, and nab), one set of it; or recordings: "
            "files, folders, patterns.",
            show_default=False,
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="What was wrong in the recordings: stream_id,start,end.", show_default=False),
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME", help="Only this set of the benchmark; may repeat.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="BUNDLE",
            help="Score the same rows with this model too, beside those trained here.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Train with so many seeds, and show their spread.")
    ] = 1,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Processes to share the work; one a processor by default.", show_default=False
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Take about a minute: the two smallest series of each set, fewer rows.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for scores of every series and results.json.", show_default=False),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the results as JSON.", show_default=False)
    ] = None,
    ts_unit: Annotated[TimeUnit, typer.Option(help="The unit of numeric time stamps.")] = "s",
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Measure how well anomalies are found: train on each warm-up, score the rest as the worker does, judge it.

    Every series of the benchmark has a model of its own. Your own recordings share one, as with train; their warm-up is
    the first third, or train_len of an NPZ. All models are trained with the default options.
    """
    import logging

    from streamlstm.cli.evaluate.evaluation import Request, evaluate_data

    configure_logging(log_format, level=logging.WARNING)
    evaluate_data(
        Request(
            data=tuple(data),
            labels=labels,
            sets=tuple(sets or ()),
            against=against,
            seeds=seeds,
            jobs=jobs,
            is_quick=quick,
            out=out,
            json_file=json_file,
            ts_unit=ts_unit,
        )
    )
