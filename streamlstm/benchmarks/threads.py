"""`bench threads`: a step on several threads against the same on one, on an idle machine and on a busy one."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from streamlstm.benchmarks.measurements import Measurement
from streamlstm.benchmarks.ours import ONE_THREAD
from streamlstm.benchmarks.rounds import run_rounds
from streamlstm.benchmarks.workloads import RecurrentNetwork, Shape
from streamlstm.kernels import NetworkWeights, StateArena, step

__all__ = ["SHAPES", "STREAMS", "ThreadsBench"]

SHAPES = (Shape(1, 32, 1), Shape(8, 64, 2), Shape(38, 128, 2))
STREAMS = (1, 8, 64, 512, 4096)


@dataclass(slots=True)
class ThreadsBench:
    """Steps of S streams; a busy machine has another process at work on every core but one."""

    threads: int
    rounds: int
    slice_s: float

    def run(
        self, shapes: tuple[Shape, ...], streams: tuple[int, ...], *, on_cell: Callable[[str], None]
    ) -> Iterator[Measurement]:
        """Yield a measurement a cell; `on_cell` hears which is next."""
        for condition in ("idle", "busy"):
            with _neighbours(self.threads - 1 if condition == "busy" else 0):
                for shape in shapes:
                    for count in streams:
                        on_cell(f"{shape} S={count}, {condition}")
                        yield self._measure(shape, count, condition)

    def _measure(self, shape: Shape, streams: int, condition: str) -> Measurement:
        network = RecurrentNetwork.random(shape)
        weights = NetworkWeights(network.layers, (network.head_weight, network.head_bias))
        slots = np.random.default_rng(3).permutation(streams).astype(np.int64)
        x = np.random.default_rng(4).standard_normal((streams, shape.channels)).astype(np.float32)
        out = np.zeros_like(x)

        def way(threads: int) -> Callable[[], object]:
            arena = StateArena(weights, streams, threads=threads)
            return lambda: step(weights, arena, slots, x, out)

        several = f"{self.threads} threads"
        ways = {several: way(self.threads), ONE_THREAD: way(1)}
        times = run_rounds(ways, rounds=self.rounds, slice_s=self.slice_s)
        rates = {name: streams / times.median_s(name) / 1e6 for name in ways}
        return Measurement(
            name=f"threads.{condition}.c{shape.channels}_h{shape.hidden}_l{shape.layers}.s{streams}",
            title=f"step {shape} S={streams} on {several}, {condition} machine",
            value=rates[several],
            unit="million steps/s",
            ratios={ONE_THREAD: times.ratio(ONE_THREAD, to=several)},
            spreads={ONE_THREAD: times.spread(ONE_THREAD, to=several)},
            values={ONE_THREAD: rates[ONE_THREAD]},
        )


@contextmanager
def _neighbours(count: int) -> Iterator[None]:
    """Have as many processes at work beside this one."""
    context = multiprocessing.get_context("spawn")
    running = [context.Process(target=_spin, daemon=True) for _ in range(count)]
    for process in running:
        process.start()
    try:
        yield
    finally:
        for process in running:
            process.terminate()
            process.join()


def _spin() -> None:
    while True:
        pass
