"""One input partition, from records to outputs.

`PartitionPipeline.process` takes a batch through these steps:

1. decode: the bytes of records become columns of samples (`decoding`); bad ones are rejected.
2. route: the id of a stream says which model's it is (`routing`).
3. admit: a new stream needs room (`admission`).
4. score: values are laid out in the model's channels, the network advances by them (`model_handover`, `Detector`).
5. alert: scores above the threshold open alerts, later ones resolve them (`AlertTracker`).
6. encode: scores, alerts and dead letters become records (`encoders`, `rejections`), in the order of the samples that
   caused them (`record_batch`).

Between 5 and 6, where that is asked for: streams that have fallen silent are found (`SilenceWatch`), across routes.

What comes of a sample depends on the samples before it alone, not on how records were batched: this is what replay
rests on.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.ports import Processed
from streamlstm.scoring.alert_tracker import AlertTracker
from streamlstm.scoring.alerts import Alert, AlertPolicy
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.forward import Backend
from streamlstm.scoring.silences import SilenceWatch
from streamlstm.scoring.state import StateDtype
from streamlstm.scoring.thresholds import Threshold
from streamlstm.streaming.admission import admitted_runs
from streamlstm.streaming.decoding.rejections import Reason
from streamlstm.streaming.decoding.samples import Decoder
from streamlstm.streaming.encoders import alert_record, encode, score_records, settled_records
from streamlstm.streaming.model_handover import RouteStreams, ScoredSamples
from streamlstm.streaming.record_batch import RecordBatch
from streamlstm.streaming.routing import NO_ROUTE, Router
from streamlstm.streaming.state_format import decode_silences, decode_state, encode_state
from streamlstm.types import GapPolicy, Output, Record, Scores, Status, TopicPartition

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
    settled: bool = False
    """Whether the settled verdicts on samples are published beside their scores."""
    prefix: str = "streamlstm."
    period_ms: float | None = None
    """Sampling period of the streams; the bundle's own when None."""
    max_streams: int = 1_000_000
    threads: int = 1
    state_dtype: StateDtype = "float32"
    backend: Backend = "fused"


