"""What a configuration may hold, as frozen pydantic models; unknown keys are errors.

Attributes of durations end in `_ms` (integers), while the keys of the file do not: `commit_interval: 100ms`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, SecretStr, model_validator

from streamlstm.config.retraining import Retrain
from streamlstm.config.section import Section
from streamlstm.config.values import (
    FIELD_PATTERN,
    NAME_PATTERN,
    PREFIX_PATTERN,
    TOPIC_PATTERN,
    Count,
    DelayText,
    Duration,
    FilePath,
    Period,
    PositiveDuration,
    Rate,
    Servers,
    delay,
    duration,
)
from streamlstm.errors import UsageError
from streamlstm.scoring.thresholds import Span, Threshold

__all__ = [
    "Alerts",
    "App",
    "Config",
    "Gaps",
    "Guarantee",
    "Kafka",
    "Local",
    "Model",
    "Retrain",
    "Section",
    "Security",
    "Sinks",
    "Source",
    "State",
    "ThresholdSection",
    "Time",
]

Guarantee: TypeAlias = Literal["at_least_once", "exactly_once"]


class App(Section):
    """The service itself. `id` names the consumer group and the state."""

    id: str = Field(pattern=NAME_PATTERN, max_length=200)
    guarantee: Guarantee | None = None
    """exactly_once is the default on the local transport, at_least_once on Kafka."""
    commit_interval_ms: PositiveDuration = duration("100ms", key="commit_interval")
    threads: int = Field(default=1, ge=1, le=256)
    """Threads that share the streams of a large batch. More than one are used only where that is faster: for batches of
    some 20 us of work and more."""
    backend: Literal["fused", "bfloat16"] = "fused"
    """How the network's products are computed. bfloat16 is faster for networks of 64 units and more, on processors that
    have AVX512_BF16, and changes scores a little: see docs/kernel.md."""


class Security(Section):
    """How to reach the brokers."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None

    @model_validator(mode="after")
    def _complete(self) -> Security:
        sasl = {"mechanism": self.mechanism, "username": self.username, "password": self.password}
        ssl = {"ca_file": self.ca_file, "cert_file": self.cert_file, "key_file": self.key_file}
        has_sasl, has_ssl = self.protocol.startswith("SASL"), self.protocol.endswith("SSL")
        faults = []
        if has_sasl and (absent := [name for name, value in sasl.items() if value is None]):
            faults.append(f"expected {', '.join(absent)} with protocol {self.protocol}")
        if not has_sasl and (useless := [name for name, value in sasl.items() if value is not None]):
            faults.append(f"expected no {', '.join(useless)} with protocol {self.protocol}")
        if not has_ssl and (useless := [name for name, value in ssl.items() if value is not None]):
            faults.append(f"expected no {', '.join(useless)} with protocol {self.protocol}")
        if (self.cert_file is None) != (self.key_file is None):
            faults.append("expected cert_file and key_file together")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class Kafka(Section):
    """Apache Kafka as the log."""

    bootstrap_servers: Servers
    security: Security = Security()


class Local(Section):
    """One SQLite file as the log: no server."""

    path: FilePath = Field(default=Path("streamlstm.db"), validate_default=True)


class Time(Section):
    """Where a sample's event time is found. `record` is the time stamp of the Kafka record, always in ms."""

    path: str = Field(default="$.ts", pattern=rf"^record$|{FIELD_PATTERN}")
    unit: Literal["rfc3339", "s", "ms", "us", "ns"] = "rfc3339"

    @model_validator(mode="after")
    def _unit_has_a_use(self) -> Time:
        if self.path == "record" and "unit" in self.model_fields_set:
            raise ValueError("expected no unit with path: record, whose unit is ms")
        return self


class Source(Section):
    """Topics of telemetry (names, or patterns with * and ?) and how their records are read."""

    topics: tuple[Annotated[str, Field(pattern=TOPIC_PATTERN, max_length=249)], ...] = Field(min_length=1)
    format: Literal["json"] = "json"
    stream_id: str = Field(default="$.stream_id", pattern=rf"^key$|{FIELD_PATTERN}")
    ts: Time = Time()
    start: Literal["earliest", "latest"] = "earliest"
    """Where a group without a committed offset begins."""
    max_record_bytes: Count = 1_000_000
    max_ahead_ms: Duration = duration("5m", key="max_ahead")
    """How far a sample's time may be ahead of its record's time stamp. A stream takes no sample that is older than its
    newest, so one with a time far ahead would silence it until then."""


class Model(Section):
    """Which streams a bundle scores: `*` stays within one part of an id, `**` crosses slashes.

    The first match counts.
    """

    match: Annotated[str, Field(min_length=1)]
    bundle: FilePath


class Gaps(Section):
    """How gaps in a stream are treated."""

    expected_period_ms: Period | None = Field(default=None, alias="expected_period")
    """The sampling period; the bundle's own by default."""
    reset_after_ms: Duration = duration("0s", key="reset_after")
    """After a longer silence the stream's state starts again; 0s means never."""
    silent_after_ms: Duration = duration("0s", key="silent_after")
    """After a longer silence of a stream, while others of its partition speak, an alert opens; 0s means never. Ten
    periods are a good choice where streams do not end on purpose."""
    late: Literal["drop"] = "drop"

    @model_validator(mode="after")
    def _silences_are_longer_than_a_period(self) -> Gaps:
        if self.expected_period_ms is not None and 0 < self.silent_after_ms <= 2 * self.expected_period_ms:
            raise ValueError("expected silent_after to be longer than twice expected_period: one lost sample is none")
        if self.expected_period_ms is not None and 0 < self.reset_after_ms <= self.expected_period_ms:
            raise ValueError("expected reset_after to be longer than expected_period: every sample would be a gap")
        return self


