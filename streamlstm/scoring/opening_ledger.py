"""What streams owe for the alerts that they opened: the budget of openings, kept for many streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm.scoring.alerts import Severity, is_at_least, severity_of
from streamlstm.scoring.budget import OpeningBudget

__all__ = ["Charges", "OpeningLedger"]


class Charges(msgspec.Struct):
    """Openings of a stream from the oldest one on that may be given back. Stored in snapshots as it is."""

    paid_until: int
    """Until when those before had been paid for, or the time of the oldest."""
    times: list[int]
    are_open: list[bool]
    """Which of them may be given back."""


class OpeningLedger:
    """Until when the openings of each stream are paid for; all kinds of alerts that are bounded share it.

    A stream that has paid for what it opened holds no memory here.

    An opening may be charged until it is judged, and given back if it is confirmed. Then the stream owes what it would
    owe had that opening never been: the others since are charged again from where it stood before. An interval would be
    too much to give back, as time may have paid for some of the opening already.
    """

    def __init__(self, budget: OpeningBudget | None, *, outside_budget: Severity | None) -> None:
        """Make one in which nobody owes; without a budget nothing is bounded."""
        self.held_back = 0
        """Runs that would have opened an alert and were held back by the budget, when they were first held back."""
        self._budget = budget
        self._outside_budget = outside_budget
        self._paid_until: dict[str, int] = {}
        self._next_paid = 0
        self._charges: dict[str, Charges] = {}

    def __len__(self) -> int:
        return len(self._paid_until)

    @property
    def paid_until(self) -> Mapping[str, int]:
        """Event time in ms until which each stream that owes has paid, at the latest."""
        return self._paid_until

    @property
    def charges(self) -> Mapping[str, Charges]:
        """The openings of each stream from the oldest one on that may be given back."""
        return self._charges

    def pays(self, stream_id: str, ts: int, score: float, *, until_judged: bool = False) -> bool:
        """Charge an opening to a stream if its score may open one now; say whether it may.

        `until_judged`: it may be given back, until `settle` has said that it is not.
        """
        if self._budget is None:
            return True
        paid_until = self._paid_until.get(stream_id, ts)
        if not self._budget.allows(score, paid_until, ts):
            return False
        if until_judged or stream_id in self._charges:
            charges = self._charges.setdefault(stream_id, Charges(max(paid_until, ts), [], []))
            charges.times.append(ts)
            charges.are_open.append(until_judged)
        self._charge(stream_id, self._budget.charge(paid_until, ts))
        return True

    def settle(self, stream_id: str, opened_at: int, *, gives_back: bool) -> None:
        """Give an opening back, or let it stay charged; one that was not charged, or is settled, is neither."""
        charges = self._charges.get(stream_id)
        if charges is None or self._budget is None:
            return
        found = [
            place
            for place, (ts, is_open) in enumerate(zip(charges.times, charges.are_open, strict=True))
            if is_open and ts == opened_at
        ]
        if not found:
            return
        if gives_back:
            del charges.times[found[0]], charges.are_open[found[0]]
        else:
            charges.are_open[found[0]] = False
        while charges.times and not charges.are_open[0]:
            charges.paid_until = self._budget.charge(charges.paid_until, charges.times.pop(0))
            del charges.are_open[0]
        if not charges.times:
            del self._charges[stream_id]
        if gives_back:
            paid_until = charges.paid_until
            for ts in charges.times:
                paid_until = self._budget.charge(paid_until, ts)
            if stream_id in self._paid_until:  # or all is paid for
                self._charge(stream_id, paid_until)

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

    def restore(self, paid_until: Mapping[str, int], charges: Mapping[str, Charges] | None = None) -> None:
        """Take over what streams owe."""
        self._paid_until = dict(paid_until)
        self._charges = dict(charges or {})
        self._next_paid = min(self._paid_until.values(), default=0)
