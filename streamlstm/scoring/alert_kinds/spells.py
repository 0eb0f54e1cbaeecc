"""Alerts about channels that do not do what a channel does: a spell begins where it has lasted for longer than usual.

Two kinds are of this sort: `flat`, a channel that keeps one value, and `missing`, one that has none. The sample in
which a spell is longer than usual is found by the detector (`channel_runs`); from there on it is followed here, sample
by sample, until it ends.

* The strength of a spell stands for the score: how long it has lasted over what is usual, so 1 where it is found.
* Channels whose spells overlap when the first of them is found are one fault (a device that hangs, a lead that is off)
  and one alert. A channel that joins or leaves makes a revision. What begins after an alert was detected is another
  alert, so a sensor that is dead for good hides no other.
* Spells end with the stream: where it starts again, what was open cannot be followed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import ClassVar

import msgspec
import numpy as np

from streamlstm.scoring.alert_course import Course, Sample
from streamlstm.scoring.alert_kinds.batch import SampleBatch
from streamlstm.scoring.alert_life import Life
from streamlstm.scoring.alerts import Alert, AlertPolicy, ChannelPart
from streamlstm.scoring.delays import Delay
from streamlstm.scoring.opening_ledger import OpeningLedger

__all__ = ["Group", "Spell", "SpellAlerts", "SpellWatch"]

AT_ONCE = Delay()


class Spell(msgspec.Struct, omit_defaults=True):
    """One channel's: since when, how many samples it has lasted, and how many are usual at most."""

    since: int
    samples: int
    usual: int
    value: float | None = None

    @property
    def strength(self) -> float:
        """How long it has lasted over what is usual."""
        return self.samples / self.usual


class Group(msgspec.Struct):
    """The spells of a stream, by channel, that are one fault. Stored in snapshots as it is."""

    life: Life
    spells: dict[str, Spell]


