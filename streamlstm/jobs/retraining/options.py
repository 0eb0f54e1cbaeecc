"""What a run of the retraining job is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamlstm.jobs.retraining.exclusions import Margins
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.thresholds import Threshold
from streamlstm.streaming.decoding.samples import Decoder

__all__ = ["RetrainingOptions", "SourceTopics"]


@dataclass(frozen=True, slots=True)
class SourceTopics:
    """Topics (names or patterns) and how their records are read."""

    patterns: tuple[str, ...]
    decoder: Decoder


@dataclass(frozen=True, slots=True)
class RetrainingOptions:
    """What is read, how it is trained on, and when the result is published.

    Units: times in ms since 1970 by the records' time stamps, `end_ms` None = to the end; `compare` and `margin` are
    shares. `own_topics` are never read as telemetry; `alerts_topic` None: alerts are not looked at; `channels` None:
    the champion's, or all there are. `reset_after_ms` and `period_ms` None or 0: the model's own.
    """

    name: str
    sources: tuple[SourceTopics, ...]
    is_wanted: Callable[[str], bool]
    own_topics: frozenset[str]
    begin_ms: int
    end_ms: int | None
    starts_anew: bool
    compare: float
    margin: float
    keep: int
    max_rows: int
    alerts_topic: str | None = None
    labels: Path | None = None
    margins: Margins = field(default_factory=Margins)
    channels: tuple[str, ...] | None = None
    period_ms: float | None = None
    reset_after_ms: int = 0
    threshold: Threshold = field(default_factory=Threshold)
    alerts: AlertPolicy = field(default_factory=AlertPolicy)
    training: dict[str, Any] = field(default_factory=dict)
