"""A recording scored: chunk by chunk to CSV or JSON lines, and its alerts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from streamlstm.cli.console.output import OutputStream, open_output
from streamlstm.cli.console.progress import ProgressBar
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

__all__ = ["score_recording"]

_log = logging.getLogger(__name__)

_MS_PER_DAY = 86_400_000


def score_recording(
    bundle: Path,
    file: str,
    *,
    out: Path | None,
    alerts: Path | None,
    ts_unit: TimeUnit,
    is_csv: bool,
    gaps: GapPolicy,
    threshold: Threshold,
    policy: AlertPolicy,
) -> None:
    """Write scores to `out`, None = standard output, and alerts to `alerts`. Raises: StreamLstmError."""
    detector = _detector(bundle, gaps, threshold)
    model = detector.bundle
    recording = Recording.of_series(read_series(file, ts_unit=ts_unit), model.channels, source=file)
    opened = held_back = 0
    alerting: set[str] = set()
    with (
        open_output(out) as scores_out,
        open_output(alerts) if alerts else nullcontext() as alerts_out,
        ProgressBar("score") as progress,
    ):
        if is_csv:
            scores_out.write("row,stream_id,ts,score,p_value,status,alert\n")
        for chunk in replay(detector, recording, alerts=policy):
            opened += len(chunk.opened)
            held_back += chunk.held_back
            if is_csv:
                _write_csv(scores_out, chunk, _alert_column(chunk, alerting))
            else:
                _write_records(scores_out, chunk, model)
            if alerts_out:
                for _, alert in chunk.alerts:
                    alerts_out.write(encode(alert_record(alert)).decode() + "\n")
            progress.update(chunk.end, len(recording), f"{opened} alerts")
    _log.info(
        "%d alerts opened in %.3g stream-days, %d more were held back (budget: %s)",
        opened,
        _stream_days(recording),
        held_back,
        threshold.summary,
    )


def _stream_days(recording: Recording) -> float:
    """Return the event time from the first to the last sample of each stream, added up."""
    _, streams = np.unique(recording.stream_ids, return_inverse=True)
    times = recording.event_time_ms
    first, last = np.full(streams.max() + 1, times.max()), np.full(streams.max() + 1, times.min())
    np.minimum.at(first, streams, times)
    np.maximum.at(last, streams, times)
    return float((last - first).sum()) / _MS_PER_DAY


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
