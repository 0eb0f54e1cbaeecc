"""Fits the calibration of a network on clean data that its training did not see.

The network runs with carried state, as it will when it scores, from well before the first row that is used; it runs
twice, a chunk at a time, so that memory does not grow with what it makes of every row.

1. what each branch of the score fits to those rows, such as the scales of the network's residuals;
2. each part of each branch -> its tail;
3. the sum of the parts' surprises -> its own tail, whose surprise is calibrated again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.kernels import BASE_SURPRISE, combine_tails
from streamlstm.model.calibration import Calibration, StackedTails
from streamlstm.model.channels import ChannelRules
from streamlstm.model.network import Network
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.branches.beats import BEATS_OF_A_HORIZON, WAVE_WEIGHTS, fit_beats
from streamlstm.scoring.branches.known import state_of
from streamlstm.scoring.branches.network_residuals import (
    NetworkResiduals,
    fit_scales,
    steady_channels,
    widths_for,
)
from streamlstm.scoring.branches.protocol import Branch
from streamlstm.scoring.branches.prototypes import fit_prototypes, taps_for
from streamlstm.scoring.channel_runs import fit_runs
from streamlstm.scoring.forward import Forward, SeriesChunk, run_series
from streamlstm.scoring.odd_rows import odd_level
from streamlstm.scoring.state import StreamStates
from streamlstm.scoring.tails import fit_tail

__all__ = ["CalibrationSeries", "calibrate", "cluster_rows"]

_LEAST_ROWS = 20
_LEAST_PART_SCALE = 1e-3
"""Of the tail of a part, whose statistics are about 1 on clean data: that of 128 rows of 38 noisy channels is seven
times as wide. Where nothing moved in calibration the next rounding would else be as unlikely as a broken sensor."""
_LEAST_TOTAL_SCALE = 1.0
"""Of the tail of their sum, in nats: one part alone has a scale of 1."""
_RUN_UP = 20_000
"""Rows before the first that is used: longer than any state of such a network remembers."""


@dataclass(frozen=True, slots=True)
class CalibrationSeries:
    """One stream in time order; rows from `start` on calibrate, those before bring the state to where it would be.

    Shapes: values float32 [T, C] in the channels' units, NaN = missing.
    """

    values: NDArray[np.float32]
    start: int


def calibrate(
    network: Network,
    standardizer: Standardizer,
    series: Sequence[CalibrationSeries],
    *,
    period_rows: int,
    period_s: float = 0.0,
    rules: ChannelRules | None = None,
    prototypes: int = 64,
) -> Calibration:
    """Fit the branches of the score, and the tails.

    `prototypes` of normal windows are found in the rows before those that calibrate, where there are enough; with 0
    the score does without this branch. How long channels keep one value, or have none, is learnt of all rows.
    `rules` are those that channels are declared to have; by default all deviations of all channels count.
    Units: period_s in seconds between two rows, 0 = unknown.
    Raises: DataError when fewer than 20 rows are left to calibrate on.
    """
    architecture = network.architecture
    rules = rules or ChannelRules.of({}, [""] * architecture.channels, standardizer)
    widths = widths_for(period_rows)
    longest = int(widths[-1])
    burn_in = max(architecture.forecast, longest // 2)
    taps = taps_for(period_rows, architecture.channels)
    before = [one.values[: one.start] for one in series]
    measured = fit_prototypes(before, standardizer, taps=taps, count=prototypes) if prototypes else None
    beats = fit_beats(before, standardizer, period_rows=period_rows, count=prototypes) if measured else None
    windows = [one for one in (measured, beats) if one is not None]
    warm_up = max([burn_in + longest, *(one.span for one in windows)])
    forward = Forward(network, standardizer, scored=rules.scored)
    starts = [_usable_start(one, warm_up) for one in series]
    runs = ((start, _run(forward, one)) for one, start in zip(series, starts, strict=True))
    steady = steady_channels([one.values for one in series])
    scales = fit_scales(architecture, runs)
    residuals = NetworkResiduals(architecture, burn_in, scales, widths, steady, rules.directions, rules.least)
    branches: list[Branch] = [residuals, *windows]
    found = [_statistics(forward, branches, one, start) for one, start in zip(series, starts, strict=True)]
    statistics = np.concatenate(found)
    if len(statistics) < _LEAST_ROWS:
        raise DataError(
            f"calibration: expected at least {_LEAST_ROWS} rows after the first {warm_up}, got {len(statistics)}; "
            "give more data"
        )
    parts = [(part, branch) for branch in branches for part in branch.parts]
    if beats is not None:
        statistics = statistics[_is_usual(statistics, parts, span=beats.span)]
    tails = {
        part: replace(
            fit_tail(statistics[:, k].astype(np.float64), lightest=branch.lightest_tail, least_scale=_LEAST_PART_SCALE),
            weight=_weight(part, branch, is_wave=beats is not None),
        )
        for k, (part, branch) in enumerate(parts)
    }
    # A sum of surprises is what -ln p is of, exponential by nature: its tail needs no bound.
    total = np.empty(len(statistics))
    combine_tails(statistics, **StackedTails.of(tails)._asdict(), combined=total)
    tail = fit_tail(total, least_scale=_LEAST_TOTAL_SCALE)
    return Calibration(
        branches={branch.name: branch.arrays for branch in branches},
        tails=tails,
        total=tail,
        rows=len(statistics),
        cluster_rows=cluster_rows(tail.surprise_of(total), gap=longest),
        burn_in=burn_in,
        warm_up=warm_up,
        horizon=max(
            int(np.clip(sum(len(one.values) for one in series) / 10, 200, 20_000)),
            BEATS_OF_A_HORIZON * period_rows if beats is not None else 0,
        ),
        runs=fit_runs([one.values for one in series], period_s=period_s).arrays,
    )


def _is_usual(statistics: NDArray[np.float32], parts: Sequence[tuple[str, Branch]], *, span: int) -> NDArray[np.bool_]:
    """Say which rows are of usual beats [N]: an odd one is in all windows that reach back to it, and in the means.

    Where that would leave less than half of the rows, all of them are usual.
    """
    column = [part for part, _ in parts].index("beats/centred")
    distances = statistics[:, column].astype(np.float64)
    odd = np.flatnonzero(distances >= odd_level(distances))
    is_usual = np.ones(len(statistics), np.bool_)
    for row in odd:
        is_usual[row : row + span] = False
    if 2 * is_usual.sum() < len(is_usual):
        is_usual[:] = True
    return is_usual


def _weight(part: str, branch: Branch, *, is_wave: bool) -> float:
    """Return what a part counts for: its even share of what the branch does, where a wave has no other for it."""
    known = WAVE_WEIGHTS if is_wave else {}
    return known.get(part, known.get(branch.name, branch.weight) / len(branch.parts))


def _usable_start(series: CalibrationSeries, warm_up: int) -> int:
    """First row whose means are full; short data gives up half of its calibration rows to the warm-up, not more."""
    return max(series.start, min(warm_up, (series.start + len(series.values)) // 2))


def _run(forward: Forward, series: CalibrationSeries) -> Iterator[SeriesChunk]:
    """Run the network over a series, from so far before its calibration rows that its state is what it would be."""
    return run_series(forward, series.values, begin=max(series.start - _RUN_UP, 0))


def _statistics(
    forward: Forward, branches: Sequence[Branch], series: CalibrationSeries, start: int
) -> NDArray[np.float32]:
    """Return what the branches measure of the rows from `start` on, where there is anything to measure [N, parts]."""
    states = StreamStates(forward.network.architecture, forward.weights, state_of(branches), max_streams=16)
    states.slots_of(["series"])
    found = [np.empty((0, sum(len(branch.parts) for branch in branches)), np.float32)]
    for chunk in _run(forward, series):
        measured = [branch.advance(chunk.result, states.pieces).statistics for branch in branches]
        counted = chunk.result.measured.astype(bool)  # what was not measured repeats the row before
        counted[: max(start - chunk.begin, 0)] = False
        found.append(np.concatenate(measured, axis=1)[counted])
    return np.concatenate(found)


def cluster_rows(surprise: NDArray[np.float64], *, gap: int) -> float:
    """Return how many samples pass the 98 % level in a cluster, on average; `gap` samples below it part clusters."""
    above = np.flatnonzero(surprise > BASE_SURPRISE)
    if len(above) == 0:
        return float(gap)
    return len(above) / (1 + int((np.diff(above) > gap).sum()))
