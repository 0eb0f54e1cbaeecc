"""What an alert is, when one opens and resolves, and how severe it is. `alert_course` has the rules."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

from streamlstm.scoring.delays import Delay
from streamlstm.types import Position

__all__ = ["Alert", "AlertPolicy", "ChannelPart", "Peak", "Severity", "alert_id_of", "is_at_least", "severity_of"]

Severity: TypeAlias = Literal["low", "medium", "high"]
_SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """When an alert opens and resolves.

    open_after: how long the score stays at or above the threshold before an alert opens (on-delay).
    resolve_after: how long it stays below before the alert is resolved (off-delay).
    min_duration: how long an alert stays open at least.
    refractory: how long after an alert a new one must be worse to open. The score is a mean over up to 128 samples
        that comes down slowly and unevenly, so 30 s alone, less than one sample of minute data, would let one fault
        open again and again.
    escalate_after: how long an alert is open before it is one step more severe.
    outside_budget: alerts of this severity and more open although the budget is spent; None = none do.
    settled: alerts are judged one period later, where the detector settles its scores; those that are confirmed do not
        count against the budget.
    """

    open_after: Delay = field(default=Delay(samples=2))
    resolve_after: Delay = field(default=Delay(samples=5))
    min_duration: Delay = field(default=Delay())
    refractory: Delay = field(default=Delay(samples=32, ms=30_000))
    escalate_after: Delay = field(default=Delay(samples=64, ms=600_000))
    outside_budget: Severity | None = None
    settled: bool = False

    def in_samples(self, period_rows: int) -> AlertPolicy:
        """Return the same policy without periods, for a model whose period has so many samples."""
        return AlertPolicy(
            self.open_after.in_samples(period_rows),
            self.resolve_after.in_samples(period_rows),
            self.min_duration.in_samples(period_rows),
            self.refractory.in_samples(period_rows),
            self.escalate_after.in_samples(period_rows),
            self.outside_budget,
            self.settled,
        )


class ChannelPart(msgspec.Struct, frozen=True):
    """What one channel contributed at the peak. `value` is None where it was missing."""

    name: str
    contribution: float
    value: float | None
    expected: float


class Peak(msgspec.Struct, frozen=True):
    """The highest score, when it came, and its p-value (None in snapshots of earlier versions)."""

    score: float
    ts: int
    p_value: float | None = None


class Alert(msgspec.Struct, frozen=True):
    """One revision of an alert. Times in ms of event time."""

    alert_id: str
    revision: int
    state: str
    kind: str
    severity: str
    stream_id: str
    started_at: int
    detected_at: int
    resolved_at: int | None
    peak: Peak
    samples: int
    channels: tuple[ChannelPart, ...]
    model: str
    summary: str
    outside_budget: bool = False
    settled: Literal["confirmed", "withdrawn"] | None = None
    ended_at: int | None = None

    def is_resolved_at(self, time_ms: int) -> bool:
        """Say whether a sample of that time resolved it: verdicts revise alerts that were resolved before."""
        return self.state == "resolved" and self.resolved_at == time_ms


def alert_id_of(model: str, stream_id: str, kind: str, opened_by: Position, began_ms: int, *, subject: str = "") -> str:
    """Return the id of an alert: a hash, so that a repeat is recognisable.

    `opened_by` is the record with which it began, at `began_ms`; alerts of one kind that a record may open side by side
    differ in their `subject`.
    """
    topic, partition, offset = opened_by
    identity = f"{model}\0{stream_id}\0{kind}\0{topic}\0{partition}\0{offset}\0{began_ms}"
    identity += f"\0{subject}" if subject else ""
    return hashlib.sha256(identity.encode()).hexdigest()[:24]


def severity_of(score: float, *, has_lasted: bool = False) -> Severity:
    """Return low, medium or high: twice and four times the threshold part them, and what lasts is one step higher."""
    step = (score >= 2.0) + (score >= 4.0) + has_lasted
    return _SEVERITIES[min(step, 2)]


def is_at_least(severity: Severity, least: Severity) -> bool:
    """Say whether a severity is `least` or more."""
    return _SEVERITIES.index(severity) >= _SEVERITIES.index(least)
