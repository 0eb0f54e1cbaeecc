"""Fits the calibration of a network on clean data that its training did not see.

The network runs with carried state, as it will when it scores, from well before the first row that is used; it runs
twice, a chunk at a time, so that memory does not grow with what it makes of every row.

1. what each branch of the score fits to those rows, such as the scales of the network's residuals;
2. of which kind the data are, which says what each part counts for: a branch that counts for nothing is left out;
3. each part -> its tail;
4. the sum of the parts' surprises -> its own tail, whose surprise is calibrated again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.kernels import BASE_SURPRISE, combine_tails
from streamlstm.model.calibration import Calibration, StackedTails
from streamlstm.model.channels import ChannelRules
from streamlstm.model.network import Network
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.branches.beats import BEATS_OF_A_HORIZON, BeatPrototypes
from streamlstm.scoring.branches.clean_rows import CalibrationSeries, CleanRows
from streamlstm.scoring.branches.known import fit_branches, state_of
from streamlstm.scoring.branches.network_residuals import fit_network_residuals
from streamlstm.scoring.branches.protocol import Branch
from streamlstm.scoring.branches.prototypes import NORMALISED, do_shapes_repeat
from streamlstm.scoring.branches.weights import weights_of
from streamlstm.scoring.channel_runs import fit_runs
from streamlstm.scoring.forward import Forward
from streamlstm.scoring.odd_rows import odd_level
from streamlstm.scoring.state import StreamStates
from streamlstm.scoring.tails import fit_tail
from streamlstm.scoring.usual_windows import usual_windows

__all__ = ["CalibrationSeries", "calibrate", "cluster_rows"]

_LEAST_ROWS = 20
_LEAST_PART_SCALE = 1e-3
"""Of the tail of a part, whose statistics are about 1 on clean data: that of 128 rows of 38 noisy channels is seven
times as wide. Where nothing moved in calibration the next rounding would else be as unlikely as a broken sensor."""
_LEAST_TOTAL_SCALE = 1.0
"""Of the tail of their sum, in nats: one part alone has a scale of 1."""


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
    the score rests on the network's residuals alone. How long channels keep one value, or have none, is learnt of all
    rows. `rules` are those that channels are declared to have; by default all deviations of all channels count.
    Units: period_s in seconds between two rows, 0 = unknown.
    Raises: DataError when fewer than 20 rows are left to calibrate on.
    """
    rules = rules or ChannelRules.of({}, [""] * network.architecture.channels, standardizer)
    wanted = prototypes if rules.are_plain.any() else 0
    clean = CleanRows(Forward(network, standardizer, rules=rules), series, period_rows, rules, wanted)
    residuals = fit_network_residuals(clean)
    fitted: list[Branch] = [residuals, *fit_branches(clean)]
    warm_up = max(branch.fill_rows for branch in fitted)
    found = np.concatenate(list(_statistics(clean, fitted, warm_up)))
    if len(found) < _LEAST_ROWS:
        raise DataError(
            f"calibration: expected at least {_LEAST_ROWS} rows after the first {warm_up}, got {len(found)}; "
            "give more data"
        )
    columns = dict(zip((part for branch in fitted for part in branch.parts), found.T, strict=True))
    beats = next((branch for branch in fitted if isinstance(branch, BeatPrototypes)), None)
    repeat = do_shapes_repeat(columns[NORMALISED]) if NORMALISED in columns else True
    weights = weights_of(fitted, is_wave=beats is not None, shapes_repeat=repeat)
    if beats is not None:
        is_usual = _is_usual(columns[beats.parts[0]], span=beats.span, beat=period_rows)
        columns = {part: column[is_usual] for part, column in columns.items()}
    branches = [branch for branch in fitted if any(weights[part] for part in branch.parts)]
    tails = {
        part: replace(
            fit_tail(columns[part].astype(np.float64), lightest=branch.lightest_tail, least_scale=_LEAST_PART_SCALE),
            weight=weights[part],
        )
        for branch in branches
        for part in branch.parts
    }
    statistics = np.stack([columns[part] for part in tails], axis=1)
    # A sum of surprises is what -ln p is of, exponential by nature: its tail needs no bound.
    total = np.empty(len(statistics))
    combine_tails(statistics, **StackedTails.of(tails)._asdict(), combined=total)
    tail = fit_tail(total, least_scale=_LEAST_TOTAL_SCALE)
    return Calibration(
        branches={branch.name: branch.arrays for branch in branches},
        tails=tails,
        total=tail,
        rows=len(statistics),
        cluster_rows=cluster_rows(tail.surprise_of(total), gap=int(residuals.widths[-1])),
        burn_in=residuals.burn_in,
        warm_up=max(branch.fill_rows for branch in branches),
        usual=usual_windows([one.values for one in series], standardizer, period_rows=period_rows, warm_up=warm_up),
        horizon=max(
            int(np.clip(sum(len(one.values) for one in series) / 10, 200, 20_000)),
            BEATS_OF_A_HORIZON * period_rows if beats is not None else 0,
        ),
        runs=fit_runs([one.values for one in series], period_s=period_s).arrays,
    )


def _is_usual(statistic: NDArray[np.float32], *, span: int, beat: int) -> NDArray[np.bool_]:
    """Say which rows are of usual beats [N]: an odd one is in all windows that reach back to it, and in the means.

    Where that would leave less than half of the rows, all of them are usual.
    """
    distances = statistic.astype(np.float64)
    is_usual = np.ones(len(distances), np.bool_)
    for row in np.flatnonzero(distances > odd_level(distances, beat)):
        is_usual[row : row + span] = False
    if 2 * is_usual.sum() < len(is_usual):
        is_usual[:] = True
    return is_usual


def _statistics(clean: CleanRows, branches: Sequence[Branch], warm_up: int) -> Iterator[NDArray[np.float32]]:
    """Yield what the branches measure of the rows that count, where there is anything to measure [N, parts]."""
    forward = clean.forward
    for start, run in clean.runs(warm_up):
        states = StreamStates(forward.network.architecture, forward.weights, state_of(branches), max_streams=16)
        states.slots_of(["series"])
        yield np.empty((0, sum(len(branch.parts) for branch in branches)), np.float32)
        for chunk in run:
            measured = [branch.advance(chunk.result, states.pieces).statistics for branch in branches]
            counted = chunk.result.measured.astype(bool)  # what was not measured repeats the row before
            counted[: max(start - chunk.begin, 0)] = False
            yield np.concatenate(measured, axis=1)[counted]


def cluster_rows(surprise: NDArray[np.float64], *, gap: int) -> float:
    """Return how many samples pass the 98 % level in a cluster, on average; `gap` samples below it part clusters."""
    above = np.flatnonzero(surprise > BASE_SURPRISE)
    if len(above) == 0:
        return float(gap)
    return len(above) / (1 + int((np.diff(above) > gap).sum()))
