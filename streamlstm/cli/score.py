"""`score`: a file or standard input through the worker's own detector and alerts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from streamlstm.cli.app import app
from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.console.options import milliseconds
from streamlstm.cli.console.output import OutputStream, check_target, open_output
from streamlstm.cli.console.progress import ProgressBar
from streamlstm.errors import DataError, UsageError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.window import WindowBundle, is_window_bundle
from streamlstm.recordings.reading import Series, TimeUnit, read_series
from streamlstm.scoring.alerts import Alert, AlertPolicy, AlertTracker
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.thresholds import Threshold
from streamlstm.scoring.windows.detector import WindowDetector
from streamlstm.streaming.encoders import alert_record, encode, rfc3339, score_records
from streamlstm.types import GapPolicy, Position, Scores, Status

__all__ = ["ScoreFormat", "score"]

_CHUNK = 16_384


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
    detector, rows_together = _detector(bundle, gaps, Threshold(false_alarms))
    model = detector.bundle
    table = _Table.of(read_series(file, ts_unit=ts_unit), model.channels, source=file)
    tracker = AlertTracker(policy, model=model.label, channels=model.channels)
    opened = 0
    with (
        open_output(out) as scores_out,
        open_output(alerts) if alerts else nullcontext() as alerts_out,
        ProgressBar("score") as progress,
    ):
        if score_format is ScoreFormat.CSV:
            scores_out.write("row,stream_id,ts,score,p_value,status,alert\n")
        for part in table.chunks(rows_together or max(len(table.rows), 1)):
            was_open = {stream_id: tracker.is_open(stream_id) for stream_id in set(part.stream_ids)}
            scores = detector.score(part.stream_ids, part.event_time_ms, part.values)
            positions = [Position(file, 0, int(row)) for row in part.rows]
            changes = list(tracker.update(part.stream_ids, part.event_time_ms, part.values, scores, positions))
            opened += sum(1 for _, alert in changes if alert.revision == 1)
            if score_format is ScoreFormat.CSV:
                _write_csv(scores_out, part, scores, _alert_column(part.stream_ids, was_open, changes))
            else:
                every = np.arange(len(part.rows))
                for record in score_records(
                    every, part.stream_ids, part.event_time_ms, scores, model.channels, model.label, positions
                ):
                    scores_out.write(encode(record).decode() + "\n")
            if alerts_out:
                for _, alert in changes:
                    alerts_out.write(encode(alert_record(alert)).decode() + "\n")
            progress.update(part.end, len(table.rows), f"{opened} alerts")


def _detector(
    bundle: Path, gaps: GapPolicy, threshold: Threshold
) -> tuple[Detector, int] | tuple[WindowDetector, None]:
    """Load a bundle of either kind; also say how many rows are scored at a time, None = all, for whole windows."""
    if is_window_bundle(bundle):
        return WindowDetector(WindowBundle.load(bundle), gaps=gaps, threshold=threshold), None
    return Detector(ModelBundle.load(bundle), gaps=gaps, threshold=threshold), _CHUNK


@dataclass(frozen=True, slots=True)
class _Table:
    """Rows of a file in their order there, with the model's channels."""

    rows: NDArray[np.int64]
    stream_ids: list[str]
    event_time_ms: NDArray[np.int64]
    values: NDArray[np.float32]
    end: int = 0

    @classmethod
    def of(cls, series: Sequence[Series], channels: Sequence[str], *, source: str) -> _Table:
        columns = []
        for one in series:
            known = [one.channels.index(c) if c in one.channels else None for c in channels]
            if all(index is None for index in known):
                raise DataError(f"{source}: expected channels {list(channels)}, got {list(one.channels)}")
            values = np.full((len(one.values), len(channels)), np.nan, np.float32)
            for c, index in enumerate(known):
                if index is not None:
                    values[:, c] = one.values[:, index]
            columns.append(values)
        rows = np.concatenate([one.rows for one in series])
        order = np.argsort(rows, kind="stable")
        ids = np.repeat(np.arange(len(series)), [len(one.values) for one in series])[order]
        names = [one.stream_id for one in series]
        return cls(
            rows=rows[order],
            stream_ids=[names[i] for i in ids.tolist()],
            event_time_ms=np.concatenate([one.event_time_ms for one in series])[order],
            values=np.concatenate(columns)[order],
        )

    def chunks(self, size: int) -> Iterator[_Table]:
        for begin in range(0, len(self.rows), size):
            part = slice(begin, begin + size)
            end = min(begin + size, len(self.rows))
            yield _Table(self.rows[part], self.stream_ids[part], self.event_time_ms[part], self.values[part], end)


def _alert_column(
    stream_ids: Sequence[str], was_open: dict[str, bool], changes: Sequence[tuple[int, Alert]]
) -> list[bool]:
    """Say by row whether its stream has an open alert, the row that opens it included."""
    changed = {row: alert.state == "open" for row, alert in changes}
    column = []
    for row, stream_id in enumerate(stream_ids):
        if row in changed:
            was_open[stream_id] = changed[row]
        column.append(was_open[stream_id])
    return column


def _write_csv(out: OutputStream, part: _Table, scores: Scores, is_open: Sequence[bool]) -> None:
    labels = [status.label for status in Status]
    columns = zip(
        part.rows.tolist(),
        part.stream_ids,
        rfc3339(part.event_time_ms),
        scores.score.tolist(),
        scores.p_value.tolist(),
        scores.status.tolist(),
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


def _quoted(text: str) -> str:
    if any(c in text for c in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text
