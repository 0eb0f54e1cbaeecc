"""Scores as CSV: a line for each sample in its order, written when its verdict is known or can no longer come."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.cli.console.output import OutputStream
from streamlstm.evaluation.recording import Recording
from streamlstm.evaluation.replay import ScoredChunk, put_settled
from streamlstm.streaming.encoders import rfc3339
from streamlstm.types import Status

__all__ = ["ScoresCsv"]


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines of rows `begin` to `begin` + N of the recording up to `settled`, which is to come."""

    begin: int
    texts: Sequence[str]
    has_score: NDArray[np.bool_]


class ScoresCsv:
    """Writes the chunks of one recording. A line waits until its sample is settled; the lines after it wait for it.

    It waits no longer where nothing more can settle it: its stream has no sample left, or one after it is settled.
    """

    def __init__(self, out: OutputStream, recording: Recording) -> None:
        self._out = out
        self._settled = np.full(len(recording), np.nan)
        _, self._streams = np.unique(recording.stream_ids, return_inverse=True)
        streams = int(self._streams.max(initial=-1)) + 1
        self._last_row = np.zeros(streams, np.int64)
        np.maximum.at(self._last_row, self._streams, np.arange(len(recording)))
        self._last_settled = np.full(streams, -1)
        self._alerting: set[str] = set()
        self._waiting: deque[_Lines] = deque()
        out.write("row,stream_id,ts,score,p_value,status,alert,settled\n")

    def write(self, chunk: ScoredChunk) -> None:
        """Take the next chunk, and write what need not wait any more."""
        self._waiting.append(_Lines(chunk.begin, self._texts(chunk), ~np.isnan(chunk.scores.score)))
        put_settled(chunk.scores, self._settled)
        if chunk.scores.settled is None:
            self._write_first(len(self._waiting))
            return
        marks = chunk.scores.settled.mark[~np.isnan(chunk.scores.settled.settled)]
        np.maximum.at(self._last_settled, self._streams[marks], marks)
        done = 0
        while done < len(self._waiting) and not self._waits(self._waiting[done], chunk.end):
            done += 1
        self._write_first(done)

    def close(self) -> None:
        """Write what still waits."""
        self._write_first(len(self._waiting))

    def _waits(self, lines: _Lines, end: int) -> bool:
        rows = np.arange(lines.begin, lines.begin + len(lines.texts))
        streams = self._streams[rows]
        may_come = (self._last_row[streams] >= end) & (self._last_settled[streams] < rows)
        return bool((lines.has_score & np.isnan(self._settled[rows]) & may_come).any())

    def _write_first(self, count: int) -> None:
        for _ in range(count):
            lines = self._waiting.popleft()
            settled = self._settled[lines.begin : lines.begin + len(lines.texts)].tolist()
            ends = ("\n" if math.isnan(verdict) else f"{verdict:.6f}\n" for verdict in settled)
            self._out.write("".join(text + end for text, end in zip(lines.texts, ends, strict=True)))

    def _texts(self, chunk: ScoredChunk) -> list[str]:
        labels = [status.label for status in Status]
        columns = zip(
            chunk.samples.rows.tolist(),
            chunk.samples.stream_ids,
            rfc3339(chunk.samples.event_time_ms),
            chunk.scores.score.tolist(),
            chunk.scores.p_value.tolist(),
            chunk.scores.status.tolist(),
            self._alert_column(chunk),
            strict=True,
        )
        return [
            f"{row},{_quoted(stream)},{ts},,,{labels[status]},{int(alert)},"
            if score != score
            else f"{row},{_quoted(stream)},{ts},{score:.6f},{p_value:.6g},{labels[status]},{int(alert)},"
            for row, stream, ts, score, p_value, status, alert in columns
        ]

    def _alert_column(self, chunk: ScoredChunk) -> list[bool]:
        """Say by row whether its stream has an open alert, the row that opens it included."""
        times = chunk.samples.event_time_ms.tolist()
        changed = {
            row: alert.state == "open"
            for row, alert in chunk.alerts
            if alert.state == "open" or alert.is_resolved_at(times[row])
        }
        column = []
        for row, stream_id in enumerate(chunk.samples.stream_ids):
            if row in changed:
                (self._alerting.add if changed[row] else self._alerting.discard)(stream_id)
            column.append(stream_id in self._alerting)
        return column


def _quoted(text: str) -> str:
    if any(c in text for c in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text
