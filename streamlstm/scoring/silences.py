"""Alerts of kind `silent`: a stream sends nothing while the event time of its partition goes on.

Time is the partition's own, so that a replay gives the same alerts: no clock is read, and a stream can only be found
silent by a sample of another. For samples in arrival order, late ones left out, with event times t:

    watermark  W   the highest t so far
    clock      T   rises by min(t - W, after / 2) with each sample that is newer than W
    mark       T at a stream's last sample
    silent         from the first sample of another stream on with T - mark >= after
    forgotten      from the first sample on with W - the stream's last t >= forget_after: it is watched no more

One jump of the event time counts for half of `after` at most: when a whole partition comes back from a pause, or one
device has its clock ahead, the others have the other half in which to speak. A stream that lags behind (records that
were kept back) is measured by what the partition does after each of its samples, so it is not silent either.

An alert is resolved by the stream's next sample, or when the stream is forgotten. What is decided at a sample rests on
it and those before it alone, so batches do not matter. Where many streams fall silent with one sample they are told in
the order of their ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm.scoring.alert_summary import since
from streamlstm.scoring.alerts import Alert, Peak, alert_id_of
from streamlstm.types import Position

__all__ = ["SilenceState", "SilenceWatch"]

_FAR = 1 << 62


class SilenceState(msgspec.Struct):
    """What a snapshot holds of the silences of a partition. Times in ms; marks are times of the partition's clock."""

    watermark: int
    clock: int
    streams: list[str]
    marks: list[int]
    last: list[int]
    alerts: dict[str, Alert]


class _Change(NamedTuple):
    row: int
    stream_id: str
    since: int
    opens: bool


