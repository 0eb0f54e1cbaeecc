"""One input partition, from records to outputs: decode, route, score, alert, encode.

Outputs come in the order of the samples that caused them, so they do not depend on how records were batched: this is
what replay rests on.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.alerts import Alert, AlertPolicy
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.forward import Backend
from streamlstm.scoring.state import StateDtype
from streamlstm.scoring.thresholds import Threshold
from streamlstm.streaming.decoding.columns import to_columns
from streamlstm.streaming.decoding.json_fast import DecodedSample, JsonDecoder, Reason, Rejection, dead_letter
from streamlstm.streaming.encoders import alert_record, encode, score_records
from streamlstm.streaming.model_handover import RouteStreams, ScoredRows
from streamlstm.streaming.routing import Router
from streamlstm.streaming.state_format import decode_state, encode_state
from streamlstm.types import GapPolicy, Output, Position, Record, Scores, Status, TopicPartition

__all__ = ["PartitionPipeline", "PipelineOptions", "ScoresPublished"]

_log = logging.getLogger(__name__)


class ScoresPublished(StrEnum):
    """Which score records go out."""

    ALL = "all"
    ANOMALOUS = "anomalous"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """How a partition's samples are treated and where outputs go."""

    gaps: GapPolicy = field(default_factory=GapPolicy)
    threshold: Threshold = field(default_factory=Threshold)
    alerts: AlertPolicy = field(default_factory=AlertPolicy)
    scores: ScoresPublished = ScoresPublished.ALL
    prefix: str = "streamlstm."
    period_ms: float | None = None
    """Sampling period of the streams; the bundle's own when None."""
    max_streams: int = 1_000_000
    threads: int = 1
    state_dtype: StateDtype = "float32"
    backend: Backend = "fused"


