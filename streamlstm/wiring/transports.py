"""From a configuration to the log it names: the only file that knows which transport is which."""

from __future__ import annotations

from pathlib import Path

from streamlstm.adapters import kafka_python, local_log
from streamlstm.config import Config
from streamlstm.config.schema import Kafka
from streamlstm.ports import CheckResult, HistoryReader, Publisher, SnapshotStore, TopicReader, Transport

__all__ = [
    "build_snapshots",
    "build_transport",
    "check_log",
    "kafka_settings",
    "open_history",
    "open_publisher",
    "open_reader",
    "output_topics",
]


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


def check_log(config: Config) -> list[CheckResult]:
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
