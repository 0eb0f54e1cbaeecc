"""`score`: a file or standard input through the worker's own detector and alerts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from streamlstm.cli.app import app
from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.console.options import milliseconds
from streamlstm.cli.console.output import OutputStream, check_target, open_output
from streamlstm.cli.console.progress import ProgressBar
from streamlstm.errors import UsageError
from streamlstm.evaluation.recording import Recording
from streamlstm.evaluation.replay import ScoredChunk, replay
from streamlstm.model.bundles.base import BundleBase
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.window import WindowBundle, is_window_bundle
from streamlstm.recordings.reading import TimeUnit, read_series
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.thresholds import Threshold
from streamlstm.scoring.windows.detector import WindowDetector
from streamlstm.streaming.encoders import alert_record, encode, rfc3339, score_records
from streamlstm.types import GapPolicy, Status

__all__ = ["ScoreFormat", "score"]


class ScoreFormat(StrEnum):
    """How scores are written."""

    CSV = "csv"
    JSONL = "jsonl"


@app.command(epilog="Example: streamlstm score vitals.safetensors ward.csv --out scores.csv --alerts alerts.jsonl")
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
    detector = _detector(bundle, gaps, Threshold(false_alarms))
    model = detector.bundle
    recording = Recording.of_series(read_series(file, ts_unit=ts_unit), model.channels, source=file)
    opened = 0
    alerting: set[str] = set()
    with (
        open_output(out) as scores_out,
        open_output(alerts) if alerts else nullcontext() as alerts_out,
        ProgressBar("score") as progress,
    ):
        if score_format is ScoreFormat.CSV:
            scores_out.write("row,stream_id,ts,score,p_value,status,alert\n")
        for chunk in replay(detector, recording, alerts=policy):
            opened += len(chunk.opened)
            if score_format is ScoreFormat.CSV:
                _write_csv(scores_out, chunk, _alert_column(chunk, alerting))
            else:
                _write_records(scores_out, chunk, model)
            if alerts_out:
                for _, alert in chunk.alerts:
                    alerts_out.write(encode(alert_record(alert)).decode() + "\n")
            progress.update(chunk.end, len(recording), f"{opened} alerts")


def _detector(bundle: Path, gaps: GapPolicy, threshold: Threshold) -> Detector | WindowDetector:
    """Load a bundle of either kind."""
    if is_window_bundle(bundle):
        return WindowDetector(WindowBundle.load(bundle), gaps=gaps, threshold=threshold)
    return Detector(ModelBundle.load(bundle), gaps=gaps, threshold=threshold)


def _alert_column(chunk: ScoredChunk, alerting: set[str]) -> list[bool]:
    """Say by row whether its stream has an open alert, the row that opens it included.

    `alerting` are the streams that have one, before the chunk and, on return, after it.
    """
    changed = {row: alert.state == "open" for row, alert in chunk.alerts}
    column = []
    for row, stream_id in enumerate(chunk.samples.stream_ids):
        if row in changed:
            (alerting.add if changed[row] else alerting.discard)(stream_id)
        column.append(stream_id in alerting)
    return column


def _write_csv(out: OutputStream, chunk: ScoredChunk, is_open: Sequence[bool]) -> None:
    labels = [status.label for status in Status]
    columns = zip(
        chunk.samples.rows.tolist(),
        chunk.samples.stream_ids,
        rfc3339(chunk.samples.event_time_ms),
        chunk.scores.score.tolist(),
        chunk.scores.p_value.tolist(),
        chunk.scores.status.tolist(),
        is_open,
        strict=True,
    )
    lines = (
        f"{row},{_quoted(stream)},{ts},,,{labels[status]},{int(alert)}\n"
        if score != score
        else f"{row},{_quoted(stream)},{ts},{score:.6f},{p_value:.6g},{labels[status]},{int(alert)}\n"
        for row, stream, ts, score, p_value, status, alert in columns
    )
    out.write("".join(lines))


def _write_records(out: OutputStream, chunk: ScoredChunk, model: BundleBase) -> None:
    samples, every = chunk.samples, np.arange(len(chunk.samples))
    for record in score_records(
        every, samples.stream_ids, samples.event_time_ms, chunk.scores, model.channels, model.label, chunk.positions
    ):
        out.write(encode(record).decode() + "\n")


def _quoted(text: str) -> str:
    if any(c in text for c in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text
