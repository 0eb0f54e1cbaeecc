"""Clean rows that branches are fitted on: those that calibrate, and those before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.model.channels import ChannelRules
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.forward import INPUT_LIMIT, Forward, SeriesChunk, run_series

__all__ = ["CalibrationSeries", "CleanRows", "as_admitted"]

_RUN_UP = 20_000
"""Rows before the first that is used: longer than any state of such a network remembers."""


@dataclass(frozen=True, slots=True)
class CalibrationSeries:
    """One stream in time order; rows from `start` on calibrate, those before bring the state to where it would be.

    Shapes: values float32 [T, C] in the channels' units, NaN = missing.
    """

    values: NDArray[np.float32]
    start: int


@dataclass(frozen=True, slots=True)
class CleanRows:
    """What branches are fitted on.

    `rules` are those of the channels, `prototypes` is how many normal windows are to be found, 0 = none.
    Units: period_rows in rows, 0 = none was found.
    """

    forward: Forward
    series: Sequence[CalibrationSeries]
    period_rows: int
    rules: ChannelRules
    prototypes: int

    @property
    def before(self) -> list[NDArray[np.float32]]:
        """The rows of each series before those that calibrate, in the channels' units.

        A channel of which not all deviations count has no value: no branch but the network's residuals knows which do.
        """
        rows = [one.values[: one.start] for one in self.series]
        plain = self.rules.are_plain
        return rows if plain.all() else [np.where(plain, values, np.float32(np.nan)) for values in rows]

    def runs(self, warm_up: int) -> Iterator[tuple[int, Iterator[SeriesChunk]]]:
        """Yield the first row of each series that counts, and the network's run over that series.

        That row's means are full, which takes `warm_up` rows; short data gives up half of its calibration rows to
        that, not more. A run begins so far before the calibration rows that its state is what it would be.
        """
        for one in self.series:
            start = max(one.start, min(warm_up, (one.start + len(one.values)) // 2))
            yield start, run_series(self.forward, one.values, begin=max(one.start - _RUN_UP, 0))


def as_admitted(values: NDArray[np.float32], standardizer: Standardizer) -> NDArray[np.float32]:
    """Return rows as they are when they are scored: standardised, clipped, missing values carried forward from 0."""
    x = standardizer.apply(values)
    np.clip(x, -INPUT_LIMIT, INPUT_LIMIT, out=x)
    for c in range(x.shape[1]):  # a channel at a time: of a long series this is no copy more
        last = np.where(np.isfinite(values[:, c]), np.arange(len(x)), -1)
        np.maximum.accumulate(last, out=last)
        x[:, c] = np.where(last >= 0, x[np.maximum(last, 0), c], 0.0)
    return x
