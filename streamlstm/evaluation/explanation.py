"""What a detector saw and expected of one stream over some rows, and what in its score spoke.

The recording is replayed up to the last of the rows, through the detector that serves and with its alerts, so that
every number is the one that the worker had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.gates import LayerGates, trace_gates
from streamlstm.evaluation.recording import Recording
from streamlstm.evaluation.replay import ScoredChunk, put_settled, replay
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.recordings.labels import Span
from streamlstm.scoring.alerts import Alert, AlertPolicy
from streamlstm.scoring.branches.known import branches_of, network_residuals_of, state_of
from streamlstm.scoring.budget import OpeningBudget
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.forward import Forward
from streamlstm.scoring.state import StreamStates
from streamlstm.types import Scores, Settled

__all__ = ["Explanation", "Window", "explain"]


@dataclass(frozen=True, slots=True)
class Window:
    """Rows `begin` to `end` of a recording of one stream, and the row among them that is asked about."""

    begin: int
    end: int
    at: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """A window of W rows of one stream.

    `at` is the row within the window that is asked about. `alerts` are those that touch the window, as they stood where
    the last of the windows that were asked for ends; `labels` the spans that a person gave. `branches` says which of
    the `parts` are of each branch. `gates` are by layer, none where they were not asked for.

    Shapes: event_time_ms int64 [W]; values, expected float32 [W, C] in the channels' units; usual float32 [C], the root
    mean square of the forecast's error on clean data, in the same units; score, p_value, settled float64 [W],
    NaN = none; status uint8 [W]; contribution float32 [W, C]; said float64 [W, parts], what each part added to the
    surprise.
    """

    model: str
    stream_id: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    at: int
    event_time_ms: NDArray[np.int64]
    values: NDArray[np.float32]
    expected: NDArray[np.float32]
    usual: NDArray[np.float32]
    score: NDArray[np.float64]
    settled: NDArray[np.float64]
    p_value: NDArray[np.float64]
    status: NDArray[np.uint8]
    contribution: NDArray[np.float32]
    said: NDArray[np.float64]
    parts: tuple[str, ...]
    branches: Mapping[str, slice]
    alerts: tuple[Alert, ...]
    labels: tuple[Span, ...] = ()
    gates: tuple[LayerGates, ...] = ()

    def share_of_branches(self) -> NDArray[np.float64]:
        """Return how much of the surprise each branch made [W, branches]; 0 where nothing was said."""
        sums = np.stack([self.said[:, parts].sum(axis=1) for parts in self.branches.values()], axis=1)
        total = sums.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(sums, total, out=np.zeros_like(sums), where=total > 0))

    @property
    def open_alerts(self) -> list[Alert]:
        """The alerts that were open at the row that is asked about, in the order in which they opened."""
        time = int(self.event_time_ms[self.at])
        return [
            alert
            for alert in self.alerts
            if alert.detected_at <= time and (alert.resolved_at is None or time < alert.resolved_at)
        ]


def explain(
    detector: Detector,
    recording: Recording,
    windows: Sequence[Window],
    *,
    policy: AlertPolicy,
    labels: Sequence[Span] = (),
    has_gates: bool = False,
    on_chunk: Callable[[ScoredChunk], None] | None = None,
) -> list[Explanation]:
    """Replay a recording of one stream, from its first row, and keep what lies in the windows.

    The replay ends a little after the last window, where its rows are settled; or, with `on_chunk`, which is given
    every chunk, at the end of the recording.
    State: the detector holds no streams yet, and in the end those of the recording. What is held at a time is one
    chunk's scores, beside the windows.
    """
    watched = _Watched(detector, {window.begin for window in windows} if has_gates else set())
    rows = {window: _Rows([], []) for window in windows}
    alerts: dict[str, Alert] = {}
    last = max((window.end for window in windows), default=0)
    end = len(recording) if on_chunk else min(last + detector.settled_samples, len(recording))
    settled = np.full(end, np.nan)
    for chunk in replay(watched, recording, end=end, alerts=policy):
        alerts.update((alert.alert_id, alert) for row, alert in chunk.alerts if chunk.begin + row < last)
        put_settled(chunk.scores, settled)
        if on_chunk is not None:
            on_chunk(chunk)
        for window, kept in rows.items():
            inside = slice(max(window.begin - chunk.begin, 0), max(window.end - chunk.begin, 0))
            if len(chunk.scores.score[inside]):
                kept.scores.append(chunk.scores.take(np.arange(len(chunk.scores.score))[inside]))
                kept.said.append(watched.said[inside])
    return [
        _explanation(
            detector, recording, window, kept, settled, alerts.values(), labels, watched.states.get(window.begin)
        )
        for window, kept in rows.items()
    ]


@dataclass(frozen=True, slots=True)
class _Rows:
    """What was kept of a window, chunk by chunk."""

    scores: list[Scores]
    said: list[NDArray[np.float64]]


class _Watched:
    """A detector that keeps what its parts said of the last samples, and its states before some rows."""

    needs_whole_series = False

    def __init__(self, detector: Detector, starts: set[int]) -> None:
        self.states: dict[int, Mapping[str, NDArray[Any]]] = {}
        self.said = np.empty((0, len(detector.parts)))
        self._detector, self._starts = detector, starts
        self._seen = 0

    @property
    def bundle(self) -> ModelBundle:
        return self._detector.bundle

    @property
    def openings(self) -> OpeningBudget | None:
        return self._detector.openings

    def score(
        self,
        stream_ids: Sequence[str],
        event_times_ms: NDArray[np.int64],
        values: NDArray[np.float32],
        *,
        marks: NDArray[np.int64] | None = None,
    ) -> Scores:
        """Score samples, in parts that begin where the states are wanted: scores do not depend on it."""
        inner = {start - self._seen for start in self._starts if self._seen < start < self._seen + len(values)}
        ends = sorted({len(values), *inner})
        scores, said, begin = list[Scores](), list[NDArray[np.float64]](), 0
        for end in ends:
            if self._seen + begin in self._starts:
                self.states[self._seen + begin] = self._detector.states.export()
            rows = slice(begin, end)
            found = self._detector.score_by_part(
                stream_ids[rows], event_times_ms[rows], values[rows], marks=None if marks is None else marks[rows]
            )
            scores.append(found[0])
            said.append(found[1])
            begin = end
        self._seen += len(values)
        self.said = np.concatenate(said)
        return _joined(scores)


def _joined(parts: Sequence[Scores]) -> Scores:
    return Scores(
        score=np.concatenate([part.score for part in parts]),
        p_value=np.concatenate([part.p_value for part in parts]),
        status=np.concatenate([part.status for part in parts]),
        expected=np.concatenate([part.expected for part in parts]),
        contribution=np.concatenate([part.contribution for part in parts]),
        settled=_joined_verdicts([part.settled for part in parts if part.settled is not None]),
    )


def _joined_verdicts(parts: Sequence[Settled]) -> Settled | None:
    if not parts:
        return None
    return Settled(
        settled=np.concatenate([part.settled for part in parts]),
        score=np.concatenate([part.score for part in parts]),
        event_time_ms=np.concatenate([part.event_time_ms for part in parts]),
        mark=np.concatenate([part.mark for part in parts]),
    )


def _explanation(
    detector: Detector,
    recording: Recording,
    window: Window,
    kept: _Rows,
    settled: NDArray[np.float64],
    alerts: Iterable[Alert],
    labels: Sequence[Span],
    states: Mapping[str, NDArray[Any]] | None,
) -> Explanation:
    bundle, rows = detector.bundle, slice(window.begin, window.end)
    values = np.ascontiguousarray(recording.values[rows])
    times, scores, stream_id = recording.event_time_ms[rows], _joined(kept.scores), recording.stream_ids[window.begin]
    first, last = int(times[0]), int(times[-1])
    usual = network_residuals_of(bundle).scales[1] * bundle.standardizer.scale
    return Explanation(
        model=bundle.label,
        stream_id=stream_id,
        channels=bundle.channels,
        units=bundle.units or ("",) * len(bundle.channels),
        at=window.at - window.begin,
        event_time_ms=times,
        values=values,
        expected=scores.expected,
        usual=usual.astype(np.float32),
        score=scores.score,
        settled=settled[rows],
        p_value=scores.p_value,
        status=scores.status,
        contribution=scores.contribution,
        said=np.concatenate(kept.said),
        parts=tuple(detector.parts),
        branches=detector.branch_parts,
        alerts=tuple(
            alert
            for alert in alerts
            if alert.started_at <= last and (alert.resolved_at is None or alert.resolved_at >= first)
        ),
        labels=tuple(
            span for span in labels if span.stream_id == stream_id and span.begin_ms <= last and span.end_ms >= first
        ),
        gates=() if states is None else _gates(detector, states, stream_id, times, values),
    )


def _gates(
    detector: Detector,
    exported: Mapping[str, NDArray[Any]],
    stream_id: str,
    times: NDArray[np.int64],
    values: NDArray[np.float32],
) -> tuple[LayerGates, ...]:
    bundle = detector.bundle
    forward = Forward(bundle.network, bundle.standardizer)
    pieces = state_of(branches_of(bundle))
    states = StreamStates(bundle.network.architecture, forward.weights, pieces, max_streams=16)
    if len(exported["ages"]):
        states.restore([stream_id], exported)
    return trace_gates(forward, states, stream_id, times, values, detector.gaps).layers
