"""How close streams come to their budget, and how many true events it holds back: simulated noise through the tracker.

    python tests/scoring/budget_simulation.py [STREAMS]

Noise is what passes the threshold of a model whose tail is right or wrong, at one sample a second and 0.2 false alarms
a day, so at an alarm surprise of 13. A true event is asked for at a random time of the last two thirds.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.scoring.alert_tracker import AlertTracker
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.delays import Delay
from streamlstm.scoring.thresholds import Threshold
from streamlstm.types import Position, Scores, Status

BUDGET = 0.2
ALARM = math.log(86_400 / BUDGET)
DAY_MS = 86_400_000
EVENTS = (1.5, 2.0, 3.0)
POLICY = AlertPolicy(Delay(samples=1), Delay(samples=1), refractory=Delay(ms=32_000))

Times = NDArray[np.float64]
Noise = Callable[[np.random.Generator, float], tuple[Times, Times]]
"""Days of a stream -> times in days, and scores."""


def exponential(factor: float, spread: float = 1.0) -> Noise:
    """A tail that lets `factor` times too much pass; beyond, surprises are `spread` times what they should be."""

    def noise(rng: np.random.Generator, days: float) -> tuple[Times, Times]:
        count = rng.poisson(factor * BUDGET * days)
        return rng.uniform(0, days, count), 1 + spread * rng.exponential(size=count) / ALARM

    return noise


def too_light(spread: float) -> Noise:
    """All surprises are `spread` times what they should be."""
    return exponential(math.exp(ALARM - ALARM / spread), spread)


def power_law(rng: np.random.Generator, days: float) -> tuple[Times, Times]:
    """Ten times too much passes, and scores fall as a power: one in ten of them is above two."""
    count = rng.poisson(10 * BUDGET * days)
    return rng.uniform(0, days, count), (1 - rng.uniform(size=count)) ** -0.3


def clusters(rng: np.random.Generator, days: float) -> tuple[Times, Times]:
    """Twice as many events as were asked for, each of five alarms within an hour."""
    count = rng.poisson(2 * BUDGET * days)
    sizes = rng.geometric(0.2, count)
    times = np.repeat(rng.uniform(0, days, count), sizes) + rng.uniform(0, 1 / 24, sizes.sum())
    return times, 1 + rng.exponential(size=len(times)) / ALARM


def drift(rng: np.random.Generator, days: float) -> tuple[Times, Times]:
    """What passes grows from what was asked for to a hundred times as much."""
    times, scores = exponential(100)(rng, days)
    kept = rng.uniform(size=len(times)) < 100 ** (times / days - 1)
    return times[kept], scores[kept]


def shift(rng: np.random.Generator, days: float) -> tuple[Times, Times]:
    """Right for half of the time, a thousand times too much from then on."""
    times, scores = exponential(1000)(rng, days)
    kept = (times > days / 2) | (rng.uniform(size=len(times)) < 1e-3)
    return times[kept], scores[kept]


def by_the_hour(rng: np.random.Generator, days: float) -> tuple[Times, Times]:
    """Everything passes at one hour of the day, thirty times what was asked for in a day."""
    times, scores = exponential(30)(rng, days)
    return np.floor(times) + times % 1 / 24, scores


KINDS: dict[str, Noise] = {
    "a tail that is right": exponential(1),
    "3 times too many": exponential(3),
    "10 times too many": exponential(10),
    "10 times too few": exponential(0.1),
    "surprises 1.3 times too large": too_light(1.3),
    "surprises twice too large": too_light(2.0),
    "a power law": power_law,
    "clusters of five": clusters,
    "drift to 100 times": drift,
    "shift to 1,000 times": shift,
    "one hour of the day": by_the_hour,
}


@dataclass(frozen=True)
class Outcome:
    """Of many streams: openings of each, what was asked, and the shares of true events held back, by score."""

    openings: NDArray[np.int64]
    asked: float
    held_back: dict[float, float]

    @property
    def total(self) -> float:
        return float(self.openings.mean() / self.asked)

    @property
    def within_twice(self) -> float:
        return float((self.openings <= 2 * self.asked).mean())

    @property
    def worst(self) -> float:
        return float(self.openings.max() / self.asked)


def simulate(noise: Noise, *, days: float, streams: int, seed: int = 1) -> Outcome:
    """Run streams of one kind of noise through the tracker."""
    rng = np.random.default_rng(seed)
    budget = Threshold(BUDGET).openings(period_s=1.0)
    openings, held = [], dict.fromkeys(EVENTS, 0)
    for stream in range(streams):
        opened = list(opened_at(noise, rng, days, f"s{stream}"))
        openings.append(len(opened))
        event, paid_until = round(rng.uniform(days / 3, days) * DAY_MS), 0
        for time in opened:
            if time < event:
                paid_until = budget.charge(paid_until, time)
        for score in EVENTS:
            held[score] += not budget.allows(score, paid_until, event)
    return Outcome(np.array(openings), BUDGET * days, {score: count / streams for score, count in held.items()})


def opened_at(noise: Noise, rng: np.random.Generator, days: float, stream_id: str) -> Iterator[int]:
    """Yield the times at which a stream's alerts open, in ms; after each sample above the threshold comes one below."""
    times, scores = noise(rng, days)
    peaks, places = np.unique(np.rint(times * DAY_MS / 1000).astype(np.int64) * 1000, return_index=True)
    moments = np.stack([peaks, peaks + 500], axis=1).ravel()
    score = np.stack([scores[places], np.zeros(len(places))], axis=1).ravel()
    count = len(moments)
    columns = Scores(
        score=score,
        p_value=np.exp(-score * ALARM),
        status=np.full(count, Status.READY, np.uint8),
        expected=np.zeros((count, 1), np.float32),
        contribution=np.ones((count, 1), np.float32),
    )
    tracker = AlertTracker(POLICY, model="noise@1", channels=("x",), budget=Threshold(BUDGET).openings(period_s=1.0))
    values, positions = np.zeros((count, 1), np.float32), [Position("noise", 0, row) for row in range(count)]
    for row, alert in tracker.update([stream_id] * count, moments, values, columns, positions):
        if alert.revision == 1:
            yield int(moments[row])


def main(streams: int) -> None:
    print(f"{streams} streams each; realised / asked: all, share of streams within 2x, worst; true events held back")
    for days in (30, 90):
        print(f"\n{days} days, {BUDGET * days:g} asked".ljust(40) + "   all  <= 2x  worst   at 1.5  at 2.0  at 3.0")
        for name, noise in KINDS.items():
            one = simulate(noise, days=days, streams=streams)
            shares = "".join(f"{one.held_back[score]:8.0%}" for score in EVENTS)
            print(f"{name:38} {one.total:6.2f} {one.within_twice:6.0%} {one.worst:6.2f} {shares}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
