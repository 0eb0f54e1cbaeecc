"""Series laid on one track, and the lanes that training runs over it with carried state (truncated BPTT).

    track   | k-1 blank | series 0 | T+p blank | k-1 blank | series 1 | T+p blank | ...
    lane b  a stretch of one series, T rows at an update; the state goes on to the next T rows, and is zero at its start

What row t is to be compared with, x[t-k+1 .. t+p], is C * (k + p) neighbouring floats of the track: a view, never a
copy of the whole. The blank rows are unobserved, so no window reaches from one series into another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from streamlstm.training.segments import Segment

__all__ = ["Batch", "BatchSampler", "PaddedSeries", "TrainingSequence", "network_inputs"]


class TrainingSequence(NamedTuple):
    """Rows of the track that a lane runs over: from `begin`, at least to `until`; `end` is that of the series."""

    begin: int
    until: int
    end: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Where each lane stands for one update.

    Shapes: rows int64 [T, B], rows of the track; begin, end int64 [B], of the lane's stretch and of its series; fresh
    bool [B], True where the lane begins a stretch and its state is zero.
    """

    rows: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    fresh: NDArray[np.bool_]


class PaddedSeries:
    """Series laid end to end, blank rows between them.

    Shapes: R rows; values, observed float32 [R, C] (observed 1 or 0); windows, observed_windows float32 [R - k - p + 1,
    C * (k + p)], views: the window of row r is number r - k + 1, oldest sample first; observed_before int64 [R + 1],
    how many values are observed in the rows before.
    """

    def __init__(self, segments: Sequence[Segment], *, reconstruct: int, forecast: int, segment: int) -> None:
        channels = segments[0].x.shape[1] if segments else 1
        before, after = reconstruct - 1, segment + forecast
        rows = sum(before + len(part.x) + after for part in segments) or before + 1 + forecast
        self.values = np.zeros((rows, channels), np.float32)
        self.observed = np.zeros((rows, channels), np.float32)
        self.series: list[tuple[int, int]] = []
        """First row and row after the last of each series."""
        at = 0
        for part in segments:
            begin, end = at + before, at + before + len(part.x)
            self.values[begin:end] = part.x
            self.observed[begin:end] = part.observed
            self.series.append((begin, end))
            at = end + after
        width = channels * (reconstruct + forecast)
        self.windows = sliding_window_view(self.values.ravel(), width)[::channels]
        self.observed_windows = sliding_window_view(self.observed.ravel(), width)[::channels]
        self.observed_before = np.zeros(rows + 1, np.int64)
        self._count_observed()

    def write(self, series: int, values: NDArray[np.float32], observed: NDArray[np.float32]) -> None:
        """Put other rows in the place of a series, blank ones after them. Shapes: [T, C], T at most as was there."""
        begin, end = self.series[series]
        for array, rows in ((self.values, values), (self.observed, observed)):
            array[begin : begin + len(rows)] = rows
            array[begin + len(rows) : end] = 0
        self._count_observed()

    def _count_observed(self) -> None:
        np.cumsum(self.observed.sum(axis=1), dtype=np.int64, out=self.observed_before[1:])

    def cut(self, *, stretch: int, least: int, phase: Callable[[], int]) -> list[TrainingSequence]:
        """Cut every series into stretches of about `stretch` rows, the first cut after phase() of them.

        No stretch has fewer than `least` rows, unless the series has.
        """
        stretches = []
        for begin, end in self.series:
            cuts = range(begin + phase(), end, stretch)
            edges = [begin, *(cut for cut in cuts if cut >= begin + least and cut <= end - least), end]
            stretches += [TrainingSequence(a, b, end) for a, b in pairwise(edges) if b > a]
        return stretches


def network_inputs(
    values: NDArray[np.float32], observed: NDArray[np.float32], *, has_mask: bool
) -> NDArray[np.float32]:
    """Return what the lowest layer is given: the values, and with a mask which were observed. Shapes: [T, B, C]."""
    return np.concatenate([values, observed], axis=2) if has_mask else values


class BatchSampler:
    """B lanes over a track. A lane whose stretch is over takes the next one that waits; `refill` brings more.

    `place` may put a stretch that a lane takes somewhere else on the track. When `refill` brings nothing, lanes that
    are over stand on the blank rows at the track's end, where nothing is observed.
    State: `epochs`, how often stretches were brought; the stretches that wait, in order; where each lane stands.
    """

    def __init__(
        self,
        track: PaddedSeries,
        *,
        batch: int,
        segment: int,
        refill: Callable[[], Sequence[TrainingSequence]],
        place: Callable[[int, TrainingSequence], TrainingSequence] = lambda _, stretch: stretch,
    ) -> None:
        self.epochs = 0
        self._rows = np.arange(segment)[:, None]
        self._segment = segment
        self._refill = refill
        self._place = place
        self._waiting: deque[TrainingSequence] = deque()
        blank = track.series[-1][1] if track.series else 0
        self._blank = TrainingSequence(blank, blank, blank)
        self._lanes = [self._blank] * batch
        self._at = [blank] * batch

    def advance(self) -> Batch | None:
        """Return the next T rows of every lane; None when all lanes are over and nothing waits."""
        fresh = [False] * len(self._lanes)
        for lane, stretch in enumerate(self._lanes):
            if self._at[lane] >= stretch.until:
                if not self._waiting:
                    self._waiting.extend(self._refill())
                    self.epochs += 1
                stretch = self._place(lane, self._waiting.popleft()) if self._waiting else self._blank
                self._lanes[lane] = stretch
                self._at[lane] = stretch.begin
                fresh[lane] = True
        if all(stretch is self._blank for stretch in self._lanes):
            return None
        at = np.array(self._at, np.int64)
        self._at = [
            one if lane is self._blank else one + self._segment for one, lane in zip(self._at, self._lanes, strict=True)
        ]
        return Batch(
            rows=at + self._rows,
            begin=np.array([stretch.begin for stretch in self._lanes], np.int64),
            end=np.array([stretch.end for stretch in self._lanes], np.int64),
            fresh=np.array(fresh),
        )

    def export(self) -> dict[str, NDArray[np.int64]]:
        """Return the state as arrays: `waiting` [N, 3], `lanes` [B, 3], `at` [B], `epochs` [1]."""
        return {
            "waiting": np.array(self._waiting, np.int64).reshape(-1, 3),
            "lanes": np.array(self._lanes, np.int64),
            "at": np.array(self._at, np.int64),
            "epochs": np.array([self.epochs], np.int64),
        }

    def restore(self, arrays: Mapping[str, NDArray[np.int64]]) -> None:
        """Take over what `export` returned."""
        self._waiting = deque(TrainingSequence(*row) for row in arrays["waiting"].tolist())
        lanes = [TrainingSequence(*row) for row in arrays["lanes"].tolist()]
        self._lanes = [self._blank if lane == self._blank else lane for lane in lanes]
        self._at = arrays["at"].tolist()
        self.epochs = arrays["epochs"].item()
