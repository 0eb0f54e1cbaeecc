"""`bench kernel`: each cell's contestants are built, checked, timed in paired rounds, and become one measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from streamlstm.benchmarks import ours
from streamlstm.benchmarks.contestants import Contestant, WrongOutputs, check_contestant, expected_outputs
from streamlstm.benchmarks.measurements import Measurement
from streamlstm.benchmarks.peers import Peer
from streamlstm.benchmarks.rounds import PairedTimes, fastest, run_rounds
from streamlstm.benchmarks.workloads import RecurrentNetwork, Workload

__all__ = ["UNIT", "KernelBench", "measurement_of"]

UNIT = "million steps/s"


@dataclass(slots=True)
class KernelBench:
    """The table's cells, one after the other; `readings` gathers what the gauges said in every round so far."""

    peers: Mapping[str, Peer]
    rounds: int
    slice_s: float
    readings: dict[str, list[float]] = field(default_factory=dict)

    def run(self, cells: Iterable[Workload], *, on_contestant: Callable[[str], None]) -> Iterator[Measurement]:
        """Yield a measurement a cell; `on_contestant` hears what is being done."""
        for work in cells:
            network, left_out = RecurrentNetwork.random(work.shape), dict[str, str]()
            expected = expected_outputs(network, work)
            chosen: dict[str, Contestant] = {}
            for name, ways in self._ways(network, work):
                on_contestant(f"{work.title}: {name} is built and checked")
                try:
                    for way in (candidates := list(ways())):
                        check_contestant(name, way, work, expected)
                except WrongOutputs as error:
                    if name == ours.OURS:
                        raise
                    left_out[name] = str(error)
                else:
                    chosen[name] = candidates[fastest([way.advance for way in candidates])]
            on_contestant(f"{work.title}: {self.rounds} rounds of {len(chosen)}")
            times = run_rounds(
                {name: contestant.advance for name, contestant in chosen.items()},
                gauges=ours.gauges(),
                rounds=self.rounds,
                slice_s=self.slice_s,
            )
            for name, readings in times.readings.items():
                self.readings.setdefault(name, []).extend(readings)
            yield measurement_of(work, times, left_out=left_out)

    def gauge_medians(self) -> dict[str, float]:
        """Return the medians of what the gauges said over the whole run."""
        return {name: float(np.median(readings)) for name, readings in self.readings.items()}

    def _ways(
        self, network: RecurrentNetwork, work: Workload
    ) -> Iterator[tuple[str, Callable[[], Sequence[Contestant]]]]:
        for name, ways in ours.contestants(network, work).items():
            yield name, lambda ways=ways: ways  # type: ignore[misc]
        for name, peer in self.peers.items():
            yield name, lambda peer=peer: peer.contestants(network, work)  # type: ignore[misc]


def measurement_of(work: Workload, times: PairedTimes, *, left_out: Mapping[str, str]) -> Measurement:
    """Return a cell's measurement: medians of rates, and medians over the rounds of what was paired in each."""
    rates = {name: work.stream_steps / times.median_s(name) / 1e6 for name in times.seconds}
    others = [name for name in times.seconds if name != ours.OURS]
    limit = share = None
    if {"fma_peak", "gate_cost"} <= times.readings.keys():
        pairs = zip(times.readings["fma_peak"], times.readings["gate_cost"], strict=True)
        least_s = np.array([work.shape.limit_s(peak_gflops=peak, gate_ns=gate) for peak, gate in pairs])
        limit = float(1e-6 / np.median(least_s))
        share = float(np.median(least_s * work.stream_steps / times.seconds[ours.OURS]))
    return Measurement(
        name=f"kernel.{work.name}",
        title=work.title,
        value=rates[ours.OURS],
        unit=UNIT,
        ratios={name: times.ratio(name, to=ours.OURS) for name in others},
        spreads={name: times.spread(name, to=ours.OURS) for name in others},
        values={name: rates[name] for name in others},
        limit=limit,
        share_of_limit=share,
        left_out=dict(left_out),
    )
