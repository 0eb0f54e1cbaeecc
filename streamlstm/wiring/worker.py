"""From a configuration to a worker: its models, pipelines, decoders and log."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from streamlstm.config import Config
from streamlstm.config.schema import Source
from streamlstm.model.bundles.loaded import load_model
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.service.model_reload import ModelReloader
from streamlstm.service.worker import Worker, WorkerOptions
from streamlstm.streaming.decoding.json_fast import JsonDecoder
from streamlstm.streaming.decoding.samples import Decoder
from streamlstm.streaming.pipeline import PartitionPipeline, PipelineOptions, ScoresPublished
from streamlstm.streaming.routing import ModelRoute, Router
from streamlstm.types import GapPolicy, TopicPartition
from streamlstm.wiring.transports import build_snapshots, build_transport

__all__ = ["Service", "build_service", "decoder_of", "load_routes", "pipeline_options"]


@dataclass(frozen=True, slots=True)
class Service:
    """A worker and the pipelines it runs, by partition (for status and reports)."""

    worker: Worker
    pipelines: dict[TopicPartition, PartitionPipeline]


def load_routes(config: Config) -> Router:
    """Load every bundle. Raises: BundleError."""
    loaded = [(model.match, load_model(model.bundle)) for model in config.models]
    return Router(
        [ModelRoute(match, model) for match, model in loaded], remembered_streams=2 * config.state.max_streams
    )


def build_service(config: Config) -> Service:
    """Build the worker of a configuration; nothing is connected yet."""
    router = load_routes(config)
    options = pipeline_options(config)
    pipelines: dict[TopicPartition, PartitionPipeline] = {}

    def make_pipeline(partition: TopicPartition) -> PartitionPipeline:
        source = _source_of(config, partition.topic)
        pipelines[partition] = PartitionPipeline(partition, router, decoder_of(source), options)
        return pipelines[partition]

    worker = Worker(
        build_transport(config),
        build_snapshots(config),
        make_pipeline,
        WorkerOptions(
            commit_interval_ms=config.app.commit_interval_ms,
            snapshot_interval_ms=config.state.snapshot_interval_ms,
            may_start_cold=config.state.on_damaged_state == "start_cold",
        ),
        ModelReloader(router),
    )
    return Service(worker, pipelines)


def pipeline_options(config: Config) -> PipelineOptions:
    """Take the scoring part of a configuration."""
    return PipelineOptions(
        gaps=GapPolicy(
            reset_after_ms=config.gaps.reset_after_ms,
            forget_after_ms=config.state.idle_ttl_ms,
            silent_after_ms=config.gaps.silent_after_ms,
        ),
        threshold=config.threshold.threshold(),
        period_ms=config.gaps.expected_period_ms,
        alerts=AlertPolicy(
            open_after=config.alerts.open_after,
            resolve_after=config.alerts.resolve_after,
            min_duration=config.alerts.min_duration,
            refractory=config.alerts.refractory,
            escalate_after=config.alerts.escalate_after,
            outside_budget=None if config.alerts.outside_budget == "none" else config.alerts.outside_budget,
            settled=config.alerts.settled,
        ),
        scores=ScoresPublished(config.sinks.scores),
        settled=config.sinks.settled,
        prefix=config.sinks.prefix,
        max_streams=config.state.max_streams,
        threads=config.app.threads,
        state_dtype=config.state.dtype,
        backend=config.app.backend,
    )


def _source_of(config: Config, topic: str) -> Source:
    return next(source for source in config.sources if any(fnmatchcase(topic, t) for t in source.topics))


def decoder_of(source: Source) -> Decoder:
    """Build what reads the records of a source."""
    return JsonDecoder(
        stream_id=source.stream_id,
        ts_path=source.ts.path,
        ts_unit=source.ts.unit,
        max_record_bytes=source.max_record_bytes,
        max_ahead_ms=source.max_ahead_ms,
    )
