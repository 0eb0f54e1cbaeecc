"""A long recording in few numbers: what each stream came to, and extremes of stretches of one stream's rows.

Memory does not grow with rows: a stream is a few numbers and its strongest alerts, an overview so many stretches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streamlstm.evaluation.recording import Recording
from streamlstm.evaluation.replay import ScoredChunk
from streamlstm.scoring.alerts import Alert

__all__ = ["Overview", "StreamTally", "Tally", "rows_of_stream"]

_STRETCHES = 400
_KEPT_ALERTS = 4


@dataclass(slots=True)
class StreamTally:
    """What a stream came to; `strongest` are the alerts of the highest peaks, as they stood at the end, by id."""

    stream_id: str
    rows: int = 0
    opened: int = 0
    highest: float = float("-inf")
    strongest: dict[str, Alert] = field(default_factory=dict)

    def keep(self, alert: Alert) -> None:
        """Take an alert, or the next revision of one."""
        self.strongest[alert.alert_id] = alert
        if len(self.strongest) > _KEPT_ALERTS:
            del self.strongest[min(self.strongest.values(), key=lambda one: one.peak.score).alert_id]


class Tally:
    """Counts chunk by chunk what the streams of a recording come to."""

    def __init__(self, recording: Recording) -> None:
        names, self._codes = np.unique(recording.stream_ids, return_inverse=True)
        self.streams = [StreamTally(str(name)) for name in names]
        self._by_name = {one.stream_id: one for one in self.streams}

    def add(self, chunk: ScoredChunk) -> None:
        """Take the next chunk."""
        codes, score = self._codes[chunk.begin : chunk.end], chunk.scores.score
        highest = np.full(len(self.streams), -np.inf)
        np.fmax.at(highest, codes, score)
        for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
            self.streams[code].rows += int(count)
            self.streams[code].highest = max(self.streams[code].highest, float(highest[code]))
        for _, alert in chunk.alerts:
            stream = self._by_name[alert.stream_id]
            stream.opened += alert.revision == 1
            stream.keep(alert)

    def foremost(self, most: int) -> list[StreamTally]:
        """Return the streams with the most alerts, and of equal ones those of the highest scores."""
        return sorted(self.streams, key=lambda one: (-one.opened, -one.highest, one.stream_id))[:most]


class Overview:
    """The rows of one stream as K stretches, each with what was lowest and highest in it.

    Shapes: event_time_ms int64 [K], of the first row of each; low, high, expected_low, expected_high float32 [K, C],
    NaN where there is nothing; score, settled float64 [K], the highest, NaN where there is none; under_alert bool [K].
    """

    def __init__(self, recording: Recording) -> None:
        rows, shape = len(recording), (min(len(recording), _STRETCHES), recording.values.shape[1])
        self._starts = np.arange(shape[0]) * rows // shape[0]
        self.event_time_ms = recording.event_time_ms[self._starts]
        self.low, self.high = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
        self.expected_low, self.expected_high = self.low.copy(), self.low.copy()
        self.score = np.full(shape[0], np.nan)
        self.settled = np.full(shape[0], np.nan)
        self.under_alert = np.zeros(shape[0], np.bool_)
        self._last_ms = int(recording.event_time_ms[-1])
        self._open: dict[str, int] = {}

    def add(self, chunk: ScoredChunk) -> None:
        """Take the next chunk of the stream."""
        rows = np.arange(chunk.begin, chunk.end)
        stretch = np.searchsorted(self._starts, rows, side="right") - 1
        held, begins = np.unique(stretch, return_index=True)
        for low, high, came in (
            (self.low, self.high, chunk.samples.values),
            (self.expected_low, self.expected_high, chunk.scores.expected),
        ):
            low[held] = np.fmin(low[held], np.fmin.reduceat(came, begins, axis=0))
            high[held] = np.fmax(high[held], np.fmax.reduceat(came, begins, axis=0))
        self.score[held] = np.fmax(self.score[held], np.fmax.reduceat(chunk.scores.score, begins))
        if chunk.scores.settled is not None:
            verdicts = chunk.scores.settled
            brings = ~np.isnan(verdicts.settled)
            at = np.searchsorted(self._starts, verdicts.mark[brings], side="right") - 1
            np.fmax.at(self.settled, at, verdicts.settled[brings])
        for _, alert in chunk.alerts:
            self._open[alert.alert_id] = alert.started_at
            if alert.resolved_at is not None:
                self._shade(self._open.pop(alert.alert_id), alert.resolved_at)

    def close(self) -> None:
        """Shade what is still under alert at the end."""
        for started_at in self._open.values():
            self._shade(started_at, self._last_ms + 1)
        self._open = {}

    def _shade(self, start_ms: int, end_ms: int) -> None:
        first = max(int(np.searchsorted(self.event_time_ms, start_ms, side="right")) - 1, 0)
        self.under_alert[first : max(int(np.searchsorted(self.event_time_ms, end_ms)), first + 1)] = True


def rows_of_stream(recording: Recording, stream_id: str) -> Recording:
    """Return the rows of one stream; where the recording has no other they are not copied."""
    chosen = np.flatnonzero(np.array([one == stream_id for one in recording.stream_ids]))
    if len(chosen) == len(recording):
        return recording
    ids: Sequence[str] = [stream_id] * len(chosen)
    return Recording(
        recording.source, ids, recording.event_time_ms[chosen], recording.values[chosen], recording.rows[chosen]
    )
