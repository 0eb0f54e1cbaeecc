"""Where the alarm lies: from a budget of false alarms to a surprise, and to what an opened alert costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from streamlstm.errors import UsageError
from streamlstm.scoring.budget import OpeningBudget

__all__ = ["LEAST_BUDGET", "Span", "Threshold"]

_ROWS_PER_DAY_WITHOUT_CLOCK = 10_000
_MS_PER_DAY = 86_400_000
_HOURS_PER_DAY = 24

LEAST_BUDGET = 1e-300
"""Less than this a day has no logarithm once it is divided by the samples of a day."""

_MOST_PROBABLE = 0.5
"""What every second sample passes is no alarm, and a surprise of 0 has no multiples."""

Span = Literal["day", "hour"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A budget of false alarms a stream and day, or hour (`per_hour`).

    Without a clock (period unknown) a day is 10,000 samples. `per` is how the budget was given, and is shown.
    Raises: UsageError when it is no budget.
    """

    false_alarms_per_stream_day: float = 0.2
    per: Span = "day"

    def __post_init__(self) -> None:
        if not (0 < self.false_alarms_per_stream_day < math.inf):
            raise UsageError(
                f"false_alarms_per_stream_day: expected a number above 0, got {self.false_alarms_per_stream_day!r}"
            )
        if self.false_alarms_per_stream_day < LEAST_BUDGET:
            raise UsageError(
                f"false_alarms_per_stream_day: expected at least {LEAST_BUDGET:g}, "
                f"got {self.false_alarms_per_stream_day!r}; 1e-9 is once in three million years"
            )

    @classmethod
    def of(cls, false_alarms: float, *, per: Span = "day") -> Threshold:
        """Make the threshold of so many false alarms a stream and day, or hour. Raises: UsageError."""
        return cls(false_alarms * (_HOURS_PER_DAY if per == "hour" else 1), per)

    @property
    def summary(self) -> str:
        """The budget in words."""
        count = self.false_alarms_per_stream_day / (_HOURS_PER_DAY if self.per == "hour" else 1)
        return f"{count:g} false alarms a stream and {self.per}"

    def budget_surprise(self, *, period_s: float, cluster_rows: float) -> float:
        """Return the surprise (-ln p of a sample) that the budget allows to be passed.

        Samples above a high level come in clusters, and a cluster is one alarm: with r samples a day and clusters of n,
        budget = r * p / n.
        """
        rows_per_day = 86_400.0 / period_s if period_s > 0 else _ROWS_PER_DAY_WITHOUT_CLOCK
        probability = self.false_alarms_per_stream_day * cluster_rows / rows_per_day
        return -math.log(min(probability, _MOST_PROBABLE))

    def openings(self, *, period_s: float) -> OpeningBudget:
        """Return the budget of alerts that open.

        Rows without a clock are read as one a second, so that 10,000 of them are a day.
        """
        day_ms = _MS_PER_DAY if period_s > 0 else _ROWS_PER_DAY_WITHOUT_CLOCK * 1000
        return OpeningBudget.of_rate(self.false_alarms_per_stream_day, day_ms=day_ms)
