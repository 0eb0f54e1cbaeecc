"""The answer: the stream and the rows that are asked about, replayed, and written as a sentence and a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamlstm.cli.console.output import print_note, print_result
from streamlstm.errors import UsageError
from streamlstm.evaluation.explanation import Window, explain
from streamlstm.evaluation.recording import Recording
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.window import is_window_bundle
from streamlstm.recordings.labels import event_time, labelled_spans
from streamlstm.recordings.reading import TimeUnit, read_series
from streamlstm.recordings.series import Series
from streamlstm.reporting.explanation.page import render_explanation, write_page
from streamlstm.reporting.explanation.verdict import clock_time, verdict_of
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.delays import Delay
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.thresholds import Threshold
from streamlstm.types import GapPolicy

__all__ = ["Question", "answer"]

_PERIODS, _ROWS = 2.5, 240
_MOST_ROWS = 20_000
"""Of a window: its page has some megabytes then, and more is what `score --report` is for."""
_LISTED = 5


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a time as it was written, a stream where there are several, and how much before it is shown."""

    at: str
    stream: str | None
    window: Delay | None
    ts_unit: TimeUnit


def answer(
    bundle: Path,
    file: str,
    question: Question,
    *,
    labels: Path | None,
    out: Path | None,
    gaps: GapPolicy,
    threshold: Threshold,
) -> None:
    """Print the sentence, and write the page to `out`. Raises: StreamLstmError."""
    if is_window_bundle(bundle):
        raise UsageError(f"{bundle}: expected a model that scores sample by sample, got a whole-window model")
    detector = Detector(ModelBundle.load(bundle), gaps=gaps, threshold=threshold, max_streams=16, settled=True)
    series = _stream(read_series(file, ts_unit=question.ts_unit), question.stream, file)
    recording = Recording.of_series([series], detector.bundle.channels, source=file)
    window = _window(recording, question, detector.bundle)
    spans = labelled_spans(labels, ts_unit=question.ts_unit) if labels else []
    [found] = explain(detector, recording, [window], policy=AlertPolicy(), labels=spans, has_gates=out is not None)
    print_result(f"{found.stream_id}: {' '.join(verdict_of(found).split())}")  # plain spaces for a terminal
    if out is not None:
        write_page(out, render_explanation(found))
        print_note(f"wrote {out}")


def _stream(series: Sequence[Series], wanted: str | None, file: str) -> Series:
    names = [one.stream_id for one in series]
    listed = ", ".join(map(repr, names[:_LISTED])) + (
        f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    )
    if wanted is None and len(series) > 1:
        raise UsageError(f"{file}: expected one stream, got {listed}; name one with --stream")
    if wanted is not None and wanted not in names:
        raise UsageError(f"--stream: expected one of {listed}, got {wanted!r}")
    return series[0 if wanted is None else names.index(wanted)]


def _window(recording: Recording, question: Question, bundle: ModelBundle) -> Window:
    """Return the rows to show. Raises: UsageError for a time outside the recording."""
    times = recording.event_time_ms
    try:
        at_ms = event_time(question.at, ts_unit=question.ts_unit)
    except (ValueError, OverflowError):
        expected = f"a time such as 2026-11-21T01:20:30Z, or a number of {question.ts_unit}"
        raise UsageError(f"--at: expected {expected}, got {question.at!r}") from None
    first, last = int(times.min()), int(times.max())
    if not first <= at_ms <= last:
        raise UsageError(
            f"--at: expected a time from {clock_time(first)} to {clock_time(last)}, which the recording of "
            f"{recording.stream_ids[0]!r} spans, got {question.at!r}"
        )
    at = int(np.flatnonzero(times <= at_ms)[-1])
    before, after = _rows(recording, question.window, bundle, at)
    if before + after > _MOST_ROWS:
        raise UsageError(f"--window: expected at most {_MOST_ROWS:,} samples in all, got {before + after:,}")
    return Window(max(at - before, 0), min(at + after + 1, len(recording)), at)


def _rows(recording: Recording, window: Delay | None, bundle: ModelBundle, at: int) -> tuple[int, int]:
    """Return how many rows before and after the one that is asked about are shown."""
    period = bundle.period_rows
    if window is None:
        before = min(int(_PERIODS * period), _MOST_ROWS // 2) if period else _ROWS
        return before, before // 4
    wanted, times = window.in_samples(period or _ROWS), recording.event_time_ms
    by_time = at - int(np.searchsorted(times[: at + 1], times[at] - wanted.ms)) if wanted.ms else 0
    after = int(np.searchsorted(times[at:], times[at] + wanted.ms // 4, side="right")) - 1 if wanted.ms else 0
    return max(wanted.samples, by_time), max(wanted.samples // 4, after)
