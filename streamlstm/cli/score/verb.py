"""`score`: its options."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.console.options import milliseconds
from streamlstm.cli.console.output import check_file_target, check_target
from streamlstm.errors import UsageError
from streamlstm.recordings.time_unit import TimeUnit

if TYPE_CHECKING:
    from streamlstm.scoring.delays import Delay

__all__ = ["BudgetSpan", "ScoreFormat", "score", "verb"]


class ScoreFormat(StrEnum):
    """How scores are written."""

    CSV = "csv"
    JSONL = "jsonl"


class BudgetSpan(StrEnum):
    """What a budget of false alarms is counted by."""

    DAY = "day"
    HOUR = "hour"


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
    per: Annotated[BudgetSpan, typer.Option(help="What the budget is counted by.")] = BudgetSpan.DAY,
    reset_after: Annotated[
        float, typer.Option(help="Seconds of silence after which a stream's state starts again; 0 means never.")
    ] = 0.0,
    open_after: Annotated[
        str, typer.Option(help="How long above the threshold opens an alert: samples, or 30s, or 0.5 periods.")
    ] = "2",
    resolve_after: Annotated[str, typer.Option(help="How long below it resolves one, likewise.")] = "5",
    refractory: Annotated[
        str, typer.Option(help="How long after an alert only a worse one opens, likewise; a number alone is seconds.")
    ] = "30s and 32 samples",
    settled: Annotated[
        bool,
        typer.Option(
            "--settled",
            help="Judge alerts one period later; those that are confirmed are outside the budget. "
            "JSON lines hold settled records too.",
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="An HTML page: streams from first to last row, and what was expected around their alerts."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="A CSV of stream_id,start,end, to be drawn in the report.")
    ] = None,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Score a recording, row by row and causally, and show where alerts would have opened.

    A whole-window model (train --arrangement) scores it in windows instead.
    """
    from streamlstm.cli.score.recording import score_recording
    from streamlstm.cli.score.report import ReportFiles
    from streamlstm.scoring.alerts import AlertPolicy
    from streamlstm.scoring.thresholds import Threshold
    from streamlstm.types import GapPolicy

    configure_logging(log_format)
    gaps = GapPolicy(reset_after_ms=milliseconds("--reset-after", reset_after))
    policy = AlertPolicy(
        open_after=_delay("--open-after", open_after),
        resolve_after=_delay("--resolve-after", resolve_after),
        refractory=_delay("--refractory", refractory, is_seconds=True),
        settled=settled,
    )
    for option, target in (("--out", out), ("--alerts", alerts)):
        if target:
            check_target(option, target, inputs={"model bundle": bundle, "data": Path(file)})
    if out and alerts and out.absolute() == alerts.absolute():
        raise UsageError(f"--alerts: {alerts} is the file of --out; choose another")
    if labels and not report:
        raise UsageError("--labels: only the page shows them; add --report FILE.html")
    if report:
        _check_report(report, bundle, file, labels, others={"--out": out, "--alerts": alerts})
    score_recording(
        bundle,
        file,
        out=out,
        alerts=alerts,
        ts_unit=ts_unit,
        is_csv=score_format is ScoreFormat.CSV,
        gaps=gaps,
        threshold=Threshold.of(false_alarms, per=per.value),
        policy=policy,
        report=None if report is None else ReportFiles(report, labels),
    )


def _check_report(
    report: Path, bundle: Path, file: str, labels: Path | None, *, others: dict[str, Path | None]
) -> None:
    """Refuse a page that cannot be made before anything is scored. Raises: UsageError."""
    from streamlstm.model.bundles.window import is_window_bundle

    inputs = {"model bundle": bundle, "data": Path(file)} | ({"labels": labels} if labels else {})
    check_file_target(report, inputs=inputs, option="--report")
    for option, other in others.items():
        if other and other.absolute() == report.absolute():
            raise UsageError(f"--report: {report} is the file of {option}; choose another")
    if is_window_bundle(bundle):
        raise UsageError("--report: expected a model that scores sample by sample, got a whole-window model")


def _delay(option: str, text: str, *, is_seconds: bool = False) -> Delay:
    """Read a wait; a number alone is samples, or seconds. Raises: UsageError."""
    from streamlstm.config.values import delay_of
    from streamlstm.scoring.delays import Delay

    try:
        if is_seconds:
            with suppress(ValueError):
                return Delay(ms=milliseconds(option, float(text)))
        return delay_of(int(text) if text.isdecimal() else text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}, got {text!r}") from error
