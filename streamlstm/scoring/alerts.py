"""The life of an alert: pending, open, resolved, by stream, in event time.

    idle --score >= 1--> pending --open_after in a row--> open --resolve_after in a row below 1--> refractory --> idle

* A stream in which nothing happens holds no memory here; only streams that are not idle do.
* In the refractory time after an alert a new one opens only if it is worse (1.3 times the last peak): a fault that
  flickers is one alert. The remembered peak is capped, so one huge spike does not silence what comes after it.
* Every change is a whole record again with the next `revision`: opened, grown more severe, resolved.

Deterministic: the same scores in the same order give the same alerts, whatever the batches they came in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm.types import Position, Scores, Status

__all__ = ["Alert", "AlertPolicy", "AlertTracker", "ChannelPart", "Peak", "severity_of"]

_WORSE = 1.3
_REMEMBERED_PEAK = 10.0
_NAMED_CHANNELS = 5


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """When an alert opens and resolves.

    Units: open_after and resolve_after in samples of the stream; refractory in ms of event time.
    """

    open_after: int = 2
    resolve_after: int = 5
    refractory_ms: int = 30_000


class ChannelPart(msgspec.Struct, frozen=True):
    """What one channel contributed at the peak. `value` is None where it was missing."""

    name: str
    contribution: float
    value: float | None
    expected: float


class Peak(msgspec.Struct, frozen=True):
    """The highest score and when it came."""

    score: float
    ts: int


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


class _Life(msgspec.Struct):
    """Where a stream that is not idle stands. Stored in snapshots as it is."""

    above: int = 0
    below: int = 0
    samples: int = 0
    started_at: int = 0
    opened_by: Position | None = None
    peak: Peak | None = None
    channels: tuple[ChannelPart, ...] = ()
    alert: Alert | None = None
    resolved_at: int | None = None
    last_peak: float = 0.0


def severity_of(score: float) -> str:
    """Return low, medium or high: twice and four times the threshold part them."""
    return "low" if score < 2.0 else "medium" if score < 4.0 else "high"


class AlertTracker:
    """Follows the alerts of the streams of one model in one input partition."""

    def __init__(self, policy: AlertPolicy, *, model: str, channels: Sequence[str]) -> None:
        self.policy = policy
        self._model = model
        self._channels = tuple(channels)
        self._lives: dict[str, _Life] = {}

    @property
    def open_alerts(self) -> list[Alert]:
        """Alerts that are open now."""
        return [life.alert for life in list(self._lives.values()) if life.alert is not None]

    def is_open(self, stream_id: str) -> bool:
        """Say whether the stream has an open alert."""
        life = self._lives.get(stream_id)
        return life is not None and life.alert is not None

    def update(
        self,
        stream_ids: Sequence[str],
        event_time_ms: NDArray[np.int64],
        values: NDArray[np.float32],
        scores: Scores,
        positions: Sequence[Position],
        *,
        model: str | None = None,
    ) -> Iterator[tuple[int, Alert]]:
        """Advance by rows in arrival order; yield (row, alert) for every alert that changed.

        `model` is the label of the model that scored these rows, where it is another than the tracker's: an alert
        carries the one that opened it.
        Shapes: N rows; values [N, C] in the channels' own units.
        """
        above = scores.score >= 1.0  # NaN is not
        if not self._lives and not above.any():
            return
        concerned = {stream_ids[row] for row in np.flatnonzero(above).tolist()} | self._lives.keys()
        for row, stream_id in enumerate(stream_ids):
            if stream_id not in concerned or scores.status[row] == Status.LATE:
                continue
            life = self._lives.get(stream_id)
            if life is None:
                if not above[row]:
                    continue
                life = self._lives[stream_id] = _Life()
            ts = int(event_time_ms[row])
            alert = self._advance(life, stream_id, row, ts, values, scores, positions[row], model or self._model)
            if alert is not None:
                yield row, alert
            if self._is_idle(life, ts):
                del self._lives[stream_id]

    def _advance(
        self,
        life: _Life,
        stream_id: str,
        row: int,
        ts: int,
        values: NDArray[np.float32],
        scores: Scores,
        position: Position,
        model: str,
    ) -> Alert | None:
        score = float(scores.score[row])
        if scores.status[row] == Status.GAP:  # the stream starts again; what was open cannot be followed
            life.above = 0
            return self._resolve(life, ts) if life.alert else None
        if np.isnan(score):
            return None
        is_above = score >= 1.0
        if is_above and life.above == 0 and life.alert is None:
            life.started_at, life.opened_by, life.samples, life.peak = ts, position, 0, None
        life.above = life.above + 1 if is_above else 0
        life.below = 0 if is_above else life.below + 1
        life.samples += 1
        if is_above and (life.peak is None or score > life.peak.score):
            life.peak = Peak(round(score, 6), ts)
            life.channels = self._channel_parts(row, values, scores)
        if life.alert is not None:
            if life.below >= self.policy.resolve_after:
                return self._resolve(life, ts)
            if life.peak is not None and severity_of(life.peak.score) != life.alert.severity:
                return self._revise(life, life.alert)
            return None
        if life.above >= self.policy.open_after and not self._is_refractory(life, ts, score):
            return self._open(life, stream_id, ts, model)
        return None

    def _is_refractory(self, life: _Life, ts: int, score: float) -> bool:
        if life.resolved_at is None or ts - life.resolved_at >= self.policy.refractory_ms:
            return False
        return score < _WORSE * life.last_peak

    def _is_idle(self, life: _Life, ts: int) -> bool:
        if life.alert is not None or life.above > 0:
            return False
        return life.resolved_at is None or ts - life.resolved_at >= self.policy.refractory_ms

    def _open(self, life: _Life, stream_id: str, ts: int, model: str) -> Alert:
        assert life.peak is not None and life.opened_by is not None
        topic, partition, offset = life.opened_by
        identity = f"{model}\0{stream_id}\0residual\0{topic}\0{partition}\0{offset}\0{life.started_at}"
        life.alert = Alert(
            alert_id=hashlib.sha256(identity.encode()).hexdigest()[:24],
            revision=1,
            state="open",
            kind="residual",
            severity=severity_of(life.peak.score),
            stream_id=stream_id,
            started_at=life.started_at,
            detected_at=ts,
            resolved_at=None,
            peak=life.peak,
            samples=life.samples,
            channels=life.channels,
            model=model,
            summary=_summary(stream_id, life.peak, life.channels),
        )
        return life.alert

    def _revise(self, life: _Life, alert: Alert) -> Alert:
        assert life.peak is not None
        life.alert = msgspec.structs.replace(
            alert,
            revision=alert.revision + 1,
            severity=severity_of(life.peak.score),
            peak=life.peak,
            samples=life.samples,
            channels=life.channels,
            summary=_summary(alert.stream_id, life.peak, life.channels),
        )
        return life.alert

    def _resolve(self, life: _Life, ts: int) -> Alert:
        assert life.alert is not None
        resolved = msgspec.structs.replace(self._revise(life, life.alert), state="resolved", resolved_at=ts)
        life.alert, life.resolved_at = None, ts
        life.last_peak = min(resolved.peak.score, _REMEMBERED_PEAK)
        life.peak = None
        return resolved

    def _channel_parts(self, row: int, values: NDArray[np.float32], scores: Scores) -> tuple[ChannelPart, ...]:
        order = [int(c) for c in np.argsort(-scores.contribution[row], kind="stable")[:_NAMED_CHANNELS]]
        return tuple(
            ChannelPart(
                name=self._channels[c],
                contribution=round(float(scores.contribution[row, c]), 4),
                value=None if np.isnan(values[row, c]) else float(f"{values[row, c]:.6g}"),
                expected=float(f"{scores.expected[row, c]:.6g}"),
            )
            for c in order
        )

    def export_state(self) -> bytes:
        """Return the streams that are not idle, as JSON."""
        return msgspec.json.encode(self._lives)

    def import_state(self, state: bytes) -> None:
        """Take over what `export_state` returned."""
        self._lives = msgspec.json.decode(state, type=dict[str, _Life])


def _summary(stream_id: str, peak: Peak, channels: Sequence[ChannelPart]) -> str:
    first = channels[0]
    came = "missing" if first.value is None else f"{first.value:.4g}"
    return f"{stream_id}: {first.name} {came} where {first.expected:.4g} was expected (score {peak.score:.2f})"
