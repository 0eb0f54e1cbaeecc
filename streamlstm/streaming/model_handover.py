"""The streams of one route: their states under the route's newest model, and under older ones that are draining.

When a route switches to another model (`switch_model`), every stream is handed to it:

1. Where the states mean the same to the new weights (`Detector.take_over`) they go on, and every stream is scored by
   the new model from its next sample on.
2. Otherwise the new model begins from nothing on every stream, and the old one drains: it goes on scoring its streams
   while the same samples warm the new one up. A stream goes over at the first sample that has a score under the new
   model; its score there is the new model's, and the draining model forgets it. A draining model without streams is
   dropped.

So no stream that has scores is ever without one, and each goes over once, at a sample that depends on its own samples
alone: not on batches, nor on other streams. A stream has at most two states, however many models have come by: that of
the draining model that scores it, and that of the newest one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import BundleError, SnapshotError
from streamlstm.kernels import NEVER
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.loaded import LoadedModel, find_model, read_model
from streamlstm.scoring.alert_tracker import AlertTracker
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.detector import Detector
from streamlstm.streaming.state_format import ModelState
from streamlstm.types import Scores

__all__ = ["RouteStreams", "ScoredSamples"]

_log = logging.getLogger(__name__)

_BUNDLE = "bundle"


@dataclass(frozen=True, slots=True)
class ScoredSamples:
    """Samples that one model scored; `rows` says which of those that were to be scored.

    Shapes: rows int64 [K], ascending; stream_ids [K]; event_time_ms int64 [K]; values float32 [K, C]; scores of K rows.
    """

    bundle: ModelBundle
    rows: NDArray[np.int64]
    stream_ids: Sequence[str]
    event_time_ms: NDArray[np.int64]
    values: NDArray[np.float32]
    scores: Scores

    def take(self, rows: NDArray[np.int64]) -> ScoredSamples:
        """Return some of them. Shapes: rows int64 [M], ascending."""
        if len(rows) == len(self.rows):
            return self
        return ScoredSamples(
            self.bundle,
            self.rows[rows],
            [self.stream_ids[row] for row in rows.tolist()],
            self.event_time_ms[rows],
            self.values[rows],
            self.scores.take(rows),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Draining:
    """An older model and the streams that it still scores."""

    model: LoadedModel
    detector: Detector


class RouteStreams:
    """States and alerts of a route's streams in one partition."""

    def __init__(
        self,
        pattern: str,
        model: LoadedModel,
        make_detector: Callable[[ModelBundle], Detector],
        policy: AlertPolicy,
    ) -> None:
        self.pattern = pattern
        self.model = model
        self._make_detector = make_detector
        self.detector = make_detector(model.bundle)
        self.tracker = AlertTracker.of(model.bundle, policy, self.detector.openings)
        self._draining: list[_Draining] = []
        self._oldest_ms = NEVER

    @property
    def draining(self) -> dict[str, int]:
        """Label of each older model, and how many streams it still scores."""
        return {old.model.label: len(old.detector.states) for old in self._draining}

    def score(
        self,
        stream_ids: Sequence[str],
        event_time_ms: NDArray[np.int64],
        values: NDArray[np.float32],
        marks: NDArray[np.int64],
    ) -> Iterator[ScoredSamples]:
        """Score samples in arrival order; yield each row once, older models first. `marks` come back with verdicts.

        Shapes: stream_ids [N]; event_time_ms, marks int64 [N]; values float32 [N, C].
        """
        self._oldest_ms = min(self._oldest_ms, int(event_time_ms.min()))
        newest = _scored(self.detector, np.arange(len(stream_ids)), stream_ids, event_time_ms, values, marks)
        has_score = ~np.isnan(newest.scores.score)
        rest = np.ones(len(stream_ids), bool)
        for old in list(self._draining):
            known = old.detector.states.slots
            rows = np.array([row for row, stream_id in enumerate(stream_ids) if stream_id in known], np.int64)
            if not len(rows):
                continue
            its_ids = [stream_ids[row] for row in rows.tolist()]
            scored = _scored(old.detector, rows, its_ids, event_time_ms[rows], values[rows], marks[rows])
            gone = _gone_over(its_ids, has_score[rows])
            stays = np.flatnonzero([place < gone.get(stream_id, len(rows)) for place, stream_id in enumerate(its_ids)])
            rest[rows[stays]] = False
            old.detector.states.release(gone)
            if not old.detector.states.slots:
                self._draining.remove(old)
                _log.info("%s: every stream of %s has switched to %s", self.pattern, old.model.label, self.model.label)
            if len(stays):
                yield scored.take(stays)
        if rest.any():
            yield newest.take(np.flatnonzero(rest))

    @property
    def oldest_ms(self) -> int:
        """No stream's last sample is older than this; that of some may be much newer."""
        return self._oldest_ms

    def release_older_than(self, event_time_ms: int) -> int:
        """Forget the streams whose last sample is older; return how many."""
        self._oldest_ms = max(self._oldest_ms, event_time_ms)
        for old in self._draining:
            old.detector.states.release_older_than(event_time_ms)
        self._draining = [old for old in self._draining if old.detector.states.slots]
        self.tracker.release_older_than(event_time_ms)
        return self.detector.states.release_older_than(event_time_ms)

    def switch_model(self, model: LoadedModel) -> str:
        """Hand the streams to another model; return a sentence about old, new and the streams."""
        old, count = _Draining(self.model, self.detector), len(self.detector.states)
        self.model, self.detector = model, self._make_detector(model.bundle)
        alerts = self.tracker.export_state()  # alerts that are open keep the id and the model that opened them
        self.tracker = AlertTracker.of(model.bundle, self.tracker.policy, self.detector.openings)
        self.tracker.import_state(alerts)
        if old.model.bundle.channels != model.bundle.channels:
            self._draining = []
            how = f"{count:,} streams warm up again: its channels are {_listed(model)}, not {_listed(old.model)}"
        elif self.detector.take_over(old.detector):
            how = f"the states of {count:,} streams are kept"
        else:
            elsewhere = {stream_id for old in self._draining for stream_id in old.detector.states.slots}
            old.detector.states.release(elsewhere)
            if old.detector.states.slots:
                self._draining.append(old)
            how = (
                f"{count:,} streams are re-warmed: {old.model.label} goes on scoring each until {model.label} has a "
                f"score for it ({model.bundle.calibration.warm_up} samples)"
            )
        return f"{old.model.label} -> {model.label} ({model.path or 'in memory'}): {how}"

    def export(self) -> list[ModelState]:
        """Return the states under the newest model and under those that are draining.

        A model travels with its state unless it is a version in a registry, which stays: a file may be overwritten.
        """
        states = [self._state(0, self.model, self.detector, self.tracker.export_state())]
        states += [self._state(n, old.model, old.detector, b"{}") for n, old in enumerate(self._draining, 1)]
        return states

    def restore(self, states: Sequence[ModelState], known: Mapping[str, LoadedModel], *, max_streams: int) -> None:
        """Restore what `export` returned, into empty state, under the models it names.

        `known` are models that are at hand already, by digest.
        Raises: SnapshotError when a model is nowhere, or a state does not fit its model.
        """
        for state in sorted(states, key=lambda state: state.rank):
            if len(state.streams) > max_streams:
                raise SnapshotError(
                    f"the snapshot holds {len(state.streams)} streams, and state.max_streams is {max_streams}; raise it"
                )
            model = self._find(state, known)
            if state.rank == 0 and model.digest == self.model.digest:
                detector = self.detector
            else:
                detector = self._make_detector(model.bundle)
            if state.isa != detector.isa:
                _log.warning(
                    "%s: the snapshot was written on %s, and this worker runs on %s: scores will be close to what they "
                    "would have been, not equal to the bit; STREAMLSTM_ISA and app.backend choose what runs",
                    model.label,
                    state.isa,
                    detector.isa,
                )
            detector.states.restore(state.streams, state.arrays)
            if state.rank:
                self._draining.append(_Draining(model, detector))
                continue
            self.model, self.detector = model, detector
            self.tracker = AlertTracker.of(model.bundle, self.tracker.policy, detector.openings)
            self.tracker.import_state(bytes(state.alerts))

    def _state(self, rank: int, model: LoadedModel, detector: Detector, alerts: bytes) -> ModelState:
        arrays = dict(detector.states.export())
        if rank or not model.is_versioned:
            arrays[_BUNDLE] = np.frombuffer(model.raw, np.uint8)
        return ModelState(
            match=self.pattern,
            rank=rank,
            label=model.label,
            digest=model.digest,
            path=str(model.path or ""),
            isa=detector.isa,
            streams=list(detector.states.slots),
            alerts=msgspec.Raw(alerts),
            arrays=arrays,
        )

    def _find(self, state: ModelState, known: Mapping[str, LoadedModel]) -> LoadedModel:
        if (model := known.get(state.digest)) is not None:
            return model
        try:
            if _BUNDLE in state.arrays:
                return read_model(np.asarray(state.arrays[_BUNDLE], np.uint8).tobytes())
            path = self.model.path or state.path
            model = find_model(path, state.digest)
        except BundleError as error:
            raise SnapshotError(f"the model {state.label} that it names cannot be loaded: {error}") from error
        if model is None:
            raise SnapshotError(
                f"it was written under {state.label} (digest {state.digest[:16]}…), which is neither {path} nor one "
                "of the versions beside it; put that version back"
            )
        return model


def _gone_over(stream_ids: Sequence[str], has_score: NDArray[np.bool_]) -> dict[str, int]:
    """Return the first place at which each stream has a score, if it has one."""
    first: dict[str, int] = {}
    for place in np.flatnonzero(has_score).tolist():
        first.setdefault(stream_ids[place], place)
    return first


def _scored(
    detector: Detector,
    rows: NDArray[np.int64],
    stream_ids: Sequence[str],
    event_time_ms: NDArray[np.int64],
    values: NDArray[np.float32],
    marks: NDArray[np.int64],
) -> ScoredSamples:
    scores = detector.score(stream_ids, event_time_ms, values, marks=marks)
    return ScoredSamples(detector.bundle, rows, stream_ids, event_time_ms, values, scores)


def _listed(model: LoadedModel) -> str:
    return ", ".join(model.bundle.channels)
