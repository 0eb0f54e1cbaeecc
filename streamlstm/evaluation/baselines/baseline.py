"""What every baseline is: a fit on the warm-up, and a score for each row after it that rests on no later row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.errors import DataError

__all__ = ["FEWEST_WARM_UP_ROWS", "Baseline", "Prepared", "prepare", "trailing_sums"]

FEWEST_WARM_UP_ROWS = 8
_LIMIT = 1e5
"""Standardised values are held within this: squares of more would drown the sums of a window they lie in."""


class Baseline(Protocol):
    """One way of scoring a series. Implementations are frozen: one may score any number of series."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def fewest_channels(self) -> int:
        """Fewer channels leave it nothing to measure."""

    def scores(self, values: ArrayLike, warm_up: int) -> NDArray[np.float64]:
        """Score a series [T, C], NaN = missing, fitted on its first `warm_up` rows.

        Returns [T]: NaN in the warm-up and where a row has no value at all; larger is more anomalous. A score rests on
        its row and those before it: scores of a prefix are those of the whole, to rounding.

        Raises: DataError when the warm-up has fewer than 8 rows, or the series too few channels.
        """


@dataclass(frozen=True, slots=True)
class Prepared:
    """A series over the scale of its warm-up, without holes.

    Shapes: values [T, C], mean 0 and deviation 1 in the warm-up; a missing value is the last one before it, and 0 where
    there was none. A channel that is constant in the warm-up is left in its own units.
    """

    values: NDArray[np.float64]
    warm_up: int
    is_observed: NDArray[np.bool_]

    def finished(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take away the scores of the warm-up and of rows without a value."""
        scores[: self.warm_up] = np.nan
        scores[~self.is_observed] = np.nan
        return scores


def prepare(values: ArrayLike, warm_up: int, *, fewest_channels: int = 1) -> Prepared:
    """Standardise a series by its warm-up and fill its holes."""
    given = np.array(values, np.float64)
    if given.ndim != 2 or given.shape[1] < fewest_channels:
        raise DataError(f"expected a series [rows, at least {fewest_channels} channels], got shape {given.shape}")
    if not FEWEST_WARM_UP_ROWS <= warm_up <= len(given):
        raise DataError(f"expected a warm-up of {FEWEST_WARM_UP_ROWS} to {len(given)} rows, got {warm_up}")
    is_seen = np.isfinite(given)
    given[~is_seen] = 0.0
    counts = np.maximum(is_seen[:warm_up].sum(axis=0), 1)
    mean = given[:warm_up].sum(axis=0) / counts
    spread = np.sqrt((np.where(is_seen, given - mean, 0.0)[:warm_up] ** 2).sum(axis=0) / counts)
    # Sums of equal values round: what is constant has a deviation of about 1e-16 of its size.
    spread[spread <= 1e-9 * np.abs(mean)] = 1.0
    standard = np.clip(np.where(is_seen, (given - mean) / spread, 0.0), -_LIMIT, _LIMIT)
    for c in np.flatnonzero(~is_seen.all(axis=0)).tolist():
        last = np.maximum.accumulate(np.where(is_seen[:, c], np.arange(len(given)), 0))
        standard[:, c] = standard[last, c]
    return Prepared(standard, warm_up, is_seen.sum(axis=1) > 0)


def trailing_sums(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the sums [T, C] over each row and the window - 1 rows before it, as far as there are any.

    A window is the end of one block and the start of the next, so that nothing is subtracted: a value that has left the
    window leaves no trace in later sums.
    """
    rows, channels = values.shape
    blocks = -(-rows // window)
    padded = np.zeros((blocks * window, channels))
    padded[:rows] = values
    padded = padded.reshape(blocks, window, channels)
    starts = np.cumsum(padded, axis=1)
    ends = np.cumsum(padded[:, ::-1], axis=1)[:, ::-1]
    starts[1:, :-1] += ends[:-1, 1:]
    return starts.reshape(-1, channels)[:rows]
