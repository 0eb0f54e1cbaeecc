"""`bench train`: each cell's contestants are built, checked, timed in paired rounds, and become one measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from streamlstm.benchmarks.contestants import WrongOutputs
from streamlstm.benchmarks.measurements import Measurement
from streamlstm.benchmarks.our_training import OurTraining
from streamlstm.benchmarks.ours import OURS
from streamlstm.benchmarks.peers import TrainingPeer
from streamlstm.benchmarks.rounds import PairedTimes, fastest, run_rounds
from streamlstm.benchmarks.training_work import TrainingContestant, TrainingWork, first_loss, training_workloads
from streamlstm.benchmarks.workloads import RecurrentNetwork
from streamlstm.kernels import fma_peak

__all__ = ["UNIT", "TrainingBench", "TrainingWork", "first_losses", "training_measurement", "training_workloads"]

UNIT = "ms a batch"

CHECKED_UPDATES = 4
"""Updates whose losses are compared: the later ones tell gradients and Adam that are wrong."""

TOLERANCE = 1e-3
"""Largest relative difference of a loss: float32 and Adam's divisions are good to 1e-4 here, a wrong bias is not."""


@dataclass(slots=True)
class TrainingBench:
    """The table's cells, one after the other; `readings` gathers the peaks that were measured in every round so far."""

    peers: Mapping[str, TrainingPeer]
    rounds: int
    slice_s: float
    readings: list[float] = field(default_factory=list)

    def run(self, cells: Iterable[TrainingWork], *, on_contestant: Callable[[str], None]) -> Iterator[Measurement]:
        """Yield a measurement a cell; `on_contestant` hears what is being done."""
        for work in cells:
            network, left_out = RecurrentNetwork.random(work.shape, work.cell), dict[str, str]()
            on_contestant(f"{work.title}: {OURS} is built and checked")
            ours = OurTraining(network, work)
            expected = first_losses(ours)
            _check(OURS, work, expected[:1], [first_loss(network, work)])
            chosen: dict[str, TrainingContestant] = {OURS: ours}
            for name, peer in self.peers.items():
                on_contestant(f"{work.title}: {name} is built and checked")
                ways = peer.training(network, work)
                if not ways:
                    continue
                try:
                    for way in ways:
                        _check(name, work, first_losses(way), expected)
                except WrongOutputs as error:
                    left_out[name] = str(error)
                else:
                    chosen[name] = ways[fastest([way.update for way in ways])]
            on_contestant(f"{work.title}: {self.rounds} rounds of {len(chosen)}")
            times = run_rounds(
                {name: contestant.update for name, contestant in chosen.items()},
                gauges={"fma_peak": fma_peak},
                rounds=self.rounds,
                slice_s=self.slice_s,
            )
            self.readings.extend(times.readings["fma_peak"])
            yield training_measurement(work, times, left_out=left_out)


def first_losses(contestant: TrainingContestant) -> list[float]:
    """Make the first updates; return their losses."""
    losses = []
    for _ in range(CHECKED_UPDATES):
        contestant.update()
        losses.append(contestant.loss())
    return losses


def _check(name: str, work: TrainingWork, came: list[float], wanted: list[float]) -> None:
    for update, (loss, expected) in enumerate(zip(came, wanted, strict=True), start=1):
        if not abs(loss - expected) <= TOLERANCE * expected:
            raise WrongOutputs(
                f"{name}, {work.title}: the loss of update {update} is {loss:.6g}, expected {expected:.6g}; "
                "it is not timed"
            )


def training_measurement(work: TrainingWork, times: PairedTimes, *, left_out: Mapping[str, str]) -> Measurement:
    """Return a cell's measurement: medians, medians of what was paired in each round, and everyone's best time."""
    medians = {name: times.median_s(name) * 1e3 for name in times.seconds}
    others = [name for name in times.seconds if name != OURS]
    least_s = np.array([work.limit_s(peak_gflops=peak) for peak in times.readings["fma_peak"]])
    return Measurement(
        name=f"train.{work.name}",
        title=work.title,
        value=medians[OURS],
        unit=UNIT,
        ratios={name: times.ratio(name, to=OURS) for name in others},
        spreads={name: times.spread(name, to=OURS) for name in others},
        values={name: medians[name] for name in others},
        best={name: float(seconds.min()) * 1e3 for name, seconds in times.seconds.items()},
        limit=float(np.median(least_s)) * 1e3,
        share_of_limit=float(np.median(least_s / times.seconds[OURS])),
        left_out=dict(left_out),
    )
