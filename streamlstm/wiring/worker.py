"""From a configuration to the objects of a worker: the only place that knows which transport is which."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from streamlstm.adapters import kafka_python, local_log
from streamlstm.config import Config
from streamlstm.config.schema import Kafka, Source
from streamlstm.model.bundles.loaded import load_model
from streamlstm.ports import Finding, HistoryReader, Publisher, SnapshotStore, TopicReader, Transport
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.thresholds import Threshold
from streamlstm.service.model_watch import ModelWatch
from streamlstm.service.worker import Worker, WorkerOptions
from streamlstm.streaming.decoding.json_fast import JsonDecoder
from streamlstm.streaming.pipeline import PartitionPipeline, PipelineOptions, ScoresPublished
from streamlstm.streaming.routing import ModelRoute, Router
from streamlstm.types import GapPolicy, TopicPartition

__all__ = [
    "Service",
    "build_service",
    "build_snapshots",
    "build_transport",
    "check_log",
    "decoder_of",
    "kafka_settings",
    "load_routes",
    "open_history",
    "open_publisher",
    "open_reader",
    "output_topics",
    "pipeline_options",
]


@dataclass(frozen=True, slots=True)
class Service:
    """A worker and the pipelines it runs, by partition (for status and reports)."""

    worker: Worker
    pipelines: dict[TopicPartition, PartitionPipeline]


def load_routes(config: Config) -> Router:
    """Load every bundle. Raises: BundleError."""
    loaded = [(model.match, load_model(model.bundle)) for model in config.models]
    return Router([ModelRoute(match, model) for match, model in loaded])


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
        ),
        ModelWatch(router),
    )
    return Service(worker, pipelines)


def pipeline_options(config: Config) -> PipelineOptions:
    """Take the scoring part of a configuration."""
    return PipelineOptions(
        gaps=GapPolicy(reset_after_ms=config.gaps.reset_after_ms, forget_after_ms=config.state.idle_ttl_ms),
        threshold=Threshold(config.threshold.false_alarms_per_stream_day),
        period_ms=config.gaps.expected_period_ms,
        alerts=AlertPolicy(
            open_after=config.alerts.open_after,
            resolve_after=config.alerts.resolve_after,
            refractory_ms=config.alerts.refractory_ms,
        ),
        scores=ScoresPublished(config.sinks.scores),
        prefix=config.sinks.prefix,
        max_streams=config.state.max_streams,
        threads=config.app.threads,
        state_dtype=config.state.dtype,
        backend=config.app.backend,
    )


def build_transport(config: Config) -> Transport:
    """Build the transport that the configuration names."""
    topics = [topic for source in config.sources for topic in source.topics]
    start = config.sources[0].start
    outputs = output_topics(config)
    if config.kafka:
        return kafka_python.KafkaTransport(
            kafka_settings(config.kafka, config.app.id),
            group=config.app.id,
            topics=topics,
            start=start,
            output_topics=outputs,
        )
    assert config.local is not None
    return local_log.LocalTransport(
        config.local.path, group=config.app.id, topics=topics, start=start, output_topics=list(outputs)
    )


def build_snapshots(config: Config) -> SnapshotStore:
    """Build the store of snapshots beside the transport."""
    if config.kafka:
        settings = kafka_settings(config.kafka, config.app.id)
        return kafka_python.KafkaSnapshots(settings, topic=f"{config.sinks.prefix}state", group=config.app.id)
    assert config.local is not None
    return local_log.LocalSnapshots(config.local.path, group=config.app.id)


def open_publisher(config: Config) -> Publisher:
    """Open what writes telemetry to the configured log."""
    if config.kafka:
        return kafka_python.KafkaPublisher(kafka_settings(config.kafka, config.app.id))
    assert config.local is not None
    return local_log.LocalPublisher(config.local.path)


def open_reader(config: Config) -> TopicReader:
    """Open what reads topics of the configured log outside any group."""
    if config.kafka:
        return kafka_python.KafkaReader(kafka_settings(config.kafka, config.app.id))
    assert config.local is not None
    return local_log.LocalReader(config.local.path)


def open_history(config: Config) -> HistoryReader:
    """Open what reads ranges of the configured log by time stamp, outside any group."""
    if config.kafka:
        return kafka_python.KafkaHistory(kafka_settings(config.kafka, config.app.id))
    assert config.local is not None
    return local_log.LocalHistory(config.local.path)


def check_log(config: Config) -> list[Finding]:
    """Look at the configured log without joining the group."""
    topics = [topic for source in config.sources for topic in source.topics]
    outputs = output_topics(config)
    if config.kafka:
        return kafka_python.check(kafka_settings(config.kafka, config.app.id), topics=topics, output_topics=outputs)
    assert config.local is not None
    return local_log.check(config.local.path, topics=topics, output_topics=list(outputs))


def output_topics(config: Config) -> dict[str, kafka_python.OutputTopic]:
    """Name the topics that the worker writes, and how to create those that are missing."""
    prefix = config.sinks.prefix
    names: dict[str, kafka_python.OutputTopic] = {f"{prefix}alerts": {"compacted": True}, f"{prefix}dlq": {}}
    if config.sinks.scores != "off":
        names[f"{prefix}scores"] = {}
    return names


def kafka_settings(kafka: Kafka, client_id: str) -> kafka_python.KafkaSettings:
    """Take the connection part of a configuration."""
    security = kafka.security
    return kafka_python.KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers,
        security_protocol=security.protocol,
        sasl_mechanism=security.mechanism,
        username=security.username,
        password=security.password.get_secret_value() if security.password else None,
        ca_file=_text(security.ca_file),
        cert_file=_text(security.cert_file),
        key_file=_text(security.key_file),
        client_id=client_id,
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _source_of(config: Config, topic: str) -> Source:
    return next(source for source in config.sources if any(fnmatchcase(topic, t) for t in source.topics))


def decoder_of(source: Source) -> JsonDecoder:
    """Build what reads the records of a source."""
    return JsonDecoder(
        stream_id=source.stream_id,
        ts_path=source.ts.path,
        ts_unit=source.ts.unit,
        max_record_bytes=source.max_record_bytes,
        max_ahead_ms=source.max_ahead_ms,
    )
