"""Alerts of kind `limit`: a channel is outside the range that was declared for it.

They are outside the budget: the user asked for them. An alert opens when a value has been outside for as long as the
declared delay, and is resolved by the first one that is back inside by the hysteresis. Missing values say nothing. What
stands for the score is 1 at the limit, and 1 more for each usual deviation of the channel beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from streamlstm.model.channels import Limits
from streamlstm.scoring.alert_course import Course, Sample, SummaryOf
from streamlstm.scoring.alert_kinds.batch import SampleBatch
from streamlstm.scoring.alert_life import Life
from streamlstm.scoring.alert_summary import since, with_unit
from streamlstm.scoring.alerts import Alert, AlertPolicy, ChannelPart
from streamlstm.scoring.delays import Delay
from streamlstm.types import Status

__all__ = ["LimitAlerts", "LimitWatch"]

_GAP = int(Status.GAP)


@dataclass(frozen=True, slots=True)
class _Bounded:
    """One channel with limits. Units: scale is its usual deviation, in its own unit."""

    index: int
    name: str
    limits: Limits
    scale: float
    course: Course

    def strength(self, value: float, *, is_open: bool) -> float:
        """Return what stands for the score; an open alert stays at 1 until the value is back inside."""
        low, high, inner = self.limits.low, self.limits.high, self.limits.hysteresis if is_open else 0.0
        beyond = max(-math.inf if low is None else low - value, -math.inf if high is None else value - high)
        if beyond > 0:
            return 1.0 + beyond / self.scale
        return 1.0 if is_open and beyond > -inner else 0.0


class LimitAlerts:
    """Follows the limits of the channels of one model in one input partition."""

    kind: ClassVar[str] = "limit"

    def __init__(
        self,
        policy: AlertPolicy,
        *,
        channels: Sequence[str],
        units: Sequence[str],
        scales: Sequence[float],
        limits: Mapping[str, Limits],
    ) -> None:
        """Make one without streams; of `limits` those of other channels are passed over."""
        self.lives: dict[str, dict[str, Life]] = {}
        shown = dict(zip(channels, units, strict=False))
        self._bounded = [
            _Bounded(c, name, limits[name], scales[c], self._course(policy, name, limits[name], shown.get(name, "")))
            for c, name in enumerate(channels)
            if name in limits
        ]
        self._lifted = Course(self.kind, policy, None, _as_before)

    def _course(self, policy: AlertPolicy, name: str, limits: Limits, unit: str) -> Course:
        delay = Delay(max(limits.delay_samples, 1), limits.delay_ms)
        waits = AlertPolicy(delay, Delay(), policy.min_duration, Delay(), policy.escalate_after)
        return Course(self.kind, waits, None, _summary_of(limits, unit), subject=name)

    def watch(self, batch: SampleBatch) -> LimitWatch:
        """Return what there is to follow in a batch."""
        if not self._bounded and not self.lives:
            return LimitWatch(self, batch, frozenset())
        outside = np.zeros(len(batch.stream_ids), np.bool_)
        for one in self._bounded:
            column = batch.values[:, one.index]  # NaN is neither below nor above
            outside |= column < (-np.inf if one.limits.low is None else one.limits.low)
            outside |= column > (np.inf if one.limits.high is None else one.limits.high)
        streams = {batch.stream_ids[row] for row in np.flatnonzero(outside).tolist()}
        return LimitWatch(self, batch, streams | self.lives.keys())

    def advance(self, batch: SampleBatch, row: int) -> list[Alert]:
        """Advance a stream by a sample; return its alerts that changed."""
        stream_id, ts = batch.stream_ids[row], int(batch.event_time_ms[row])
        lives = self.lives.pop(stream_id, {})
        alerts: list[Alert | None] = []
        courses = {one.name: one.course for one in self._bounded}
        for name in list(lives):  # where the stream starts again, or the limit is none any more, nothing is followed
            if name not in courses or batch.scores.status[row] == _GAP:
                alerts.append(courses.get(name, self._lifted).cut(lives.pop(name), ts))
        for one in self._bounded:
            value = float(batch.values[row, one.index])
            life = lives.get(one.name) or Life()
            if math.isfinite(value):
                strength = one.strength(value, is_open=life.alert is not None)
                position, label = batch.positions[row], batch.model
                sample = Sample(stream_id, ts, position, label, strength, None, is_rising=strength >= 1.0)
                expected = float(f"{batch.scores.expected[row, one.index]:.6g}")
                part = ChannelPart(one.name, 1.0, float(f"{value:.6g}"), expected)
                alerts.append(one.course.advance(life, sample, partial(_alone, part)))
            lives[one.name] = life
        if kept := {one.name: lives[one.name] for one in self._bounded if not one.course.is_idle(lives[one.name], ts)}:
            self.lives[stream_id] = kept
        return [alert for alert in alerts if alert is not None]


def _summary_of(limits: Limits, unit: str) -> SummaryOf:
    def write(life: Life, stream_id: str) -> str:
        channel = life.channels[0]
        value = math.nan if channel.value is None else channel.value
        is_below = limits.low is not None and value < limits.low
        side, bound = ("below", limits.low) if is_below else ("above", limits.high)
        limit = with_unit(math.nan if bound is None else bound, unit)
        came = with_unit(value, unit)
        return f"{stream_id}: {channel.name} {came}, {side} its limit of {limit}, {since(life.started_at)}"

    return write


def _alone(part: ChannelPart) -> tuple[ChannelPart, ...]:
    return (part,)


def _as_before(life: Life, stream_id: str) -> str:
    return stream_id if life.alert is None else life.alert.summary


@dataclass(frozen=True, slots=True)
class LimitWatch:
    """The streams of a batch that are outside of a limit, or were."""

    alerts: LimitAlerts
    batch: SampleBatch
    streams: Set[str]

    def advance(self, row: int) -> Iterable[Alert]:
        """Advance by a sample of such a stream; return the alerts that changed."""
        return self.alerts.advance(self.batch, row)
