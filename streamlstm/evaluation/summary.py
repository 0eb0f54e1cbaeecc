"""A scored recording as a page shows it: the foremost streams as a whole, and the rows around their alerts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from streamlstm.evaluation.explanation import Explanation, Window, explain
from streamlstm.evaluation.overview import Overview, StreamTally, Tally, rows_of_stream
from streamlstm.evaluation.recording import Recording
from streamlstm.recordings.labels import Span
from streamlstm.scoring.alerts import Alert, AlertPolicy
from streamlstm.scoring.detector import Detector

__all__ = ["StreamSummary", "summarise_streams"]

_STREAMS = 6
_LEAST_MARGIN, _MOST_MARGIN, _MOST_ROWS = 60, 600, 2000


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """One stream; `windows` are around its strongest alerts, in the order of time."""

    tally: StreamTally
    overview: Overview
    labels: tuple[Span, ...]
    windows: tuple[Explanation, ...]


def summarise_streams(
    make_detector: Callable[[], Detector],
    recording: Recording,
    tally: Tally,
    *,
    policy: AlertPolicy,
    labels: Sequence[Span] = (),
) -> list[StreamSummary]:
    """Replay the foremost streams of a recording once more, each alone, through detectors like the one that scored it.

    Scores and alerts are the same again, since they depend on the stream alone; nothing of the first run need be held.
    """
    found = []
    for one in tally.foremost(_STREAMS):
        stream = rows_of_stream(recording, one.stream_id)
        overview = Overview(stream)
        windows = explain(
            make_detector(),
            stream,
            _windows(stream, list(one.strongest.values())),
            policy=policy,
            labels=labels,
            on_chunk=overview.add,
        )
        overview.close()
        its_labels = tuple(span for span in labels if span.stream_id == one.stream_id)
        found.append(StreamSummary(one, overview, its_labels, tuple(windows)))
    return found


def _windows(stream: Recording, alerts: Sequence[Alert]) -> list[Window]:
    """Return the rows around alerts, the strongest first where two share rows: what one window shows needs no other."""
    newest = np.maximum.accumulate(stream.event_time_ms)  # samples that came late stand among others
    windows: list[Window] = []
    for alert in sorted(alerts, key=lambda one: -one.peak.score):
        first = int(np.searchsorted(newest, alert.started_at))
        end = len(newest) if alert.resolved_at is None else int(np.searchsorted(newest, alert.resolved_at))
        margin = int(np.clip(2 * (end - first), _LEAST_MARGIN, _MOST_MARGIN))
        peak = min(int(np.searchsorted(newest, alert.peak.ts)), len(newest) - 1)
        begin = max(first - margin, peak - _MOST_ROWS // 2, 0)
        window = Window(begin, min(end + margin, begin + _MOST_ROWS, len(newest)), peak)
        if not any(one.begin <= peak < one.end for one in windows):
            windows.append(window)
    return sorted(windows, key=lambda one: one.begin)
