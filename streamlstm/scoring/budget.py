"""The budget that holds: how many alerts a stream may open, whatever its scores are.

Every opening is paid for by event time: with a budget of n a day, one opening costs a day / n. A stream owes what it
has opened and not paid for yet, and what it owes lifts the score that the next opening needs:

    interval    I = a day / budget
    owed        o = max(0, paid_until - t) / I             openings, at event time t
    level       1 + b,  b = GAIN max(0, o - FREE)          what an opening needs
    opens       min(score, CAP) >= 1 + b                   and then  paid_until = max(paid_until, t) + I

b is the quantity of online conformal control: it rises by GAIN with an opening and falls by GAIN * budget with time,
never below 0. A score counts for at most CAP, so nothing opens while more than (CAP - 1) / GAIN + FREE are owed, and
in every span of time, for any scores at any times,

    openings <= budget * span + (CAP - 1) / GAIN + FREE + 1 = budget * span + 6

Proof: after N openings of a span that begins with the one at t_1, paid_until >= t_1 + N I. The last one, at t_N, found
(N - 1) I - (t_N - t_1) <= paid_until - t_N <= ((CAP - 1) / GAIN + FREE) I. The six are what a stream may open at once,
young or not; three of them need no more than the threshold or half as much again.

One number by stream, the time until which its openings are paid for: it needs no step while nothing happens, so it is
exact after a restart and does not depend on batches. A silence, however long, pays what is owed and no more.

Source: Gibbs and Candes 2021, arXiv 2106.00170 (adaptive conformal inference); Angelopoulos et al. 2024, arXiv
2402.01139. `tests/scoring/budget_simulation.py` simulates how close streams come to their budget.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BURST", "CAP", "FREE", "GAIN", "OpeningBudget"]

GAIN = 0.5
"""What an opening that is owed adds to the level. A tail that is wrong by a factor of ten is made up for by a level of
1.2 (ln 10 over a surprise of 13): by less than one such step, so a stream settles within an opening of its budget."""
FREE = 1.0
"""Openings that may be owed without a rise: without it a stream whose tail is exact opens half of what was asked."""
CAP = 3.0
"""A score counts for no more, or one huge score could open whatever is owed. A score of three is held back only when
more than five openings are owed."""
BURST = (CAP - 1.0) / GAIN + FREE + 1.0
"""Openings of a stream beyond budget * span, for any scores."""

_LONGEST_MS = 10**15
"""31,700 years: a time plus six of these is exact in JSON numbers."""


@dataclass(frozen=True, slots=True)
class OpeningBudget:
    """What one opening costs. Units: interval_ms of event time, at least 1."""

    interval_ms: int

    @classmethod
    def of_rate(cls, openings: float, *, day_ms: float) -> OpeningBudget:
        """Make the budget of so many openings in `day_ms`; the interval is rounded up, so that the bound holds."""
        interval_ms = day_ms / openings if openings * _LONGEST_MS > day_ms else _LONGEST_MS
        whole = int(interval_ms)
        return cls(max(whole + (whole < interval_ms), 1))

    def owed(self, paid_until_ms: int, time_ms: int) -> float:
        """Return how many openings are not paid for at a time."""
        return max(paid_until_ms - time_ms, 0) / self.interval_ms

    def level(self, paid_until_ms: int, time_ms: int) -> float:
        """Return the score that an opening needs at a time."""
        return 1.0 + GAIN * max(self.owed(paid_until_ms, time_ms) - FREE, 0.0)

    def allows(self, score: float, paid_until_ms: int, time_ms: int) -> bool:
        """Say whether a score may open an alert at a time."""
        return min(score, CAP) >= self.level(paid_until_ms, time_ms)

    def charge(self, paid_until_ms: int, time_ms: int) -> int:
        """Return until when the openings are paid for after another one."""
        return max(paid_until_ms, time_ms) + self.interval_ms
