"""Waits of an alert's life: how long a run above or below the threshold must last before something follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Delay"]


@dataclass(frozen=True, slots=True)
class Delay:
    """A wait in samples of the stream, in event time, in periods of the model; all that are given must be over.

    So "30 s and 32 samples" is 30 s for data of 1,000 Hz and 32 minutes for data of one sample a minute.
    Units: samples; ms of event time; periods in periods that the model found in its training data.
    """

    samples: int = 0
    ms: int = 0
    periods: float = 0.0

    def __str__(self) -> str:
        given = ((self.ms, "ms"), (self.samples, " samples"), (self.periods, " periods"))
        return " and ".join(f"{count}{unit}" for count, unit in given if count) or "0s"

    def in_samples(self, period_rows: int) -> Delay:
        """Return the same wait without periods, for a model whose period has so many samples."""
        return Delay(max(self.samples, math.ceil(self.periods * period_rows)), self.ms)

    def is_over(self, samples: int, ms: int) -> bool:
        """Say whether it is over after so many samples and so much event time; `in_samples` must have been asked."""
        return samples >= self.samples and ms >= self.ms

    def share(self, samples: int, ms: int) -> float:
        """Return how much of it is over, from 0 to 1; of nothing, all is."""
        by_samples = samples / self.samples if self.samples else 1.0
        by_time = ms / self.ms if self.ms else 1.0
        return max(0.0, min(by_samples, by_time, 1.0))
