"""What streams owe for the alerts that they opened: the budget of openings, kept for many streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from streamlstm.scoring.alerts import Severity, is_at_least, severity_of
from streamlstm.scoring.budget import OpeningBudget

__all__ = ["OpeningLedger"]


class OpeningLedger:
    """Until when the openings of each stream are paid for; all kinds of alerts that are bounded share it.

    A stream that has paid for what it opened holds no memory here.
    """

    def __init__(self, budget: OpeningBudget | None, *, outside_budget: Severity | None) -> None:
        """Make one in which nobody owes; without a budget nothing is bounded."""
        self.held_back = 0
        """Runs that would have opened an alert and were held back by the budget, when they were first held back."""
        self._budget = budget
        self._outside_budget = outside_budget
        self._paid_until: dict[str, int] = {}
        self._next_paid = 0

    def __len__(self) -> int:
        return len(self._paid_until)

    @property
    def paid_until(self) -> Mapping[str, int]:
        """Event time in ms until which each stream that owes has paid, at the latest."""
        return self._paid_until

    def pays(self, stream_id: str, ts: int, score: float) -> bool:
        """Charge an opening to a stream if its score may open one now; say whether it may."""
        if self._budget is None:
            return True
        paid_until = self._paid_until.get(stream_id, ts)
        if not self._budget.allows(score, paid_until, ts):
            return False
        self._charge(stream_id, self._budget.charge(paid_until, ts))
        return True

    def lets_through(self, score: float) -> bool:
        """Say whether an alert of such a score opens although the budget is spent."""
        return self._outside_budget is not None and is_at_least(severity_of(score), self._outside_budget)

    def _charge(self, stream_id: str, paid_until: int) -> None:
        self._paid_until.pop(stream_id, None)  # the newest is the last, whether it was forgotten in between or not
        self._next_paid = min(self._next_paid, paid_until) if self._paid_until else paid_until
        self._paid_until[stream_id] = paid_until

    def forget_paid(self, stream_ids: Sequence[str], event_time_ms: NDArray[np.int64]) -> None:
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

    def restore(self, paid_until: Mapping[str, int]) -> None:
        """Take over what streams owe."""
        self._paid_until = dict(paid_until)
        self._next_paid = min(self._paid_until.values(), default=0)
