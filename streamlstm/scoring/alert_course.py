"""The course that every alert takes: pending, open, resolved, by its stream's samples and in event time.

    idle --score >= 1--> pending --open_after--> open --resolve_after below 1--> refractory --> idle
                            |  held back while the budget is spent, or in the refractory time unless worse

* What a stream may open is bounded, whatever its scores are (`budget`). A run that is held back may open later: when
  its score rises, or when enough is paid for.
* An alert starts where the score began to rise: at the first sample of an unbroken run at or above half of the
  threshold, and rarer than one in 200, at most two times 64 samples before the threshold was passed.
* In the refractory time after an alert a new one opens only if it is worse: 1.3 times the last peak at first, falling
  evenly to the threshold. A fault that flickers is one alert, and what comes later is not silenced for long. The
  remembered peak is capped, so one huge spike does not silence what comes right after it either.
* Every change is a whole record again with the next `revision`: opened, grown more severe, resolved.

What is followed, and what its score is, is a kind's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np

from streamlstm.scoring.alert_life import Life
from streamlstm.scoring.alerts import Alert, AlertPolicy, ChannelPart, Peak, Severity, alert_id_of, severity_of
from streamlstm.scoring.opening_ledger import OpeningLedger
from streamlstm.types import Position

__all__ = ["Course", "Sample", "SummaryOf"]

_WORSE = 1.3
_REMEMBERED_PEAK = 10.0

SummaryOf = Callable[[Life, str], str]
"""Writes the sentence of an alert, from what is known of it and the id of its stream."""


class Sample(NamedTuple):
    """One sample of a stream, as a kind of alert sees it; NaN is no score.

    `since` and `samples` say when what passes the threshold here began, and so many samples ago, where the kind knows:
    its alert starts there.
    """

    stream_id: str
    ts: int
    position: Position
    model: str
    score: float
    p_value: float | None
    is_rising: bool
    since: int | None = None
    samples: int = 1
    will_be_judged: bool = False
    """Whether an alert that it opens is judged one period later (`alert_verdicts`)."""


class Course:
    """The rules by which the alerts of one kind open, change and are resolved. Holds no stream."""

    def __init__(
        self, kind: str, policy: AlertPolicy, ledger: OpeningLedger | None, summary_of: SummaryOf, *, subject: str = ""
    ) -> None:
        """Make one; the policy must be in samples and event time. Without a ledger nothing is bounded.

        Alerts of one kind that a record may open side by side differ in their `subject`.
        """
        self._kind = kind
        self._subject = subject
        self._delays = policy
        self._ledger = ledger
        self._summary_of = summary_of

    def advance(self, life: Life, sample: Sample, parts: Callable[[], tuple[ChannelPart, ...]]) -> Alert | None:
        """Advance by a sample; return the alert if it changed. `parts` says what the channels are at a peak."""
        score, ts = sample.score, sample.ts
        if np.isnan(score):
            return None
        is_above = score >= 1.0
        if life.alert is None:
            life.follow_run(ts, sample.position, is_rising=sample.is_rising, is_above=is_above)
            if sample.since is not None and is_above and life.above == 0:
                life.started_at, life.samples = sample.since, sample.samples
        if not is_above and life.below == 0:
            life.below_since = ts
        life.above = life.above + 1 if is_above else 0
        life.below = 0 if is_above else life.below + 1
        life.resolved_samples += life.resolved_at is not None
        if is_above and (life.peak is None or score > life.peak.score):
            life.peak = Peak(round(score, 6), ts, sample.p_value)
            life.channels = parts()
        if life.alert is not None:
            return self._follow_open(life, life.alert, ts)
        if is_above and self._delays.open_after.is_over(life.above, ts - life.run_began):
            return self._open_if_allowed(life, sample)
        return None

    def retell(self, life: Life, ts: int, channels: tuple[ChannelPart, ...]) -> Alert | None:
        """Take other channels into what is followed; return the alert that this changes."""
        life.channels = channels
        return None if life.alert is None else self._revise(life, life.alert, ts)

    def cut(self, life: Life, ts: int) -> Alert | None:
        """End what is followed: the stream starts again. Return the alert that this resolves."""
        life.above = life.rise = 0
        return self._resolve(life, ts) if life.alert else None

    def is_idle(self, life: Life, ts: int) -> bool:
        """Say whether nothing needs to be remembered."""
        if life.alert is not None or life.above > 0 or life.rise > 0:
            return False
        if life.resolved_at is None:
            return True
        return self._delays.refractory.is_over(life.resolved_samples, ts - life.resolved_at)

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

    def _open_if_allowed(self, life: Life, sample: Sample) -> Alert | None:
        """Open an alert of a run that has lasted long enough, or hold it back."""
        assert life.peak is not None
        score = life.peak.score
        if score < self._refractory_level(life, sample.ts):
            return None
        ledger = self._ledger
        if ledger is None or ledger.pays(sample.stream_id, sample.ts, score, until_judged=sample.will_be_judged):
            return self._open(life, sample)
        if ledger.lets_through(score):
            return self._open(life, sample, outside_budget=True)
        if not life.is_held:
            life.is_held = True
            ledger.held_back += 1
        return None

    def _refractory_level(self, life: Life, ts: int) -> float:
        """Return the score that is needed so soon after the last alert."""
        if life.resolved_at is None:
            return 1.0
        share = self._delays.refractory.share(life.resolved_samples, ts - life.resolved_at)
        return 1.0 + (_WORSE * life.last_peak - 1.0) * (1.0 - share)

    def _open(self, life: Life, sample: Sample, *, outside_budget: bool = False) -> Alert:
        assert life.peak is not None and life.opened_by is not None
        stream_id, model, opened_by = sample.stream_id, sample.model, life.opened_by
        life.rise = life.opened_samples = 0
        life.alert = Alert(
            alert_id=alert_id_of(model, stream_id, self._kind, opened_by, life.run_began, subject=self._subject),
            revision=1,
            state="open",
            kind=self._kind,
            severity=severity_of(life.peak.score),
            stream_id=stream_id,
            started_at=life.started_at,
            detected_at=sample.ts,
            resolved_at=None,
            peak=life.peak,
            samples=life.samples,
            channels=life.channels,
            model=model,
            summary=self._summary_of(life, stream_id),
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
            summary=self._summary_of(life, alert.stream_id),
        )
        return life.alert

    def _resolve(self, life: Life, ts: int) -> Alert:
        assert life.alert is not None
        resolved = msgspec.structs.replace(self._revise(life, life.alert, ts), state="resolved", resolved_at=ts)
        life.alert, life.resolved_at, life.resolved_samples = None, ts, 0
        life.last_peak = min(resolved.peak.score, _REMEMBERED_PEAK)
        life.peak = None
        return resolved
