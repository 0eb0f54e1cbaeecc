"""Alerts of kind `residual`: a sample's score is at or above the threshold.

A stream in which nothing happens holds no memory here: only streams that are not idle do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from streamlstm.scoring.alert_course import Course, Sample
from streamlstm.scoring.alert_kinds.batch import SampleBatch
from streamlstm.scoring.alert_life import RISING, RISING_P, Life
from streamlstm.scoring.alert_summary import summary_of
from streamlstm.scoring.alert_verdicts import STANDS, AlertVerdicts
from streamlstm.scoring.alerts import Alert, AlertPolicy, ChannelPart
from streamlstm.scoring.opening_ledger import OpeningLedger
from streamlstm.types import Scores, Settled, Status

__all__ = ["ResidualAlerts", "ResidualWatch"]

_NAMED_CHANNELS = 5
_GAP = int(Status.GAP)


class ResidualAlerts:
    """Follows the scores of the streams of one model in one input partition."""

    kind: ClassVar[str] = "residual"

    def __init__(
        self, policy: AlertPolicy, ledger: OpeningLedger, *, channels: Sequence[str], units: Sequence[str]
    ) -> None:
        """Make one without streams; the policy must be in samples and event time."""
        self.lives: dict[str, Life] = {}
        self.verdicts = AlertVerdicts(ledger, self._summary_anew)
        self._is_judged = policy.settled
        self._course = Course(self.kind, policy, ledger, self._summary)
        self._channels = tuple(channels)
        self._units = dict(zip(channels, units, strict=False))  # a bundle without units has none

    def watch(self, batch: SampleBatch) -> ResidualWatch:
        """Return what there is to follow in a batch."""
        score = batch.scores.score  # NaN is neither above nor rising
        rising = (score >= 1.0) | ((score >= RISING) & (batch.scores.p_value <= RISING_P))
        settled = batch.scores.settled if self._is_judged else None
        moving = rising if settled is None else rising | (settled.settled >= STANDS)
        streams = {batch.stream_ids[row] for row in np.flatnonzero(moving).tolist()} | self.lives.keys()
        return ResidualWatch(self, batch, rising, settled, streams | self.verdicts.streams.keys())

    def settle(self, batch: SampleBatch, row: int, settled: Settled) -> Iterator[Alert]:
        """Judge a stream's alerts by the verdict that a sample brings; one that is open goes on as it then is."""
        stream_id = batch.stream_ids[row]
        if batch.scores.status[row] == _GAP:
            self.verdicts.cut(stream_id)
        verdict = float(settled.settled[row])
        if np.isnan(verdict):
            return
        ts, score = int(settled.event_time_ms[row]), float(settled.score[row])
        for alert in self.verdicts.settle(stream_id, ts, settled=verdict, score=score):
            life = self.lives.get(stream_id)
            if life is not None and life.alert is not None and life.alert.alert_id == alert.alert_id:
                life.alert, life.started_at = alert, alert.started_at
            yield alert

    def advance(self, batch: SampleBatch, row: int, *, is_rising: bool, will_be_judged: bool) -> Alert | None:
        """Advance a stream by a sample; return its alert if that changed."""
        stream_id, scores, ts = batch.stream_ids[row], batch.scores, int(batch.event_time_ms[row])
        life = self.lives.get(stream_id)
        if life is None:
            if not is_rising:
                return None
            life = self.lives[stream_id] = Life()
        if scores.status[row] == _GAP:  # what was open cannot be followed
            alert = self._course.cut(life, ts)
        else:
            sample = Sample(
                stream_id,
                ts,
                batch.positions[row],
                batch.model,
                float(scores.score[row]),
                float(scores.p_value[row]),
                is_rising,
                will_be_judged=will_be_judged,
            )
            alert = self._course.advance(life, sample, lambda: self._channel_parts(row, batch.values, scores))
        if self._course.is_idle(life, ts):
            del self.lives[stream_id]
        if alert is not None and will_be_judged:
            self.verdicts.follow(alert)
        return alert

    def _summary(self, life: Life, stream_id: str) -> str:
        assert life.peak is not None
        channel = life.channels[0]
        unit = self._units.get(channel.name, "")
        return summary_of(stream_id, channel=channel, unit=unit, started_at=life.started_at, peak=life.peak)

    def _summary_anew(self, alert: Alert) -> str:
        channel = alert.channels[0]
        unit = self._units.get(channel.name, "")
        return summary_of(alert.stream_id, channel=channel, unit=unit, started_at=alert.started_at, peak=alert.peak)

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


@dataclass(frozen=True, slots=True)
class ResidualWatch:
    """The streams of a batch whose score rises, or that are not idle, or whose alerts are to be judged.

    Shapes: rising bool [N].
    """

    alerts: ResidualAlerts
    batch: SampleBatch
    rising: NDArray[np.bool_]
    settled: Settled | None
    streams: Set[str]

    def advance(self, row: int) -> Iterator[Alert]:
        """Advance by a sample of such a stream; yield the alerts that changed, those first that were before it."""
        if self.settled is not None:
            yield from self.alerts.settle(self.batch, row, self.settled)
        is_rising = bool(self.rising[row])
        alert = self.alerts.advance(self.batch, row, is_rising=is_rising, will_be_judged=self.settled is not None)
        if alert is not None:
            yield alert
