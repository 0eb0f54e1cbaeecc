"""Follows the alerts of many streams: every kind sees every sample, and those that are bounded share one budget.

Deterministic: the same samples in the same order give the same alerts, whatever the batches they came in.
`alert_course` has the rules by which an alert opens and is resolved, `alert_kinds` what there is to follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm.model.bundles.base import BundleBase
from streamlstm.scoring.alert_kinds.batch import SampleBatch
from streamlstm.scoring.alert_kinds.residual import ResidualAlerts
from streamlstm.scoring.alert_life import Life
from streamlstm.scoring.alerts import Alert, AlertPolicy
from streamlstm.scoring.budget import OpeningBudget
from streamlstm.scoring.opening_ledger import OpeningLedger
from streamlstm.types import Position, Scores

__all__ = ["AlertTracker"]

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
        self._model = model
        self._ledger = OpeningLedger(budget, outside_budget=policy.outside_budget)
        delays = policy.in_samples(period_rows or _UNKNOWN_PERIOD_ROWS)
        self._residual = ResidualAlerts(delays, self._ledger, channels=channels, units=units)

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
        return [life.alert for life in list(self._residual.lives.values()) if life.alert is not None]

    @property
    def owing(self) -> int:
        """Streams that have not paid for their openings yet."""
        return len(self._ledger)

    @property
    def held_back(self) -> int:
        """Runs that would have opened an alert and were held back by the budget, when they were first held back."""
        return self._ledger.held_back

    def is_open(self, stream_id: str) -> bool:
        """Say whether the stream has an open alert."""
        life = self._residual.lives.get(stream_id)
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
        yield from self._residual.update(
            SampleBatch(stream_ids, event_time_ms, values, scores, positions, model or self._model)
        )
        self._ledger.forget_paid(stream_ids, event_time_ms)

    def release_older_than(self, event_time_ms: int) -> None:
        """Forget what streams owe that have paid for it before that time; streams as old are released."""
        self._ledger.release_older_than(event_time_ms)

    def export_state(self) -> bytes:
        """Return the streams that are not idle, and those that owe, as JSON."""
        owing = self._ledger.paid_until
        lives = {
            stream: msgspec.structs.replace(life, paid_until=owing.get(stream))
            for stream, life in self._residual.lives.items()
        }
        lives |= {stream: Life(paid_until=owing[stream]) for stream in sorted(owing.keys() - lives.keys())}
        return msgspec.json.encode(lives)

    def import_state(self, state: bytes) -> None:
        """Take over what `export_state` returned, of this version or an earlier one."""
        lives = msgspec.json.decode(state, type=dict[str, Life])
        self._ledger.restore({s: life.paid_until for s, life in lives.items() if life.paid_until is not None})
        followed = {stream: msgspec.structs.replace(life, paid_until=None) for stream, life in lives.items()}
        self._residual.lives = {stream: life for stream, life in followed.items() if life != Life()}
