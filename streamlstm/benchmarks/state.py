"""`bench state`: many streams in memory: what they take, and what it costs that a step's rows lie anywhere in it."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamlstm.benchmarks.measurements import Measurement
from streamlstm.benchmarks.rounds import PairedTimes, run_rounds
from streamlstm.benchmarks.workloads import RecurrentNetwork, Shape
from streamlstm.kernels import NetworkWeights, step
from streamlstm.model.network import Architecture
from streamlstm.scoring.state import StreamStates

__all__ = ["COPY", "STEP_STREAMS", "StateBench", "resident_bytes"]

STEP_STREAMS = 4096
"""Streams of a step, and of a call that claims or releases."""
COPY = "numpy copy"
"""What memory gives: numpy copies an array as large as the states."""

_SHAPE = Shape(8, 64, 2)
_COPY_ROUNDS = 7  # one takes seconds at a million streams


@dataclass(slots=True)
class StateBench:
    """One thread; `streams` of (8,64,2) are held twice, as float32 and as float16."""

    streams: int
    rounds: int
    slice_s: float

    def run(self, *, on_stage: Callable[[str], None]) -> Iterator[Measurement]:
        """Yield the measurements; `on_stage` hears what is being done."""
        ids = [f"hall{number % 89}/pump{number}" for number in range(self.streams)]
        network = RecurrentNetwork.random(_SHAPE)
        weights = NetworkWeights(network.layers, (network.head_weight, network.head_bias))
        states = {}
        for dtype in ("float32", "float16"):
            on_stage(f"{self.streams:,} streams are claimed ({dtype})")
            architecture = Architecture(_SHAPE.channels, _SHAPE.hidden, ("lstm",) * _SHAPE.layers)
            before = resident_bytes()
            states[dtype] = StreamStates(architecture, weights, max_streams=self.streams, state_dtype=dtype)
            claims = _claim(states[dtype], ids)
            after = resident_bytes()
            if before is not None and after is not None:
                yield from self._memory(dtype, after - before)
            if dtype == "float32":
                yield from claims
        on_stage(f"steps of {STEP_STREAMS} streams")
        rows = np.random.default_rng(5).uniform(-0.9, 0.9, (self.streams, weights.state_size)).astype(np.float32)
        for held in states.values():
            held.arena.load(_slots(held), rows)
        times = run_rounds(self._steps(weights, states), rounds=self.rounds, slice_s=self.slice_s)
        for dtype in states:
            yield from self._step_rows(dtype, times)
        del states["float16"], held
        on_stage("all states out and in")
        yield from self._copies(states["float32"], rows)
        on_stage("half of the streams are released and claimed again")
        yield from _release(states["float32"], ids)

    def _memory(self, dtype: str, grown: int) -> Iterator[Measurement]:
        title = f"memory of {self.streams:,} streams, {dtype} states"
        yield Measurement(name=f"state.memory.{dtype}", title=title, value=grown / 1e6, unit="MB")
        yield Measurement(
            name=f"state.memory_by_stream.{dtype}",
            title=f"memory of a stream, {dtype} states",
            value=grown / self.streams,
            unit="bytes",
        )

    def _steps(self, weights: NetworkWeights, states: dict[str, StreamStates]) -> dict[str, Callable[[], object]]:
        """Return steps of streams that lie anywhere, other ones in each call, and of the same neighbours always."""
        x = np.random.default_rng(6).standard_normal((STEP_STREAMS, _SHAPE.channels)).astype(np.float32)
        out, errors = np.zeros_like(x), np.zeros(STEP_STREAMS, np.float32)
        order = np.random.default_rng(7).permutation(self.streams).astype(np.int64)
        calls = self.streams // STEP_STREAMS
        anywhere = list(order[: calls * STEP_STREAMS].reshape(calls, STEP_STREAMS))
        neighbours = [np.arange(STEP_STREAMS, dtype=np.int64)]

        def steps(held: StreamStates, groups: list[NDArray[np.int64]]) -> Callable[[], object]:
            turns = itertools.cycle(groups)
            return lambda: step(weights, held.arena, next(turns), x, out, errors)

        found: dict[str, Callable[[], object]] = {}
        for dtype, held in states.items():
            found[f"{dtype} anywhere"] = steps(held, anywhere)
            found[f"{dtype} resident"] = steps(held, neighbours)
        return found

    def _step_rows(self, dtype: str, times: PairedTimes) -> Iterator[Measurement]:
        anywhere, resident = f"{dtype} anywhere", f"{dtype} resident"
        rates = {name: STEP_STREAMS / times.median_s(name) / 1e6 for name in (anywhere, resident)}
        yield Measurement(
            name=f"state.step.{dtype}",
            title=f"step of {STEP_STREAMS} streams anywhere among {self.streams:,}, {dtype} states",
            value=rates[anywhere],
            unit="million steps/s",
            values={"resident": rates[resident]},
        )
        yield Measurement(
            name=f"state.gather_scatter.{dtype}",
            title=f"gather and scatter of streams that lie anywhere, {dtype} states",
            value=100 * (times.ratio(anywhere, to=resident) - 1),
            unit="% of the resident step",
            spreads={"resident": times.spread(anywhere, to=resident)},
        )

    def _copies(self, held: StreamStates, rows: NDArray[np.float32]) -> Iterator[Measurement]:
        slots, target = _slots(held), np.zeros_like(rows)
        ways: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "export": (lambda: held.arena.export(slots), rows.copy),
            "load": (lambda: held.arena.load(slots, rows), lambda: np.copyto(target, rows)),
        }
        for name, (ours, copy) in ways.items():
            times = run_rounds({name: ours, COPY: copy}, rounds=min(self.rounds, _COPY_ROUNDS), slice_s=self.slice_s)
            rates = {way: rows.nbytes / times.median_s(way) / 1e9 for way in (name, COPY)}
            yield Measurement(
                name=f"state.{name}",
                title=f"{name} of {len(rows):,} states",
                value=rates[name],
                unit="GB/s",
                values={COPY: rates[COPY]},
                limit=rates[COPY],
                share_of_limit=times.ratio(COPY, to=name),
            )


def resident_bytes() -> int | None:
    """Return the memory that this process holds, or None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _slots(states: StreamStates) -> NDArray[np.int64]:
    return np.fromiter(states.slots.values(), np.int64, count=len(states))


