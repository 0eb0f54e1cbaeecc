"""Alerts of kind `residual`: a sample's score is at or above the threshold.

A stream in which nothing happens holds no memory here: only streams that are not idle do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from streamlstm.scoring.alert_course import Course, Sample
from streamlstm.scoring.alert_kinds.batch import SampleBatch
from streamlstm.scoring.alert_life import RISING, RISING_P, Life
from streamlstm.scoring.alert_summary import summary_of
from streamlstm.scoring.alerts import Alert, AlertPolicy, ChannelPart
from streamlstm.scoring.opening_ledger import OpeningLedger
from streamlstm.types import Scores, Status

__all__ = ["ResidualAlerts"]

_NAMED_CHANNELS = 5
_LATE, _GAP = int(Status.LATE), int(Status.GAP)


class ResidualAlerts:
    """Follows the scores of the streams of one model in one input partition."""

    kind: ClassVar[str] = "residual"

    def __init__(
        self, policy: AlertPolicy, ledger: OpeningLedger, *, channels: Sequence[str], units: Sequence[str]
    ) -> None:
        """Make one without streams; the policy must be in samples and event time."""
        self.lives: dict[str, Life] = {}
        self._course = Course(self.kind, policy, ledger, self._summary)
        self._channels = tuple(channels)
        self._units = dict(zip(channels, units, strict=False))  # a bundle without units has none

    def update(self, batch: SampleBatch) -> Iterator[tuple[int, Alert]]:
        """Advance by rows in arrival order; yield (row, alert) for every alert that changed."""
        scores, stream_ids = batch.scores, batch.stream_ids
        score = scores.score  # NaN is neither above nor rising
        rising = (score >= 1.0) | ((score >= RISING) & (scores.p_value <= RISING_P))
        if not (rising.any() or self.lives):
            return
        concerned = {stream_ids[row] for row in np.flatnonzero(rising).tolist()} | self.lives.keys()
        for row, stream_id in enumerate(stream_ids):
            if stream_id not in concerned or scores.status[row] == _LATE:
                continue
            life = self.lives.get(stream_id)
            if life is None:
                if not rising[row]:
                    continue
                life = self.lives[stream_id] = Life()
            alert = self._advance(life, batch, row, is_rising=bool(rising[row]))
            if alert is not None:
                yield row, alert
            if self._course.is_idle(life, int(batch.event_time_ms[row])):
                del self.lives[stream_id]

    def _advance(self, life: Life, batch: SampleBatch, row: int, *, is_rising: bool) -> Alert | None:
        scores, ts = batch.scores, int(batch.event_time_ms[row])
        if scores.status[row] == _GAP:  # what was open cannot be followed
            return self._course.cut(life, ts)
        sample = Sample(
            batch.stream_ids[row],
            ts,
            batch.positions[row],
            batch.model,
            float(scores.score[row]),
            float(scores.p_value[row]),
            is_rising,
        )
        return self._course.advance(life, sample, lambda: self._channel_parts(row, batch.values, scores))

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
