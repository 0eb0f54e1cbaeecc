"""The life of an alert: pending, open, resolved, by stream, in event time.

    idle --score >= 1--> pending --open_after--> open --resolve_after below 1--> refractory --> idle
                            |  held back while the budget is spent, or in the refractory time unless worse

* A stream in which nothing happens holds no memory here: only streams that are not idle do, and, as one number, those
  that have not paid for their openings yet.
* What a stream may open is bounded, whatever its scores are (`budget`). A run that is held back may open later: when
  its score rises, or when enough is paid for.
* An alert starts where the score began to rise: at the first sample of an unbroken run at or above half of the
  threshold, and rarer than one in 200, at most two times 64 samples before the threshold was passed.
* In the refractory time after an alert a new one opens only if it is worse: 1.3 times the last peak at first, falling
  evenly to the threshold. A fault that flickers is one alert, and what comes later is not silenced for long. The
  remembered peak is capped, so one huge spike does not silence what comes right after it either.
* Every change is a whole record again with the next `revision`: opened, grown more severe, resolved.

Deterministic: the same scores in the same order give the same alerts, whatever the batches they came in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm.model.bundles.base import BundleBase
from streamlstm.scoring.alert_life import RISING, RISING_P, Life
from streamlstm.scoring.alert_summary import summary_of
from streamlstm.scoring.alerts import Alert, AlertPolicy, ChannelPart, Peak, Severity, is_at_least, severity_of
from streamlstm.scoring.budget import OpeningBudget
from streamlstm.types import Position, Scores, Status

__all__ = ["AlertTracker"]

_WORSE = 1.3
_REMEMBERED_PEAK = 10.0
_NAMED_CHANNELS = 5
_LATE, _GAP = int(Status.LATE), int(Status.GAP)
_UNKNOWN_PERIOD_ROWS = 64
"""As many samples stand for a period where the model found none."""


class AlertTracker:
    """Follows the alerts of the streams of one model in one input partition."""

    def __init__(
        self,
        policy: AlertPolicy,
        *,
        model: str,
        channels: Sequence[str],
        units: Sequence[str] = (),
        period_rows: int = 0,
        budget: OpeningBudget | None = None,
    ) -> None:
        """Make one without streams; without a budget openings are not bounded, and 0 `period_rows` are unknown."""
        self.policy = policy
        self.held_back = 0
        """Runs that would have opened an alert and were held back by the budget, when they were first held back."""
        self._delays = policy.in_samples(period_rows or _UNKNOWN_PERIOD_ROWS)
        self._budget = budget
        self._model = model
        self._channels = tuple(channels)
        self._units = dict(zip(channels, units, strict=False))  # a bundle without units has none
        self._lives: dict[str, Life] = {}
        self._paid_until: dict[str, int] = {}
        self._next_paid = 0

    @classmethod
    def of(cls, bundle: BundleBase, policy: AlertPolicy, budget: OpeningBudget | None) -> Self:
        """Make one without streams for a model."""
        return cls(
            policy,
            model=bundle.label,
            channels=bundle.channels,
            units=bundle.units,
            period_rows=bundle.period_rows,
            budget=budget,
        )

    @property
    def open_alerts(self) -> list[Alert]:
        """Alerts that are open now."""
        return [life.alert for life in list(self._lives.values()) if life.alert is not None]

    @property
    def owing(self) -> int:
        """Streams that have not paid for their openings yet."""
        return len(self._paid_until)

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
        score = scores.score  # NaN is neither above nor rising
        rising = (score >= 1.0) | ((score >= RISING) & (scores.p_value <= RISING_P))
        if rising.any() or self._lives:
            yield from self._advance_rows(stream_ids, event_time_ms, values, scores, positions, rising, model)
        self._forget_paid(stream_ids, event_time_ms)

    def _advance_rows(
        self,
        stream_ids: Sequence[str],
        event_time_ms: NDArray[np.int64],
        values: NDArray[np.float32],
        scores: Scores,
        positions: Sequence[Position],
        rising: NDArray[np.bool_],
        model: str | None,
    ) -> Iterator[tuple[int, Alert]]:
        concerned = {stream_ids[row] for row in np.flatnonzero(rising).tolist()} | self._lives.keys()
        for row, stream_id in enumerate(stream_ids):
            if stream_id not in concerned or scores.status[row] == _LATE:
                continue
            life = self._lives.get(stream_id)
            if life is None:
                if not rising[row]:
                    continue
                life = self._lives[stream_id] = Life()
            ts = int(event_time_ms[row])
            alert = self._advance(
                life,
                stream_id,
                row,
                ts,
                values,
                scores,
                positions[row],
                model or self._model,
                is_rising=bool(rising[row]),
            )
            if alert is not None:
                yield row, alert
            if self._is_idle(life, ts):
                del self._lives[stream_id]

    def _advance(
        self,
        life: Life,
        stream_id: str,
        row: int,
        ts: int,
        values: NDArray[np.float32],
        scores: Scores,
        position: Position,
        model: str,
        *,
        is_rising: bool,
    ) -> Alert | None:
        score = float(scores.score[row])
        if scores.status[row] == _GAP:  # the stream starts again; what was open cannot be followed
            life.above = life.rise = 0
            return self._resolve(life, ts) if life.alert else None
        if np.isnan(score):
            return None
        is_above = score >= 1.0
        if life.alert is None:
            life.follow_run(ts, position, is_rising=is_rising, is_above=is_above)
        if not is_above and life.below == 0:
            life.below_since = ts
        life.above = life.above + 1 if is_above else 0
        life.below = 0 if is_above else life.below + 1
        life.resolved_samples += life.resolved_at is not None
        if is_above and (life.peak is None or score > life.peak.score):
            life.peak = Peak(round(score, 6), ts, float(scores.p_value[row]))
            life.channels = self._channel_parts(row, values, scores)
        if life.alert is not None:
            return self._follow_open(life, life.alert, ts)
        if is_above and self._delays.open_after.is_over(life.above, ts - life.run_began):
            return self._open_if_allowed(life, stream_id, ts, model)
        return None

    def _follow_open(self, life: Life, alert: Alert, ts: int) -> Alert | None:
        life.samples += 1
        life.opened_samples += 1
        is_over = life.below > 0 and self._delays.resolve_after.is_over(life.below, ts - life.below_since)
        if is_over and self._delays.min_duration.is_over(life.opened_samples, ts - alert.detected_at):
            return self._resolve(life, ts)
        if self._severity(life, alert, ts) != alert.severity:
            return self._revise(life, alert, ts)
        return None

    def _severity(self, life: Life, alert: Alert, ts: int) -> Severity:
        assert life.peak is not None
        has_lasted = self._delays.escalate_after.is_over(life.opened_samples, ts - alert.detected_at)
        return severity_of(life.peak.score, has_lasted=has_lasted)

    def _open_if_allowed(self, life: Life, stream_id: str, ts: int, model: str) -> Alert | None:
        """Open an alert of a run that has lasted long enough, or hold it back."""
        assert life.peak is not None
        score = life.peak.score
        if score < self._refractory_level(life, ts):
            return None
        paid_until = self._paid_until.get(stream_id, ts)
        if self._budget is None:
            return self._open(life, stream_id, ts, model)
        if self._budget.allows(score, paid_until, ts):
            self._charge(stream_id, self._budget.charge(paid_until, ts))
            return self._open(life, stream_id, ts, model)
        least = self.policy.outside_budget
        if least is not None and is_at_least(severity_of(score), least):
            return self._open(life, stream_id, ts, model, outside_budget=True)
        if not life.is_held:
            life.is_held = True
            self.held_back += 1
        return None

    def _refractory_level(self, life: Life, ts: int) -> float:
        """Return the score that is needed so soon after the last alert."""
        if life.resolved_at is None:
            return 1.0
        share = self._delays.refractory.share(life.resolved_samples, ts - life.resolved_at)
        return 1.0 + (_WORSE * life.last_peak - 1.0) * (1.0 - share)

    def _is_idle(self, life: Life, ts: int) -> bool:
        if life.alert is not None or life.above > 0 or life.rise > 0:
            return False
        if life.resolved_at is None:
            return True
        return self._delays.refractory.is_over(life.resolved_samples, ts - life.resolved_at)

    def _charge(self, stream_id: str, paid_until: int) -> None:
        self._paid_until.pop(stream_id, None)  # the newest is the last, whether it was forgotten in between or not
        self._next_paid = min(self._next_paid, paid_until) if self._paid_until else paid_until
        self._paid_until[stream_id] = paid_until

    def _forget_paid(self, stream_ids: Sequence[str], event_time_ms: NDArray[np.int64]) -> None:
        """Forget the streams among these that have paid for their openings."""
        if not self._paid_until or not len(stream_ids) or event_time_ms.max() < self._next_paid:
            return
        for stream_id, ts in zip(stream_ids, event_time_ms.tolist(), strict=True):
            if ts >= self._paid_until.get(stream_id, ts + 1):
                del self._paid_until[stream_id]
        self._next_paid = min(self._paid_until.values(), default=0)

    def release_older_than(self, event_time_ms: int) -> None:
        """Forget what streams owe that have paid for it before that time; streams as old are released."""
        self._paid_until = {stream: until for stream, until in self._paid_until.items() if until > event_time_ms}

    def _open(self, life: Life, stream_id: str, ts: int, model: str, *, outside_budget: bool = False) -> Alert:
        assert life.peak is not None and life.opened_by is not None
        topic, partition, offset = life.opened_by
        identity = f"{model}\0{stream_id}\0residual\0{topic}\0{partition}\0{offset}\0{life.run_began}"
        life.rise = life.opened_samples = 0
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
            summary=self._summary(life, stream_id),
            outside_budget=outside_budget,
        )
        return life.alert

    def _revise(self, life: Life, alert: Alert, ts: int) -> Alert:
        assert life.peak is not None
        life.alert = msgspec.structs.replace(
            alert,
            revision=alert.revision + 1,
            severity=self._severity(life, alert, ts),
            peak=life.peak,
            samples=life.samples,
            channels=life.channels,
            summary=self._summary(life, alert.stream_id),
        )
        return life.alert

    def _resolve(self, life: Life, ts: int) -> Alert:
        assert life.alert is not None
        resolved = msgspec.structs.replace(self._revise(life, life.alert, ts), state="resolved", resolved_at=ts)
        life.alert, life.resolved_at, life.resolved_samples = None, ts, 0
        life.last_peak = min(resolved.peak.score, _REMEMBERED_PEAK)
        life.peak = None
        return resolved

    def _summary(self, life: Life, stream_id: str) -> str:
        assert life.peak is not None
        channel = life.channels[0]
        unit = self._units.get(channel.name, "")
        return summary_of(stream_id, channel=channel, unit=unit, started_at=life.started_at, peak=life.peak)

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
        """Return the streams that are not idle, and those that owe, as JSON."""
        owing = self._paid_until
        lives = {
            stream: msgspec.structs.replace(life, paid_until=owing.get(stream)) for stream, life in self._lives.items()
        }
        lives |= {stream: Life(paid_until=owing[stream]) for stream in sorted(owing.keys() - lives.keys())}
        return msgspec.json.encode(lives)

    def import_state(self, state: bytes) -> None:
        """Take over what `export_state` returned, of this version or an earlier one."""
        lives = msgspec.json.decode(state, type=dict[str, Life])
        self._paid_until = {stream: life.paid_until for stream, life in lives.items() if life.paid_until is not None}
        self._next_paid = min(self._paid_until.values(), default=0)
        followed = {stream: msgspec.structs.replace(life, paid_until=None) for stream, life in lives.items()}
        self._lives = {stream: life for stream, life in followed.items() if life != Life()}