def _claim(states: StreamStates, ids: list[str]) -> list[Measurement]:
    """Claim all streams in calls of STEP_STREAMS; the calls that make the states grow are of one stream each."""
    done, in_all, growth = 0, 0.0, (0, 0, 0.0)
    while done < len(ids):
        capacity = states.arena.capacity
        end = min(done + STEP_STREAMS, len(ids), capacity) if done < capacity else done + 1
        taken = _seconds(lambda calls=ids[done:end]: states.slots_of(calls))  # type: ignore[misc]
        if done == capacity:
            growth = capacity, states.arena.capacity, taken
        in_all += taken
        done = end
    before, after, grown_s = growth
    return [
        _rate("claim", "new streams claimed", len(ids), in_all),
        Measurement(
            name="state.growth", title=f"growth from {before:,} to {after:,} streams", value=1e3 * grown_s, unit="ms"
        ),
    ]


def _release(states: StreamStates, ids: list[str]) -> Iterator[Measurement]:
    gone = [ids[number] for number in np.random.default_rng(8).permutation(len(ids))[: len(ids) // 2]]
    groups = [gone[begin : begin + STEP_STREAMS] for begin in range(0, len(gone), STEP_STREAMS)]
    for name, title, act in (
        ("release", "streams released", states.release),
        ("reclaim", "streams claimed in slots that were released", states.slots_of),
    ):
        yield _rate(name, title, len(gone), sum(_seconds(lambda act=act, group=group: act(group)) for group in groups))  # type: ignore[misc]


def _rate(name: str, title: str, streams: int, seconds: float) -> Measurement:
    return Measurement(name=f"state.{name}", title=title, value=streams / seconds / 1e6, unit="million streams/s")


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