class PartitionPipeline:
    """The state of one partition's streams and what advances it. Implements `PartitionProcessor`."""

    def __init__(
        self, partition: TopicPartition, router: Router, decoder: JsonDecoder, options: PipelineOptions
    ) -> None:
        self.partition = partition
        self.counts: Counter[str] = Counter()
        self._router = router
        self._decoder = decoder
        self._options = options
        self._routes: dict[str, int | None] = {}
        self._models = [
            RouteStreams(route.pattern, route.model, self._make_detector, options.alerts) for route in router.routes
        ]
        self._opened_alert = False

    def _make_detector(self, bundle: ModelBundle) -> Detector:
        options = self._options
        return Detector(
            bundle,
            gaps=options.gaps,
            threshold=options.threshold,
            period_s=None if options.period_ms is None else options.period_ms / 1000,
            max_streams=options.max_streams,
            threads=options.threads,
            state_dtype=options.state_dtype,
            backend=options.backend,
        )

    @property
    def opened_alert(self) -> bool:
        """Whether the last `process` opened an alert."""
        return self._opened_alert

    @property
    def open_alerts(self) -> list[Alert]:
        """Alerts of this partition that are open now."""
        return [alert for model in self._models for alert in model.tracker.open_alerts]

    @property
    def streams(self) -> int:
        """Streams held."""
        return sum(len(model.detector.states) for model in self._models)

    def process(self, records: Sequence[Record]) -> list[Output]:
        """Advance by records in offset order; return scores, alerts and dead letters in the samples' order."""
        self._opened_alert = False
        decoded = self._decoder.decode(records)
        self.counts["records"] += len(records)
        rejections = list(decoded.rejected)
        groups: list[list[DecodedSample]] = [[] for _ in self._models]
        for sample in decoded.samples:
            route = self._route(sample.stream_id)
            if route is None:
                rejections.append(
                    _rejection(sample, Reason.NO_MODEL, f"no model's pattern matches {sample.stream_id!r}")
                )
            else:
                groups[route].append(sample)
        placed: list[tuple[int, int, Output]] = []  # offset, order within the record, output
        for model, samples in zip(self._models, groups, strict=True):
            if samples:
                self._score(model, samples, placed, rejections)
        for rejection in _first_of_each_record(rejections):
            self.counts[f"dead_letters_{rejection.reason}"] += 1
            letter = dead_letter(rejection, f"{self._options.prefix}dlq")
            placed.append((rejection.record.offset, _LAST, letter))
        placed.sort(key=lambda item: item[:2])
        return [output for _, _, output in placed]

    def _score(
        self,
        model: RouteStreams,
        samples: list[DecodedSample],
        placed: list[tuple[int, int, Output]],
        rejections: list[Rejection],
    ) -> None:
        samples = self._admit_streams(model, samples, rejections)
        if not samples:
            return
        channels = model.detector.bundle.channels
        values, unknown = to_columns([sample.values for sample in samples], channels)
        for row, names in unknown:
            error = f"expected channels among {list(channels)}, got {names[0]!r}; the known channels were scored"
            rejections.append(_rejection(samples[row], Reason.UNKNOWN_CHANNEL, error))
        stream_ids = [sample.stream_id for sample in samples]
        times = np.array([sample.event_time_ms for sample in samples], np.int64)
        positions = [Position(sample.record.topic, sample.record.partition, sample.record.offset) for sample in samples]
        for part in model.score(stream_ids, times, values):
            self._count(part.scores)
            rows = part.rows
            if len(rows) == len(samples):
                ids, its_times, its_values, its_positions = stream_ids, times, values, positions
            else:
                ids, its_positions = [stream_ids[row] for row in rows], [positions[row] for row in rows]
                its_times, its_values = times[rows], values[rows]
            for place, record in self._published_scores(part, ids, its_times, its_positions):
                sample = samples[rows[place]]
                output = Output(f"{self._options.prefix}scores", ids[place].encode(), record)
                placed.append((sample.record.offset, 2 * sample.index, output))
            label = part.bundle.label
            changes = model.tracker.update(ids, its_times, its_values, part.scores, its_positions, model=label)
            for place, alert in changes:
                sample = samples[rows[place]]
                self._opened_alert |= alert.revision == 1
                self.counts[f"alerts_{alert.state}"] += alert.revision == 1 or alert.state == "resolved"
                output = Output(f"{self._options.prefix}alerts", alert.alert_id.encode(), encode(alert_record(alert)))
                placed.append((sample.record.offset, 2 * sample.index + 1, output))

    def _admit_streams(
        self, model: RouteStreams, samples: list[DecodedSample], rejections: list[Rejection]
    ) -> list[DecodedSample]:
        """Leave out the samples of new streams that have no room, after forgetting streams long gone."""
        states, forget_after = model.detector.states, self._options.gaps.forget_after_ms
        new = {sample.stream_id for sample in samples} - states.slots.keys()
        if states.has_room(len(new)):
            return samples
        if forget_after:
            self.counts["streams_released"] += model.release_older_than(samples[0].event_time_ms - forget_after)
        admitted, room = [], states.max_streams - len(states)
        taken: set[str] = set()
        for sample in samples:
            if sample.stream_id not in states.slots and sample.stream_id not in taken:
                if len(taken) >= room:
                    error = f"{states.max_streams} streams are held already; raise state.max_streams to take more"
                    rejections.append(_rejection(sample, Reason.TOO_MANY_STREAMS, error))
                    continue
                taken.add(sample.stream_id)
            admitted.append(sample)
        return admitted

    def _published_scores(
        self, part: ScoredRows, stream_ids: list[str], times: NDArray[np.int64], positions: list[Position]
    ) -> list[tuple[int, bytes]]:
        scores, bundle = part.scores, part.bundle
        match self._options.scores:
            case ScoresPublished.OFF:
                return []
            case ScoresPublished.ANOMALOUS:
                rows = np.flatnonzero(scores.score >= 1.0)
            case ScoresPublished.ALL:
                rows = np.arange(len(stream_ids))
        records = score_records(rows, stream_ids, times, scores, bundle.channels, bundle.label, positions)
        return [(int(row), encode(record)) for row, record in zip(rows, records, strict=True)]

    def _count(self, scores: Scores) -> None:
        by_status = np.bincount(scores.status, minlength=len(Status))
        for status in Status:
            self.counts[f"samples_{status.label}"] += int(by_status[status])

    def _route(self, stream_id: str) -> int | None:
        try:
            return self._routes[stream_id]
        except KeyError:
            if len(self._routes) > 2 * self._options.max_streams:  # ids that match nothing must not fill the memory
                self._routes.clear()
            route = self._routes[stream_id] = self._router.route_of(stream_id)
            return route

    @property
    def is_outdated(self) -> bool:
        """Whether a route has another model by now than the one that runs here."""
        routes = zip(self._models, self._router.routes, strict=True)
        return any(model.model.digest != route.model.digest for model, route in routes)

    def switch_models(self) -> list[str]:
        """Go over to the models that the routes have by now; return a sentence for each."""
        routes = zip(self._models, self._router.routes, strict=True)
        return [m.switch_model(route.model) for m, route in routes if m.model.digest != route.model.digest]

    def export_state(self) -> bytes:
        """Return the state of every stream as bytes, with the models that it is the state of."""
        return encode_state([state for model in self._models for state in model.export()], self.counts)

    def import_state(self, payload: bytes) -> None:
        """Take over a state, route by route, and go on under the models that it names (see `is_outdated`).

        A route is found by its pattern, or else by its model. One that is new starts with empty state, and says so.
        Raises: SnapshotError when the bytes are truncated, altered or of another version, or a model is nowhere.
        """
        states, counts = decode_state(payload)
        self.counts.update(counts)
        known = {route.model.digest: route.model for route in self._router.routes}
        by_pattern = {state.match: state for state in states if state.rank == 0}
        by_digest = {state.digest: state for state in states if state.rank == 0}
        for model in self._models:
            newest = by_pattern.get(model.pattern) or by_digest.get(model.model.digest)
            if newest is None:
                if states:
                    _log.warning(
                        "%s: no state of model %s in the snapshot; its streams warm up",
                        self.partition,
                        model.model.label,
                    )
                continue
            own = [state for state in states if state.match == newest.match]
            model.restore(own, known, max_streams=self._options.max_streams)


_LAST = 1 << 62
"""Dead letters of a record follow its scores."""


def _first_of_each_record(rejections: list[Rejection]) -> list[Rejection]:
    """Keep one dead letter a record, whatever is wrong with its samples."""
    return list({rejection.record.offset: rejection for rejection in reversed(rejections)}.values())


def _rejection(sample: DecodedSample, reason: Reason, error: str) -> Rejection:
    return Rejection(sample.record, reason, error)
