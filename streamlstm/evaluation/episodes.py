"""Alerts held against known faults: which were found, after how long, and how many alerts were false.

All times are event times, and both ends of every span belong to it. With a tolerance t, an alert that was detected
at d, whose samples began at s, and that was resolved at r (or is open, and lasts to the end of the recording)

    finds    an episode [a, b] that it opens in          a <= d <= b + t
    covers   one in which it was open                    a <= r  and  d <= b + t
    is false when it touches none                        not (a <= r  and  s <= b + t)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import numpy as np

from streamlstm.evaluation.measures.events import match
from streamlstm.streaming.encoders import AlertRecord

__all__ = ["AlertSpan", "Episode", "GroupVerdict", "StreamVerdict", "Verdict", "judge"]

_MS_PER_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Episode:
    """One known fault. Units: ms of event time."""

    name: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class AlertSpan:
    """From an alert's first sample to its end, None while it is open; it was detected at `detected_ms`."""

    alert_id: str
    stream_id: str
    start_ms: int
    detected_ms: int
    resolved_ms: int | None

    @classmethod
    def of_record(cls, record: AlertRecord) -> Self:
        """Take one revision of an alert as it was published."""
        resolved_ms = None if record.resolved_at is None else _ms(record.resolved_at)
        return cls(record.alert_id, record.stream_id, _ms(record.started_at), _ms(record.detected_at), resolved_ms)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One episode: how long after its start an alert opened in it (None: none did), and whether one was open."""

    episode: Episode
    delay_s: float | None
    is_covered: bool


@dataclass(frozen=True, slots=True)
class StreamVerdict:
    """One stream: what became of each episode, and how many of its alerts met none."""

    stream_id: str
    verdicts: tuple[Verdict, ...]
    false_alarms: int
    alerts: int
    days: float


@dataclass(frozen=True, slots=True)
class GroupVerdict:
    """All streams of one group."""

    name: str
    streams: tuple[StreamVerdict, ...]

    @property
    def false_alarms_per_stream_day(self) -> float:
        """False alarms over the time watched."""
        days = sum(stream.days for stream in self.streams)
        return sum(stream.false_alarms for stream in self.streams) / days if days > 0 else 0.0


def judge(
    stream_id: str,
    alerts: Iterable[AlertSpan],
    episodes: Sequence[Episode],
    *,
    begin_ms: int,
    end_ms: int,
    tolerance_ms: int,
) -> StreamVerdict:
    """Hold one stream's alerts against its known episodes.

    `alerts` may be those of many streams, and hold several revisions of one alert, of which the last counts.
    Units: the recording ran from begin_ms to end_ms; tolerance_ms after its end an episode may still be found.
    """
    newest = {alert.alert_id: alert for alert in alerts if alert.stream_id == stream_id}
    spans = np.array(
        [
            (alert.start_ms, alert.detected_ms, end_ms if alert.resolved_ms is None else alert.resolved_ms)
            for alert in newest.values()
        ],
        np.int64,
    ).reshape(-1, 3)
    zones = np.array([(episode.start_ms, episode.end_ms + tolerance_ms) for episode in episodes], np.int64)
    matched = match(zones.reshape(-1, 2), started=spans[:, 0], detected=spans[:, 1], ended=spans[:, 2])
    verdicts = tuple(
        Verdict(episode, (first - episode.start_ms) / 1000 if is_found else None, is_covered)
        for episode, is_found, first, is_covered in zip(
            episodes, matched.is_found.tolist(), matched.first.tolist(), matched.is_covered.tolist(), strict=True
        )
    )
    false = int((~matched.meets).sum())
    return StreamVerdict(stream_id, verdicts, false, len(spans), (end_ms - begin_ms) / _MS_PER_DAY)


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