class SpellAlerts(ABC):
    """Follows the spells of one kind, of the streams of one model in one input partition."""

    kind: ClassVar[str]
    found_as: ClassVar[int]
    """The kernels' number of the kind."""

    def __init__(
        self,
        policy: AlertPolicy,
        ledger: OpeningLedger | None,
        *,
        channels: Sequence[str],
        units: Sequence[str],
        usual: Sequence[int],
    ) -> None:
        """Make one without streams. Shapes: usual [C], the samples after which the detector finds a spell."""
        self.groups: dict[str, list[Group]] = {}
        policy = AlertPolicy(
            AT_ONCE, AT_ONCE, policy.min_duration, AT_ONCE, policy.escalate_after, policy.outside_budget
        )
        self._course = Course(self.kind, policy, ledger, self._summary)
        self.channels = tuple(channels)
        self._index = {name: c for c, name in enumerate(self.channels)}
        self.units = dict(zip(channels, units, strict=False))  # a bundle without units has none
        self._usual = tuple(usual)

    @abstractmethod
    def goes_on(self, spell: Spell, value: float) -> bool | None:
        """Say whether a spell goes on with a value, not finite = missing; None: this value says nothing of it."""

    @abstractmethod
    def sentence(self, life: Life) -> str:
        """Write what became of the channels of an alert."""

    def watch(self, batch: SampleBatch) -> SpellWatch:
        """Return what there is to follow in a batch."""
        found: dict[int, list[tuple[int, int]]] = {}
        begun: frozenset[int] = frozenset()
        if batch.scores.findings is not None:
            findings = batch.scores.findings
            own = np.flatnonzero(findings.kinds == self.found_as)
            columns = (findings.rows[own], findings.channels[own], findings.since_ms[own])
            for row, channel, since in zip(*(column.tolist() for column in columns), strict=True):
                found.setdefault(row, []).append((channel, since))
            if found or self.groups:
                begun = frozenset(findings.begun.tolist())
        streams = {batch.stream_ids[row] for row in found} | self.groups.keys()
        return SpellWatch(self, batch, found, begun, streams)

    def advance(
        self, batch: SampleBatch, row: int, found: Sequence[tuple[int, int]], *, is_begun: bool
    ) -> Iterable[Alert]:
        """Advance a stream by a sample, in which spells of channels (index, since) were found."""
        stream_id, ts = batch.stream_ids[row], int(batch.event_time_ms[row])
        groups = self.groups.pop(stream_id, [])
        if is_begun:
            return [alert for group in groups if (alert := self._course.cut(group.life, ts)) is not None]
        changed = [self._follow(group, batch, row) for group in groups]
        for channel, since in found:
            name = self.channels[channel]
            if any(name in group.spells for group in groups):
                continue  # another model found it first, which scored the stream before
            spell = Spell(since, self._usual[channel], self._usual[channel], _value(batch, row, channel))
            joined = next((n for n, group in enumerate(groups) if _overlaps(group, since)), len(groups))
            if joined == len(groups):
                groups.append(Group(Life(), {}))
                changed.append(True)
            groups[joined].spells[name] = spell
            changed[joined] = True
        alerts = []
        for group, has_changed in zip(groups, changed, strict=True):
            if (alert := self._advance(group, batch, row, has_changed=has_changed)) is not None:
                alerts.append(alert)
        if kept := [group for group in groups if not self._course.is_idle(group.life, ts)]:
            self.groups[stream_id] = kept
        return alerts

    def _follow(self, group: Group, batch: SampleBatch, row: int) -> bool:
        """Take a sample into the spells; say whether one has ended."""
        before = len(group.spells)
        for name, spell in list(group.spells.items()):
            channel = self._index.get(name)  # None where the model has other channels by now
            goes_on = False if channel is None else self.goes_on(spell, float(batch.values[row, channel]))
            if goes_on:
                spell.samples += 1
            elif goes_on is False:
                del group.spells[name]
        return len(group.spells) < before

    def _advance(self, group: Group, batch: SampleBatch, row: int, *, has_changed: bool) -> Alert | None:
        spells, life = group.spells.values(), group.life
        score = max((spell.strength for spell in spells), default=0.0)
        sample = Sample(
            batch.stream_ids[row],
            int(batch.event_time_ms[row]),
            batch.positions[row],
            batch.model,
            score,
            None,
            is_rising=score >= 1.0,
            since=min((spell.since for spell in spells), default=None),
            samples=max((spell.samples for spell in spells), default=1),
        )
        was_open = life.alert is not None
        if has_changed and spells:
            life.channels = self._parts(group, batch, row)
        alert = self._course.advance(life, sample, lambda: self._parts(group, batch, row))
        if alert is None and was_open and has_changed:
            return self._course.retell(life, sample.ts, life.channels)
        return alert

    def _parts(self, group: Group, batch: SampleBatch, row: int) -> tuple[ChannelPart, ...]:
        share = round(1.0 / len(group.spells), 4)
        expected = batch.scores.expected[row]
        return tuple(
            ChannelPart(
                name=name,
                contribution=share,
                value=None if spell.value is None else float(f"{spell.value:.6g}"),
                expected=float(f"{expected[self._index[name]]:.6g}"),
            )
            for name, spell in group.spells.items()
        )

    def _summary(self, life: Life, stream_id: str) -> str:
        return f"{stream_id}: {self.sentence(life)}"


def _overlaps(group: Group, since: int) -> bool:
    """Say whether a spell began before this group's alert was detected: then both are one fault."""
    return group.life.alert is None or since <= group.life.alert.detected_at


def _value(batch: SampleBatch, row: int, channel: int) -> float | None:
    value = float(batch.values[row, channel])
    return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class SpellWatch:
    """The spells that were found in a batch, by row, the rows with which streams begin, and whom this concerns."""

    alerts: SpellAlerts
    batch: SampleBatch
    found: Mapping[int, Sequence[tuple[int, int]]]
    begun: Set[int]
    streams: Set[str]

    def advance(self, row: int) -> Iterable[Alert]:
        """Advance by a sample of such a stream; return the alerts that changed."""
        return self.alerts.advance(self.batch, row, self.found.get(row, ()), is_begun=row in self.begun)
