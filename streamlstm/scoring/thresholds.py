"""Where the alarm lies: from a budget of false alarms to a surprise."""

from __future__ import annotations

import math
from dataclasses import dataclass

from streamlstm.errors import UsageError

__all__ = ["Threshold"]

_ROWS_PER_DAY_WITHOUT_CLOCK = 10_000


@dataclass(frozen=True, slots=True)
class Threshold:
    """A budget of false alarms a stream and day.

    Without a clock (period unknown) a day is 10,000 samples.
    """

    false_alarms_per_stream_day: float = 0.2

    def __post_init__(self) -> None:
        if not (0 < self.false_alarms_per_stream_day < math.inf):
            raise UsageError(
                f"false_alarms_per_stream_day: expected a number above 0, got {self.false_alarms_per_stream_day!r}"
            )

    @property
    def summary(self) -> str:
        """The budget in words."""
        return f"{self.false_alarms_per_stream_day:g} false alarms a stream and day"

    def budget_surprise(self, *, period_s: float, cluster_rows: float) -> float:
        """Return the surprise (-ln p of a sample) that the budget allows to be passed.

        Samples above a high level come in clusters, and a cluster is one alarm: with r samples a day and clusters of n,
        budget = r * p / n.
        """
        rows_per_day = 86_400.0 / period_s if period_s > 0 else _ROWS_PER_DAY_WITHOUT_CLOCK
        probability = self.false_alarms_per_stream_day * cluster_rows / rows_per_day
        return -math.log(min(probability, 1.0))
