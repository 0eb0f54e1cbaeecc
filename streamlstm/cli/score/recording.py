"""A recording scored: chunk by chunk to CSV or JSON lines, and its alerts."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np

from streamlstm.cli.console.output import OutputStream, open_output
from streamlstm.cli.console.progress import ProgressBar
from streamlstm.cli.score.report import Reporter, ReportFiles
from streamlstm.cli.score.scores_csv import ScoresCsv
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
from streamlstm.streaming.encoders import SettledRecord, alert_record, encode, score_records, settled_records
from streamlstm.types import GapPolicy, TopicPartition

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
    report: ReportFiles | None = None,
) -> None:
    """Write scores to `out`, None = standard output, alerts to `alerts`, and a page. Raises: StreamLstmError."""
    detector = _detector(bundle, gaps, threshold)
    model = detector.bundle
    recording = Recording.of_series(read_series(file, ts_unit=ts_unit), model.channels, source=file)
    reporter = None
    if report is not None and isinstance(detector, Detector):
        reporter = Reporter(report, recording, detector, policy, ts_unit=ts_unit)
    opened = held_back = 0
    judged: dict[str, str] = {}
    with (
        open_output(out) as scores_out,
        open_output(alerts) if alerts else nullcontext() as alerts_out,
        ProgressBar("score") as progress,
    ):
        table = ScoresCsv(scores_out, recording) if is_csv else None
        for chunk in replay(detector, recording, alerts=policy):
            opened += len(chunk.opened)
            held_back += chunk.held_back
            judged |= {alert.alert_id: alert.settled for _, alert in chunk.alerts if alert.settled is not None}
            if table is not None:
                table.write(chunk)
            else:
                _write_records(scores_out, chunk, model, recording if policy.settled else None)
            if alerts_out:
                for _, alert in chunk.alerts:
                    alerts_out.write(encode(alert_record(alert)).decode() + "\n")
            if reporter is not None:
                reporter.tally.add(chunk)
            progress.update(chunk.end, len(recording), f"{opened} alerts")
        if table is not None:
            table.close()
    if policy.settled:
        verdicts = Counter(judged.values())
        _log.info(
            "judged one period later: %d alerts confirmed, outside the budget, and %d withdrawn",
            verdicts["confirmed"],
            verdicts["withdrawn"],
        )
    _log.info(
        "%d alerts opened in %.3g stream-days, %d more were held back (budget: %s)",
        opened,
        _stream_days(recording),
        held_back,
        threshold.summary,
    )
    if reporter is not None:
        reporter.write(held_back=held_back, stream_days=_stream_days(recording))


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
    return Detector(ModelBundle.load(bundle), gaps=gaps, threshold=threshold, settled=True)


def _write_records(out: OutputStream, chunk: ScoredChunk, model: BundleBase, settled_of: Recording | None) -> None:
    """Write score records, each before the settled record of a sample of `settled_of` that it brings, if any."""
    samples, every = chunk.samples, np.arange(len(chunk.samples))
    records = score_records(
        every, samples.stream_ids, samples.event_time_ms, chunk.scores, model.channels, model.label, chunk.positions
    )
    verdicts: dict[int, SettledRecord] = {}
    if settled_of is not None and (settled := chunk.scores.settled) is not None:
        brings = np.flatnonzero(~np.isnan(settled.settled))
        in_file = replace(settled, mark=settled_of.rows[settled.mark])
        partition = TopicPartition(samples.source, 0)
        found = settled_records(brings, samples.stream_ids, in_file, model.label, partition)
        verdicts = dict(zip(brings.tolist(), found, strict=True))
    for row, record in enumerate(records):
        out.write(encode(record).decode() + "\n")
        if row in verdicts:
            out.write(encode(verdicts[row]).decode() + "\n")
