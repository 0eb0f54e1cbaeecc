"""Follows the alerts of many streams: every kind sees every sample, and those that are bounded share one budget.

Deterministic: the same samples in the same order give the same alerts, whatever the batches they came in.
`alert_course` has the rules by which an alert opens and is resolved, `alert_kinds` what there is to follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm.model.bundles.base import BundleBase
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.channels import Limits
from streamlstm.scoring.alert_kinds.batch import SampleBatch, Watch
from streamlstm.scoring.alert_kinds.flat import FlatAlerts
from streamlstm.scoring.alert_kinds.limits import LimitAlerts
from streamlstm.scoring.alert_kinds.missing import MissingAlerts
from streamlstm.scoring.alert_kinds.residual import ResidualAlerts
from streamlstm.scoring.alert_kinds.spells import Group, SpellAlerts
from streamlstm.scoring.alert_life import Life
from streamlstm.scoring.alert_verdicts import Judged
from streamlstm.scoring.alerts import Alert, AlertPolicy
from streamlstm.scoring.budget import OpeningBudget
from streamlstm.scoring.opening_ledger import Charges, OpeningLedger
from streamlstm.scoring.period_rows import UNKNOWN_PERIOD_ROWS
from streamlstm.types import Position, Scores, Status

__all__ = ["AlertTracker"]

_LATE = int(Status.LATE)


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
        runs: Mapping[str, NDArray[np.int32]] | None = None,
        limits: Mapping[str, Limits] | None = None,
        scales: Sequence[float] = (),
    ) -> None:
        """Make one without streams; without a budget openings are not bounded, and 0 `period_rows` are unknown.

        `runs` are the bounds of a calibration, in samples; without them no channel is ever found flat or missing.
        `limits` are ranges of channels by name, which need `scales`, the usual deviations of all channels.
        """
        self.policy = policy
        self._model = model
        self._ledger = OpeningLedger(budget, outside_budget=policy.outside_budget)
        delays = policy.in_samples(period_rows or UNKNOWN_PERIOD_ROWS)
        self._residual = ResidualAlerts(delays, self._ledger, channels=channels, units=units)
        usual = {name: bounds.tolist() for name, bounds in (runs or {}).items()}
        of_channels = {"channels": channels, "units": units}
        self._flat = FlatAlerts(delays, self._ledger, usual=usual.get("flat_after", ()), **of_channels)
        self._missing = MissingAlerts(delays, None, usual=usual.get("missing_after", ()), **of_channels)
        self._limit = LimitAlerts(delays, limits=limits or {}, scales=scales, **of_channels)

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
            runs=bundle.calibration.runs if isinstance(bundle, ModelBundle) else None,
            limits={name: one.limits for name, one in bundle.declared.items() if one.limits is not None},
            scales=bundle.standardizer.scale.tolist(),
        )

    @property
    def open_alerts(self) -> list[Alert]:
        """Alerts that are open now."""
        lives = list(self._residual.lives.values())
        for kind in self._spells:
            lives += [group.life for groups in list(kind.groups.values()) for group in groups]
        lives += [life for of_stream in list(self._limit.lives.values()) for life in of_stream.values()]
        return [life.alert for life in lives if life.alert is not None]

    @property
    def _spells(self) -> tuple[SpellAlerts, ...]:
        return (self._flat, self._missing)

    @property
    def owing(self) -> int:
        """Streams that have not paid for their openings yet."""
        return len(self._ledger)

    @property
    def held_back(self) -> int:
        """Runs that would have opened an alert and were held back by the budget, when they were first held back."""
        return self._ledger.held_back

    @property
    def confirmed(self) -> int:
        """Alerts that were confirmed one period later; they do not count against the budget."""
        return self._residual.verdicts.confirmed

    @property
    def withdrawn(self) -> int:
        """Alerts that were withdrawn one period later; one that is confirmed after all counts as both."""
        return self._residual.verdicts.withdrawn

    def is_open(self, stream_id: str) -> bool:
        """Say whether the stream has an open alert of any kind."""
        return any(alert.stream_id == stream_id for alert in self.open_alerts)

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
        batch = SampleBatch(stream_ids, event_time_ms, values, scores, positions, model or self._model)
        every: list[Watch] = [self._residual.watch(batch), *(kind.watch(batch) for kind in self._spells)]
        every.append(self._limit.watch(batch))
        watches = [watch for watch in every if watch.streams]
        if watches:  # row by row, as all kinds draw on one budget
            late = (scores.status == _LATE).tolist()
            concerned = set[str]().union(*(watch.streams for watch in watches))
            for row, stream_id in enumerate(stream_ids):
                if stream_id not in concerned or late[row]:
                    continue
                for watch in watches:
                    if stream_id in watch.streams:
                        for alert in watch.advance(row):
                            yield row, alert
        self._ledger.forget_paid(stream_ids, event_time_ms)

    def release_older_than(self, event_time_ms: int) -> None:
        """Forget what streams owe that have paid for it before that time; streams as old are released."""
        self._ledger.release_older_than(event_time_ms)

    def export_state(self) -> bytes:
        """Return the streams that are not idle, and those that owe, as JSON."""
        held: dict[str, _Held] = {}
        for stream_id, life in self._residual.lives.items():
            held[stream_id] = _Held(**{name: getattr(life, name) for name in Life.__struct_fields__})
        ledger, judged = self._ledger, self._residual.verdicts.streams
        others = {*ledger.paid_until, *ledger.charges, *judged}
        others |= {*self._flat.groups, *self._missing.groups, *self._limit.lives}
        for stream_id in [*held, *sorted(others - held.keys())]:
            one = held.setdefault(stream_id, _Held())
            one.paid_until, one.charges = ledger.paid_until.get(stream_id), ledger.charges.get(stream_id)
            one.judged = judged.get(stream_id)
            one.flat = self._flat.groups.get(stream_id, [])
            one.missing = self._missing.groups.get(stream_id, [])
            one.limit = self._limit.lives.get(stream_id, {})
        return msgspec.json.encode(held)

    def import_state(self, state: bytes) -> None:
        """Take over what `export_state` returned, of this version or an earlier one."""
        held = msgspec.json.decode(state, type=dict[str, _Held])
        self._ledger.restore(
            {stream_id: one.paid_until for stream_id, one in held.items() if one.paid_until is not None},
            {stream_id: one.charges for stream_id, one in held.items() if one.charges is not None},
        )
        self._residual.verdicts.streams = {s: one.judged for s, one in held.items() if one.judged is not None}
        lives = {s: Life(**{name: getattr(one, name) for name in Life.__struct_fields__}) for s, one in held.items()}
        self._residual.lives = {stream_id: life for stream_id, life in lives.items() if life != Life()}
        self._flat.groups = {stream_id: one.flat for stream_id, one in held.items() if one.flat}
        self._missing.groups = {stream_id: one.missing for stream_id, one in held.items() if one.missing}
        self._limit.lives = {stream_id: one.limit for stream_id, one in held.items() if one.limit}


class _Held(Life, omit_defaults=True):
    """What a snapshot holds of a stream.

    The life of its score, what it owes and may get back, the alerts that are to be judged, its channels' spells and
    limits.
    """

    paid_until: int | None = None
    charges: Charges | None = None
    judged: Judged | None = None
    flat: list[Group] = msgspec.field(default_factory=list)
    missing: list[Group] = msgspec.field(default_factory=list)
    limit: dict[str, Life] = msgspec.field(default_factory=dict)
