"""Series laid end to end, with blank rows between them, so that what a row is compared with is a view.

    rows    | k-1 blank | series 0 | T+p blank | k-1 blank | series 1 | T+p blank | ...

What row t is to be compared with, x[t-k+1 .. t+p], is C * (k + p) neighbouring floats: a view, never a copy of the
whole. The blank rows are unobserved, so no window reaches from one series into another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from streamlstm.training.segments import Segment

__all__ = ["PaddedSeries", "TrainingSequence", "network_inputs"]


class TrainingSequence(NamedTuple):
    """Rows of one series that state is carried over: from `begin`, at least to `until`; `end` is that of the series."""

    begin: int
    until: int
    end: int


class PaddedSeries:
    """Series laid end to end, blank rows between them.

    Shapes: R rows; values, observed float32 [R, C] (observed 1 or 0); windows, observed_windows float32 [R - k - p + 1,
    C * (k + p)], views: the window of row r is number r - k + 1, oldest sample first; observed_before int64 [R + 1],
    how many values are observed in the rows before.
    """

    def __init__(self, segments: Sequence[Segment], *, reconstruct: int, forecast: int, bptt_steps: int) -> None:
        channels = segments[0].x.shape[1] if segments else 1
        before, after = reconstruct - 1, bptt_steps + forecast
        rows = sum(before + len(part.x) + after for part in segments) or before + 1 + forecast
        self.values = np.zeros((rows, channels), np.float32)
        self.observed = np.zeros((rows, channels), np.float32)
        self.spans: list[tuple[int, int]] = []
        """First row and row after the last of each series."""
        at = 0
        for part in segments:
            begin, end = at + before, at + before + len(part.x)
            self.values[begin:end] = part.x
            self.observed[begin:end] = part.observed
            self.spans.append((begin, end))
            at = end + after
        width = channels * (reconstruct + forecast)
        self.windows = sliding_window_view(self.values.ravel(), width)[::channels]
        self.observed_windows = sliding_window_view(self.observed.ravel(), width)[::channels]
        self.observed_before = np.zeros(rows + 1, np.int64)
        self._count_observed()

    def write(self, series: int, values: NDArray[np.float32], observed: NDArray[np.float32]) -> None:
        """Put other rows in the place of a series, blank ones after them. Shapes: [T, C], T at most as was there."""
        begin, end = self.spans[series]
        for array, rows in ((self.values, values), (self.observed, observed)):
            array[begin : begin + len(rows)] = rows
            array[begin + len(rows) : end] = 0
        self._count_observed()

    def _count_observed(self) -> None:
        np.cumsum(self.observed.sum(axis=1), dtype=np.int64, out=self.observed_before[1:])

    def cut(self, *, rows: int, least: int, phase: Callable[[], int]) -> list[TrainingSequence]:
        """Cut every series into sequences of about `rows` rows, the first cut after phase() of them.

        No sequence has fewer than `least` rows, unless the series has.
        """
        sequences = []
        for begin, end in self.spans:
            cuts = range(begin + phase(), end, rows)
            edges = [begin, *(cut for cut in cuts if cut >= begin + least and cut <= end - least), end]
            sequences += [TrainingSequence(a, b, end) for a, b in pairwise(edges) if b > a]
        return sequences


def network_inputs(
    values: NDArray[np.float32], observed: NDArray[np.float32], *, has_mask: bool
) -> NDArray[np.float32]:
    """Return what the lowest layer is given: the values, and with a mask which were observed. Shapes: [T, B, C]."""
    return np.concatenate([values, observed], axis=2) if has_mask else values