class ThresholdSection(Section):
    """How many false alarms are accepted: where the alert threshold lies, and how many alerts a stream may open.

    `false_alarms_per_stream_day: 0.2`, or `false_alarms_per_stream: 6` with `per: hour`.
    """

    method: Literal["spot"] = "spot"
    false_alarms_per_stream_day: Rate = 0.2
    false_alarms_per_stream: Rate | None = None
    per: Span = "day"
    """What false_alarms_per_stream is counted by: a monitor of heartbeats is budgeted by the hour."""

    @model_validator(mode="after")
    def _is_one_budget(self) -> ThresholdSection:
        given = self.model_fields_set
        if "false_alarms_per_stream" in given and "false_alarms_per_stream_day" in given:
            raise ValueError("expected one of false_alarms_per_stream_day and false_alarms_per_stream, got both")
        if "per" in given and "false_alarms_per_stream" not in given:
            raise ValueError("expected false_alarms_per_stream beside per, which says what that is counted by")
        try:
            self.threshold()
        except UsageError as error:
            raise ValueError(str(error)) from error
        return self

    def threshold(self) -> Threshold:
        """Return the budget. Raises: UsageError when it is none."""
        if self.false_alarms_per_stream is None:
            return Threshold(self.false_alarms_per_stream_day)
        return Threshold.of(self.false_alarms_per_stream, per=self.per)


class Sinks(Section):
    """Where results go: PREFIXscores, PREFIXalerts, PREFIXdlq."""

    prefix: str = Field(default="streamlstm.", pattern=PREFIX_PATTERN, max_length=200)
    scores: Literal["all", "anomalous", "off"] = "all"
    settled: bool = False
    """Whether the verdict on each sample follows one period later, in a record of its own beside the scores."""


class Alerts(Section):
    """When an alert opens and resolves. Each is samples, a time, periods of the model, or several with `and`."""

    open_after: DelayText = delay("2 samples")
    """How long the score stays at or above the threshold before an alert opens."""
    resolve_after: DelayText = delay("5 samples")
    """How long it stays below before the alert is resolved."""
    min_duration: DelayText = delay("0s")
    """How long an alert stays open at least."""
    refractory: DelayText = delay("30s and 32 samples")
    """How long after an alert a new one opens only if it is worse; how much worse falls evenly to nothing."""
    escalate_after: DelayText = delay("10m and 64 samples")
    """How long an alert is open before it is one step more severe."""
    outside_budget: Literal["none", "high", "medium", "low"] = "none"
    """Alerts of this severity and more open although the budget is spent. They are marked and counted apart, and the
    budget bounds the others only."""
    settled: bool = False
    """Whether alerts are judged one period later. Those that are confirmed do not count against the budget: they are
    counted apart, and the budget bounds the others only."""


class State(Section):
    """The state of the streams."""

    snapshot_interval_ms: PositiveDuration = duration("30s", key="snapshot_interval")
    idle_ttl_ms: PositiveDuration = duration("7d", key="idle_ttl")
    max_streams: Count = 1_000_000
    dtype: Literal["float32", "float16"] = "float32"
    """How the network's states are stored: float16 takes half the memory, and is rounded after every sample."""
    on_damaged_state: Literal["refuse", "start_cold"] = "refuse"
    """What a worker does with a snapshot that is damaged: it stops and says so, or its streams warm up again."""


class Config(Section):
    """A whole configuration. Exactly one of `kafka` and `local` is set."""

    app: App
    kafka: Kafka | None = None
    local: Local | None = None
    sources: tuple[Source, ...] = Field(min_length=1)
    models: tuple[Model, ...] = Field(min_length=1)
    gaps: Gaps = Gaps()
    threshold: ThresholdSection = ThresholdSection()
    sinks: Sinks = Sinks()
    alerts: Alerts = Alerts()
    state: State = State()
    retrain: Retrain | None = None

    @property
    def retrained(self) -> int | None:
        """Index of the model that retraining publishes: its bundle is REGISTRY/NAME/champion."""
        if self.retrain is None:
            return None
        champion = _normal(self.retrain.registry / self.retrain.name / "champion")
        return next((index for index, model in enumerate(self.models) if _normal(model.bundle) == champion), None)

    @property
    def guarantee(self) -> Guarantee:
        """The delivery guarantee: as written, or the transport's best."""
        return self.app.guarantee or ("at_least_once" if self.kafka else "exactly_once")

    @model_validator(mode="before")
    @classmethod
    def _local_by_default(cls, data: Any) -> Any:
        if isinstance(data, dict) and "kafka" not in data and "local" not in data:
            return {**data, "local": {}}
        return data


def _normal(path: Path) -> str:
    """Return a path without `..`, links left as they are: the champion is one."""
    return os.path.normpath(path.absolute())