class SilenceWatch:
    """Follows when the streams of one partition last spoke: 16 bytes a stream, and its id."""

    def __init__(self, *, after_ms: int, forget_after_ms: int) -> None:
        """Make one without streams; 0 `forget_after_ms` = streams are never forgotten."""
        self._after = after_ms
        self._forget_after = forget_after_ms or _FAR
        self._most = max(after_ms // 2, 1)
        self._watermark = -_FAR
        self._clock = 0
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._marks = np.zeros(16, np.int64)
        self._last = np.zeros(16, np.int64)
        self._is_silent = np.zeros(16, np.bool_)
        self._next_due = self._next_forgotten = _FAR
        self._alerts: dict[str, Alert] = {}

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def open_alerts(self) -> list[Alert]:
        """Alerts that are open now."""
        return list(self._alerts.values())

    def update(
        self,
        stream_ids: Sequence[str],
        event_time_ms: NDArray[np.int64],
        positions: Sequence[Position],
        label_of: Callable[[str], str],
    ) -> Iterator[tuple[int, Alert]]:
        """Advance by samples that are not late, in arrival order; yield (row, alert) for every alert that changed.

        `label_of` says which model serves a stream. Shapes: stream_ids [N]; event_time_ms int64 [N].
        """
        if not len(stream_ids):
            return
        begin = self._watermark if self._watermark > -_FAR else int(event_time_ms[0])
        water = np.maximum.accumulate(np.concatenate([[begin], event_time_ms]))
        clock = self._clock + np.cumsum(np.minimum(np.diff(water), self._most))
        water = water[1:]
        changes = self._spoken(stream_ids, event_time_ms, clock, water)
        self._watermark, self._clock = int(water[-1]), int(clock[-1])
        if self._next_due <= self._clock or self._next_forgotten <= self._watermark:
            changes += self._fallen_silent(clock, water)
        for row, stream_id, since_ms, opens in sorted(changes):
            if opens:
                at = (int(water[row]), positions[row], label_of(stream_id))
                self._alerts[stream_id] = self._opened(stream_id, since_ms, *at)
                yield row, self._alerts[stream_id]
            else:
                yield row, _resolved(self._alerts.pop(stream_id), int(water[row]))

    def _spoken(
        self,
        stream_ids: Sequence[str],
        times: NDArray[np.int64],
        clock: NDArray[np.int64],
        water: NDArray[np.int64],
    ) -> list[_Change]:
        """Take the samples in; return the silences that end with one of them, and those that lie between two."""
        changes: list[_Change] = []
        known = self._slots
        is_new = np.array([stream_id not in known for stream_id in stream_ids])
        slots = np.fromiter((self._slot(stream_id) for stream_id in stream_ids), np.int64, count=len(stream_ids))
        order = np.argsort(slots, kind="stable")
        is_first = np.diff(slots[order], prepend=-1) != 0
        newest = order[np.roll(is_first, -1)]  # where another stream's begin, the last of this one's was
        marks = np.where(is_first, self._marks[slots[order]], clock[np.roll(order, 1)])
        last = np.where(is_first, self._last[slots[order]], times[np.roll(order, 1)])
        was_open = is_first & self._is_silent[slots[order]]
        is_known = ~(is_first & is_new[order])
        silent_at = np.searchsorted(clock, marks + self._after)
        forgotten_at = np.searchsorted(water, self._forgotten_from(last))
        falls_silent = is_known & ~was_open & (silent_at < np.minimum(order, forgotten_at))
        for place in np.flatnonzero(falls_silent | was_open).tolist():
            row, since_ms = int(order[place]), int(last[place])
            if falls_silent[place]:
                changes.append(_Change(int(silent_at[place]), stream_ids[row], since_ms, opens=True))
            changes.append(_Change(min(row, int(forgotten_at[place])), stream_ids[row], since_ms, opens=False))
        own = slots[newest]
        self._marks[own], self._last[own], self._is_silent[own] = clock[newest], times[newest], False
        self._next_due = min(self._next_due, int(clock[0]) + self._after)
        self._next_forgotten = min(self._next_forgotten, int(self._forgotten_from(times).min()))
        return changes

    def _fallen_silent(self, clock: NDArray[np.int64], water: NDArray[np.int64]) -> list[_Change]:
        """Return the silences that begin after streams' last samples, and those that end as streams are forgotten."""
        changes: list[_Change] = []
        ids = list(self._slots)
        slots = np.fromiter(self._slots.values(), np.int64, count=len(ids))
        dues, ends = self._marks[slots] + self._after, self._forgotten_from(self._last[slots])
        is_due, is_over, was_open = dues <= clock[-1], ends <= water[-1], self._is_silent[slots]
        for place in np.flatnonzero((is_due & ~was_open) | is_over).tolist():
            stream_id, slot = ids[place], int(slots[place])
            since_ms = int(self._last[slot])
            silent_at = int(np.searchsorted(clock, dues[place]))
            forgotten_at = int(np.searchsorted(water, ends[place]))
            if not was_open[place] and silent_at < min(forgotten_at, len(clock)):
                changes.append(_Change(silent_at, stream_id, since_ms, opens=True))
                self._is_silent[slot] = True
            if is_over[place]:
                if self._is_silent[slot]:
                    changes.append(_Change(forgotten_at, stream_id, since_ms, opens=False))
                self._is_silent[slot] = False
                self._free.append(self._slots.pop(stream_id))
        self._next_due = int(dues[~is_due & ~is_over].min(initial=_FAR))
        self._next_forgotten = int(ends[~is_over].min(initial=_FAR))
        return changes

    def _forgotten_from(self, last: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the watermark from which on streams are forgotten."""
        return np.asarray(np.minimum(last, _FAR - self._forget_after) + self._forget_after)

    def _slot(self, stream_id: str) -> int:
        slot = self._slots.get(stream_id)
        if slot is None:
            slot = self._slots[stream_id] = self._free.pop() if self._free else len(self._slots)
            if slot >= len(self._marks):
                more = 2 * len(self._marks)
                self._marks, self._last = np.resize(self._marks, more), np.resize(self._last, more)
                self._is_silent = np.resize(self._is_silent, more)
            self._is_silent[slot] = False
        return slot

    def _opened(self, stream_id: str, since_ms: int, ts: int, position: Position, model: str) -> Alert:
        return Alert(
            alert_id=alert_id_of(model, stream_id, "silent", position, since_ms),
            revision=1,
            state="open",
            kind="silent",
            severity="medium",
            stream_id=stream_id,
            started_at=since_ms,
            detected_at=ts,
            resolved_at=None,
            peak=Peak(1.0, ts),
            samples=0,
            channels=(),
            model=model,
            summary=f"{stream_id}: silent, {since(since_ms)} (no sample for {self._after / 1000:g} s)",
        )

    def export_state(self) -> SilenceState:
        """Return everything, to be stored."""
        slots = np.fromiter(self._slots.values(), np.int64, count=len(self._slots))
        return SilenceState(
            self._watermark,
            self._clock,
            list(self._slots),
            self._marks[slots].tolist(),
            self._last[slots].tolist(),
            dict(self._alerts),
        )

    def import_state(self, state: SilenceState) -> None:
        """Take over what `export_state` returned, into this empty watch."""
        self._watermark, self._clock, self._alerts = state.watermark, state.clock, dict(state.alerts)
        slots = [self._slot(stream_id) for stream_id in state.streams]
        self._marks[slots], self._last[slots] = state.marks, state.last
        self._is_silent[[self._slots[stream_id] for stream_id in state.alerts]] = True
        self._next_due = self._clock  # the next sample looks


def _resolved(alert: Alert, ts: int) -> Alert:
    return msgspec.structs.replace(alert, revision=alert.revision + 1, state="resolved", resolved_at=ts)
