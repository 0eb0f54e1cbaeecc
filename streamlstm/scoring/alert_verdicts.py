"""What becomes of an alert one period later: confirmed or withdrawn, and dated anew.

Samples are settled in their order (`settled`), and a sample *stands* where its verdict is STANDS or more. Samples that
stand in a row are a stretch.

* An alert is judged at the verdict on the sample that opened it: confirmed where that stands, withdrawn where not. A
  withdrawn one is confirmed after all if a sample that came while it was open stands.
* A confirmed one starts at the first alarm of its stretch, if that was before: one fault, which the score fell below in
  between. One alert of a stretch is dated back so, the first that is confirmed.
* A confirmed one has ended with the last sample of its stretch; with that of another stretch, if one began before the
  alert was resolved. This is the fault's own end, where `resolved_at` is that of the fast statistic.

Each is a revision of its own, of an alert that may have been resolved before. What a gap or the end of a recording cuts
off is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from streamlstm.scoring.alerts import Alert
from streamlstm.scoring.opening_ledger import OpeningLedger

__all__ = ["STANDS", "AlertVerdicts", "Judged"]

STANDS = 0.75
"""On 52 development series the sample that opens an alert reaches 0.7 in 130 of 141 true alerts and in 42 of 88 false
ones, 0.8 in 115 and 36, and 1.0, which is as rare as an alarm, in 60 and 22."""


class Judged(msgspec.Struct, omit_defaults=True):
    """What is known of a stream that has alerts to judge, or is in a stretch. Stored in snapshots as it is."""

    stands_at: int | None = None  # the last sample of the stretch; None = in none
    alarm_at: int | None = None  # its first sample at or above the threshold
    is_dated: bool = False  # whether an alert was dated back to it
    alerts: list[Alert] = []  # oldest first


class AlertVerdicts:
    """Judges the alerts of the streams of one model in one input partition."""

    def __init__(self, ledger: OpeningLedger, summary_of: Callable[[Alert], str]) -> None:
        """Make one without streams; what a confirmed alert was charged is given back to the ledger.

        `summary_of` writes the sentence of an alert anew.
        """
        self.streams: dict[str, Judged] = {}
        self.confirmed = self.withdrawn = 0
        self._ledger = ledger
        self._summary_of = summary_of

    def follow(self, alert: Alert) -> None:
        """Take note of an alert that opened, or of a later revision of it."""
        if alert.revision == 1:
            self.streams.setdefault(alert.stream_id, Judged()).alerts.append(alert)
            return
        judged = self.streams.get(alert.stream_id)
        for place, one in enumerate(judged.alerts if judged else ()):
            if judged and one.alert_id == alert.alert_id:
                judged.alerts[place] = alert

    def cut(self, stream_id: str) -> None:
        """Forget a stream that starts again: what it had opened stays charged and is not judged."""
        judged = self.streams.pop(stream_id, None)
        for alert in judged.alerts if judged else ():
            self._ledger.settle(stream_id, alert.detected_at, gives_back=False)

    def settle(self, stream_id: str, ts: int, *, settled: float, score: float) -> Iterator[Alert]:
        """Take the verdict on the sample of a stream at `ts`, which had `score`; yield the alerts that it changes."""
        stands = settled >= STANDS
        judged = self.streams.get(stream_id)
        if judged is None:
            if not stands:
                return
            judged = self.streams[stream_id] = Judged()
        ended_at = _follow_stretch(judged, ts, score, stands=stands)
        kept = []
        for alert in judged.alerts:
            if ts < alert.detected_at:
                kept.append(alert)
                continue
            changed = self._judge(alert, judged, ts, ended_at, stands=stands)
            if changed is not alert:
                yield changed
            is_confirmed = changed.settled == "confirmed"
            if changed.resolved_at is None or ts < changed.resolved_at or (is_confirmed and stands):
                kept.append(changed)
            elif not is_confirmed:
                self._ledger.settle(stream_id, changed.detected_at, gives_back=False)
        judged.alerts = kept
        if not kept and judged.stands_at is None:
            del self.streams[stream_id]

    def _judge(self, alert: Alert, judged: Judged, ts: int, ended_at: int | None, *, stands: bool) -> Alert:
        new: dict[str, Any] = {}
        was_open = alert.resolved_at is None or ts <= alert.resolved_at
        if was_open and stands and alert.settled != "confirmed":
            self.confirmed += 1
            self._ledger.settle(alert.stream_id, alert.detected_at, gives_back=True)
            new["settled"] = "confirmed"
            if judged.alarm_at is not None and not judged.is_dated:
                new["started_at"] = min(alert.started_at, judged.alarm_at)
            judged.is_dated = True
        elif was_open and alert.settled is None:
            self.withdrawn += 1
            new["settled"] = "withdrawn"
        elif ended_at is not None and alert.settled == "confirmed":
            new["ended_at"] = ended_at
        if not new:
            return alert
        changed = msgspec.structs.replace(alert, revision=alert.revision + 1, **new)
        if changed.started_at == alert.started_at:
            return changed
        return msgspec.structs.replace(changed, summary=self._summary_of(changed))


def _follow_stretch(judged: Judged, ts: int, score: float, *, stands: bool) -> int | None:
    """Follow the stretch that a stream is in; return the time of its last sample where it has just ended."""
    if not stands:
        ended_at, judged.stands_at, judged.alarm_at, judged.is_dated = judged.stands_at, None, None, False
        return ended_at
    judged.stands_at = ts
    if judged.alarm_at is None and score >= 1.0:
        judged.alarm_at = ts
    return None
