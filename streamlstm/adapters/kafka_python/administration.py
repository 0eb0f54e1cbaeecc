"""Creating the topics we write to, and checking a cluster without starting a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypedDict

from kafka.errors import KafkaError, TopicAlreadyExistsError

from streamlstm.adapters.findings import described
from streamlstm.adapters.kafka_python.connection import connect_admin, errors
from streamlstm.adapters.kafka_python.settings import KafkaSettings
from streamlstm.errors import TransportError
from streamlstm.ports import CheckResult

__all__ = ["OutputTopic", "check", "create_missing_topics", "is_pattern"]


class OutputTopic(TypedDict, total=False):
    """How to create an output topic that is missing."""

    partitions: int
    """Absent: the broker's default."""
    compacted: bool
    """Keep only the newest record of a key (alerts, snapshots). Absent: no."""


def is_pattern(topic: str) -> bool:
    """Say whether a name holds a wildcard."""
    return any(character in topic for character in "*?[")


def create_missing_topics(
    settings: KafkaSettings, topics: Mapping[str, OutputTopic], configs: Mapping[str, str] | None = None
) -> None:
    """Create those topics that do not exist, and wait until they have leaders."""
    if not topics:
        return
    admin = connect_admin(settings)
    try:
        with errors(f"create the topics {', '.join(topics)}"):
            known = set(admin.list_topics())
            missing = {name: _creation(shape, configs) for name, shape in topics.items() if name not in known}
            for name, creation in missing.items():
                try:
                    admin.create_topics({name: creation})
                except TopicAlreadyExistsError:  # another process was quicker
                    continue
            admin.wait_for_topics(list(missing), timeout_ms=10_000)
    finally:
        admin.close()


def check(
    settings: KafkaSettings, *, topics: Sequence[str], output_topics: Mapping[str, OutputTopic] | None = None
) -> list[CheckResult]:
    """Check that the broker answers, that each input exists, and that each output exists or may be created."""
    subject = f"kafka {settings.bootstrap_servers}"
    try:
        admin = connect_admin(settings)
    except TransportError as error:
        return [CheckResult(subject, False, str(error))]
    findings = [CheckResult(subject, True, f"answers ({settings.security_protocol})")]
    try:
        with errors("list topics"):
            counts = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics()}
        findings.extend(_input_finding(topic, counts) for topic in topics)
        for topic, shape in (output_topics or {}).items():
            findings.append(_output_finding(admin, topic, shape, counts))
    except TransportError as error:
        findings.append(CheckResult(subject, False, str(error)))
    finally:
        admin.close()
    return findings


def _creation(shape: OutputTopic, configs: Mapping[str, str] | None) -> dict[str, Any]:
    policy = {"cleanup.policy": "compact"} if shape.get("compacted", False) else {}
    return {"num_partitions": shape.get("partitions", -1), "configs": {**policy, **(configs or {})}}


def _input_finding(topic: str, counts: Mapping[str, int]) -> CheckResult:
    subject = f"input {topic}"
    found = [described(name, count) for name, count in sorted(counts.items()) if fnmatchcase(name, topic)]
    if found:
        return CheckResult(subject, True, ", ".join(found))
    if is_pattern(topic):
        return CheckResult(subject, True, "no topic matches yet; one that appears is read within half a minute")
    return CheckResult(subject, False, "does not exist; create it, or correct the name under sources")


def _output_finding(admin: Any, topic: str, shape: OutputTopic, counts: Mapping[str, int]) -> CheckResult:
    subject = f"output {topic}"
    if topic in counts:
        return CheckResult(subject, True, described("exists", counts[topic]))
    try:
        admin.create_topics({topic: _creation(shape, None)}, validate_only=True)
    except KafkaError as error:
        return CheckResult(subject, False, f"does not exist and may not be created: {error}")
    return CheckResult(subject, True, "does not exist; will be created")
