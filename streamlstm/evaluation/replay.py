"""The one loop over a recording: a detector scores it, and alerts are followed, as in service.

Whatever the size of a chunk, the scores and alerts are the same to the bit. What is held at a time is one chunk's
scores; a detector that sees a stream before and after each sample is given the rows all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.recording import Recording
from streamlstm.model.bundles.base import BundleBase
from streamlstm.scoring.alert_tracker import AlertTracker
from streamlstm.scoring.alerts import Alert, AlertPolicy
from streamlstm.scoring.budget import OpeningBudget
from streamlstm.types import Position, Scores

__all__ = ["CHUNK_ROWS", "ScoredChunk", "Scorer", "put_settled", "replay"]

CHUNK_ROWS = 4096
"""As many rows as a detector scores at a time; more would not make it faster."""


class Scorer(Protocol):
    """A detector of either kind."""

    @property
    def bundle(self) -> BundleBase:
        """The model, whose channels and label the scores have."""

    @property
    def openings(self) -> OpeningBudget | None:
        """What the alerts of each stream may come to; None = no bound."""

    @property
    def needs_whole_series(self) -> bool:
        """Whether a score depends on samples after its own, so that nothing is carried from one call to the next."""

    def score(
        self,
        stream_ids: Sequence[str],
        event_times_ms: NDArray[np.int64],
        values: NDArray[np.float32],
        *,
        marks: NDArray[np.int64] | None = None,
    ) -> Scores:
        """Score samples in order of arrival; streams may be mixed. `marks` come back with verdicts, if any do."""


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """Rows `begin` to `end` of a recording with their scores, and every alert that changed as (row, alert).

    Rows of alerts count from `begin`; marks of verdicts are rows of the recording. `held_back` runs would have opened
    an alert and were held back by the budget.
    """

    begin: int
    end: int
    samples: Recording
    scores: Scores
    positions: Sequence[Position]
    alerts: Sequence[tuple[int, Alert]]
    held_back: int = 0

    @property
    def opened(self) -> list[int]:
        """Rows of the recording at which alerts opened."""
        return [self.begin + row for row, alert in self.alerts if alert.revision == 1]


def replay(
    scorer: Scorer,
    recording: Recording,
    *,
    begin: int = 0,
    end: int | None = None,
    alerts: AlertPolicy | None,
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[ScoredChunk]:
    """Score rows `begin` to `end` of a recording, chunk by chunk, and follow their alerts from none that is open.

    A detector goes on from the state that it has, so that a recording may be replayed in parts. No chunk holds a
    multiple of `chunk_rows` within it, wherever the part begins. `alerts` None: there are none.
    """
    stop = len(recording) if end is None else end
    inner = [] if scorer.needs_whole_series else range(-(-begin // chunk_rows) * chunk_rows, stop, chunk_rows)
    tracker = None if alerts is None else AlertTracker.of(scorer.bundle, alerts, scorer.openings)
    for first, last in pairwise(sorted({begin, *inner, stop})):
        rows = slice(first, last)
        part = Recording(
            source=recording.source,
            stream_ids=recording.stream_ids[rows],
            event_time_ms=np.ascontiguousarray(recording.event_time_ms[rows]),
            values=np.ascontiguousarray(recording.values[rows]),
            rows=recording.rows[rows],
        )
        marks = np.arange(first, last, dtype=np.int64)
        scores = scorer.score(part.stream_ids, part.event_time_ms, part.values, marks=marks)
        positions = [Position(part.source, 0, row) for row in part.rows.tolist()]
        changes: list[tuple[int, Alert]] = []
        held_before = held_back = 0
        if tracker is not None:
            held_before = tracker.held_back
            changes += tracker.update(part.stream_ids, part.event_time_ms, part.values, scores, positions)
            held_back = tracker.held_back
        yield ScoredChunk(first, last, part, scores, positions, changes, held_back - held_before)


def put_settled(scores: Scores, settled: NDArray[np.float64]) -> None:
    """Put the verdicts that a chunk brings where their samples are. Shapes: settled [rows of the recording]."""
    if scores.settled is not None:
        brings = ~np.isnan(scores.settled.settled)
        settled[scores.settled.mark[brings]] = scores.settled.settled[brings]