class PartitionPipeline:
    """The state of one partition's streams and what advances it. Implements `PartitionProcessor`."""

    def __init__(self, partition: TopicPartition, router: Router, decoder: Decoder, options: PipelineOptions) -> None:
        self.partition = partition
        self.counts: Counter[str] = Counter()
        self._router = router
        self._decoder = decoder
        self._options = options
        gaps = options.gaps
        self._silences = (
            SilenceWatch(after_ms=gaps.silent_after_ms, forget_after_ms=gaps.forget_after_ms)
            if gaps.silent_after_ms
            else None
        )
        self._routes = [
            RouteStreams(route.pattern, route.model, self._make_detector, options.alerts) for route in router.routes
        ]

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
            settled=options.settled or options.alerts.settled,
        )

    @property
    def open_alerts(self) -> list[Alert]:
        """Alerts of this partition that are open now."""
        alerts = [alert for streams in self._routes for alert in streams.tracker.open_alerts]
        return alerts + ([] if self._silences is None else self._silences.open_alerts)

    @property
    def streams(self) -> int:
        """Streams held."""
        return sum(len(streams.detector.states) for streams in self._routes)

    def process(self, records: Sequence[Record]) -> Processed:
        """Advance by records in offset order; return scores, alerts and dead letters in the samples' order.

        An alert that opens must be committed at once.
        """
        batch = RecordBatch(self.partition, records, self._decoder.decode(records))
        for streams, routed in self._route(batch):
            for admitted in self._admit(streams, batch, routed):
                self._score(streams, batch, admitted)
        if self._silences is not None:
            self._watch_silences(batch, self._silences)
        self.counts["records"] += len(records)
        for rejection in batch.rejections:
            self.counts[f"dead_letters_{rejection.reason}"] += 1
        outputs = batch.outputs(dead_letter_topic=f"{self._options.prefix}dlq")
        return Processed(outputs, must_commit=batch.has_opened_alert)

    def _route(self, batch: RecordBatch) -> Iterator[tuple[RouteStreams, NDArray[np.int64]]]:
        """Yield the streams of each route and the rows that it has samples in; what matches no route is rejected."""
        stream_ids = batch.samples.stream_ids
        routes = self._router.routes_of(stream_ids)
        for row in np.flatnonzero(routes == NO_ROUTE).tolist():
            batch.reject(row, Reason.NO_MODEL, f"no model's pattern matches {stream_ids[row]!r}")
        for number, streams in enumerate(self._routes):
            rows = np.flatnonzero(routes == number)
            if len(rows):
                yield streams, rows

    def _admit(self, streams: RouteStreams, batch: RecordBatch, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Yield the rows to score, run by run; samples of new streams that find no room are rejected."""
        options, samples = self._options, batch.samples.take(rows)

        def refuse(row: int) -> None:
            error = f"{options.max_streams} streams are held already; raise state.max_streams to take more"
            batch.reject(int(rows[row]), Reason.TOO_MANY_STREAMS, error)

        for run in admitted_runs(
            streams,
            samples.stream_ids,
            samples.event_time_ms,
            forget_after_ms=options.gaps.forget_after_ms,
            refuse=refuse,
            counts=self.counts,
        ):
            yield rows[run]

    def _score(self, streams: RouteStreams, batch: RecordBatch, rows: NDArray[np.int64]) -> None:
        """Score samples, and add what is to be published of them to the batch."""
        samples = batch.samples.take(rows)
        channels = streams.model.bundle.channels
        values, strangers = samples.aligned(channels)
        for row, name in strangers:
            error = f"expected channels among {list(channels)}, got {name!r}; the known channels were scored"
            batch.reject(int(rows[row]), Reason.UNKNOWN_CHANNEL, error)
        for scored in streams.score(samples.stream_ids, samples.event_time_ms, values, batch.offsets(rows)):
            self._count(scored.scores)
            self._add_scores(batch, rows[scored.rows], scored)
            self._add_settled(batch, rows[scored.rows], scored)
            self._add_alerts(batch, rows[scored.rows], scored, streams.tracker)
            batch.has_spoken[rows[scored.rows]] = scored.scores.status != Status.LATE

    def _count(self, scores: Scores) -> None:
        by_status = np.bincount(scores.status, minlength=len(Status))
        for status in Status:
            self.counts[f"samples_{status.label}"] += int(by_status[status])

    def _add_scores(self, batch: RecordBatch, rows: NDArray[np.int64], scored: ScoredSamples) -> None:
        """Encode the score records that are wanted. Shapes: rows int64 [K], those of the samples in the batch."""
        match self._options.scores:
            case ScoresPublished.OFF:
                return
            case ScoresPublished.ANOMALOUS:
                wanted = np.flatnonzero(scored.scores.score >= 1.0)
            case ScoresPublished.ALL:
                wanted = np.arange(len(rows))
        bundle, stream_ids, topic = scored.bundle, scored.stream_ids, f"{self._options.prefix}scores"
        positions = batch.positions(rows)
        records = score_records(
            wanted, stream_ids, scored.event_time_ms, scored.scores, bundle.channels, bundle.label, positions
        )
        outputs = [
            Output(topic, stream_ids[place].encode(), encode(record))
            for place, record in zip(wanted.tolist(), records, strict=True)
        ]
        batch.add_scores(rows[wanted], outputs)

    def _add_settled(self, batch: RecordBatch, rows: NDArray[np.int64], scored: ScoredSamples) -> None:
        """Encode the verdicts that the samples bring on earlier ones, where the scores of those are published."""
        settled = scored.scores.settled
        if settled is None or not self._options.settled:
            return
        match self._options.scores:
            case ScoresPublished.OFF:
                return
            case ScoresPublished.ANOMALOUS:
                wanted = np.flatnonzero((settled.settled >= 1.0) | (settled.score >= 1.0))
            case ScoresPublished.ALL:
                wanted = np.flatnonzero(~np.isnan(settled.settled))
        stream_ids, topic = scored.stream_ids, f"{self._options.prefix}scores"
        records = settled_records(wanted, stream_ids, settled, scored.bundle.label, self.partition)
        outputs = [
            Output(topic, stream_ids[place].encode(), encode(record))
            for place, record in zip(wanted.tolist(), records, strict=True)
        ]
        batch.add_scores(rows[wanted], outputs)

    def _add_alerts(
        self, batch: RecordBatch, rows: NDArray[np.int64], scored: ScoredSamples, tracker: AlertTracker
    ) -> None:
        """Let the alerts of the streams advance, and encode those that changed."""
        changes = tracker.update(
            scored.stream_ids,
            scored.event_time_ms,
            scored.values,
            scored.scores,
            batch.positions(rows),
            model=scored.bundle.label,
        )
        held_back, confirmed, withdrawn = tracker.held_back, tracker.confirmed, tracker.withdrawn
        for place, alert in changes:
            is_resolved = alert.is_resolved_at(int(scored.event_time_ms[place]))
            self._add_alert(batch, int(rows[place]), alert, is_resolved=is_resolved)
        for name, count in (
            ("held_back", tracker.held_back - held_back),
            ("confirmed", tracker.confirmed - confirmed),
            ("withdrawn", tracker.withdrawn - withdrawn),
        ):
            if count:
                self.counts[f"alerts_{name}"] += count

    def _watch_silences(self, batch: RecordBatch, silences: SilenceWatch) -> None:
        """Find the streams of this partition that have fallen silent, and those that speak again."""
        rows = np.flatnonzero(batch.has_spoken)
        samples = batch.samples.take(rows)

        def label_of(stream_id: str) -> str:
            return self._routes[int(self._router.routes_of([stream_id])[0])].model.label

        changes = silences.update(samples.stream_ids, samples.event_time_ms, batch.positions(rows), label_of)
        for place, alert in changes:
            self._add_alert(batch, int(rows[place]), alert, is_resolved=alert.state == "resolved")

    def _add_alert(self, batch: RecordBatch, row: int, alert: Alert, *, is_resolved: bool) -> None:
        """Encode a revision of an alert. What resolves it counts, not a verdict on one that was resolved before."""
        has_opened = alert.revision == 1
        self.counts[f"alerts_{alert.state}"] += has_opened or is_resolved
        if has_opened and alert.kind != "residual":
            self.counts[f"alerts_{alert.kind}"] += 1
        if has_opened and alert.outside_budget:
            self.counts["alerts_outside_budget"] += 1
        output = Output(f"{self._options.prefix}alerts", alert.alert_id.encode(), encode(alert_record(alert)))
        batch.add_alert(row, output, has_opened=has_opened)

    @property
    def is_outdated(self) -> bool:
        """Whether a route has another model by now than the one that runs here."""
        routes = zip(self._routes, self._router.routes, strict=True)
        return any(own.model.digest != route.model.digest for own, route in routes)

    def switch_models(self) -> list[str]:
        """Switch to the models that the routes have by now; return a sentence for each."""
        routes = zip(self._routes, self._router.routes, strict=True)
        return [own.switch_model(route.model) for own, route in routes if own.model.digest != route.model.digest]

    def export_state(self) -> bytes:
        """Return the state of every stream as bytes, with the models that it is the state of."""
        states = [state for streams in self._routes for state in streams.export()]
        return encode_state(states, self.counts, None if self._silences is None else self._silences.export_state())

    def import_state(self, payload: bytes) -> None:
        """Restore a state, route by route, and go on under the models that it names (see `is_outdated`).

        A route is found by its pattern, or else by its model. One that is new starts with empty state, and says so.
        Raises: SnapshotError when the bytes are truncated, altered or of another version, or a model is nowhere.
        """
        states, counts = decode_state(payload)
        self.counts.update(counts)
        if self._silences is not None and (silences := decode_silences(payload)) is not None:
            self._silences.import_state(silences)
        known = {route.model.digest: route.model for route in self._router.routes}
        by_pattern = {state.match: state for state in states if state.rank == 0}
        by_digest = {state.digest: state for state in states if state.rank == 0}
        for streams in self._routes:
            newest = by_pattern.get(streams.pattern) or by_digest.get(streams.model.digest)
            if newest is None:
                if states:
                    _log.warning(
                        "%s-%d: the snapshot holds no state of model %s; its streams warm up",
                        self.partition.topic,
                        self.partition.partition,
                        streams.model.label,
                    )
                continue
            own = [state for state in states if state.match == newest.match]
            streams.restore(own, known, max_streams=self._options.max_streams)
