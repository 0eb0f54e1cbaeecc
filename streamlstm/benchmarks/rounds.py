"""Paired timing: all contestants in one process, in turns, so that a busy machine is unfair to all of them alike.

1. Each contestant's calls a slice are chosen once, so that a slice lasts about `slice_s` (one call at least).
2. In a round each contestant runs one slice, in an order drawn anew; before it, a call that is not timed, to fetch its
   weights into the cache. Gauges (the processor's peak) take their slice among them.
3. A ratio is formed in each round; the median over rounds is what is reported. Single timings are never compared.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PairedTimes", "fastest", "run_rounds"]

_TRIAL_S = 0.004
_TRIALS = 5


@dataclass(frozen=True, slots=True)
class PairedTimes:
    """What R rounds measured: seconds a call by contestant, and readings by gauge; each [R], in the rounds' order."""

    seconds: Mapping[str, NDArray[np.float64]]
    readings: Mapping[str, NDArray[np.float64]]

    def median_s(self, name: str) -> float:
        """Return the median seconds of a call."""
        return float(np.median(self.seconds[name]))

    def ratio(self, name: str, *, to: str) -> float:
        """Return how many times longer `name` takes than `to`: the median of the rounds' own ratios."""
        return float(np.median(self.seconds[name] / self.seconds[to]))

    def spread(self, name: str, *, to: str) -> tuple[float, float]:
        """Return the quartiles of the rounds' own ratios."""
        low, high = np.quantile(self.seconds[name] / self.seconds[to], (0.25, 0.75))
        return float(low), float(high)


def run_rounds(
    contestants: Mapping[str, Callable[[], object]],
    *,
    gauges: Mapping[str, Callable[[float], float]] | None = None,
    rounds: int,
    slice_s: float,
    seed: int = 1,
) -> PairedTimes:
    """Time the contestants against each other; a gauge takes the seconds it may use, and returns its reading."""
    gauges = gauges or {}
    calls = {name: _calls_in(call, slice_s) for name, call in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    readings: dict[str, list[float]] = {name: [] for name in gauges}
    order = [*contestants, *gauges]
    rng = np.random.default_rng(seed)
    with _no_garbage_collection():
        for _ in range(rounds):
            rng.shuffle(order)
            for name in order:
                if name in gauges:
                    readings[name].append(gauges[name](slice_s))
                else:
                    contestants[name]()
                    seconds[name].append(_time(contestants[name], calls[name]) / calls[name])
    return PairedTimes(
        {name: np.array(values) for name, values in seconds.items()},
        {name: np.array(values) for name, values in readings.items()},
    )


def fastest(calls: list[Callable[[], object]]) -> int:
    """Return which of several ways to do the same is the fastest, by the best of a few short slices in turns."""
    if len(calls) == 1:
        return 0
    counts = [_calls_in(call, _TRIAL_S) for call in calls]
    with _no_garbage_collection():
        times = [
            [_time(call, count) / count for call, count in zip(calls, counts, strict=True)] for _ in range(_TRIALS)
        ]
    return int(np.argmin(np.min(times, axis=0)))


def _calls_in(call: Callable[[], object], slice_s: float) -> int:
    """Return how many calls last about `slice_s`, 1 at least; what is warmed up on the way does not count."""
    call()
    count = 1
    while (taken := _time(call, count)) < slice_s / 4:
        count *= 2
    return max(1, round(count * slice_s / taken))


def _time(call: Callable[[], object], count: int) -> float:
    turns = itertools.repeat(None, count)
    began = time.perf_counter_ns()
    for _ in turns:
        call()
    return (time.perf_counter_ns() - began) * 1e-9


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
