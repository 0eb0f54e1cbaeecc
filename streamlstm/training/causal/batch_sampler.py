"""Sequences side by side: each update moves every one of them on by T rows, with carried state (truncated BPTT).

lane b  a sequence of one series, T rows at an update; the state goes on to the next T rows, and is zero at its start
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.training.causal.padded_series import PaddedSeries, TrainingSequence

__all__ = ["Batch", "BatchSampler"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Where each lane stands for one update.

    Shapes: rows int64 [T, B], of the padded series; begin, end int64 [B], of the lane's sequence and of its series;
    fresh bool [B], True where the lane begins a sequence and its state is zero.
    """

    rows: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    fresh: NDArray[np.bool_]


class BatchSampler:
    """B lanes over padded series. A lane whose sequence is over takes the next one that waits; `refill` brings more.

    `place` may put a sequence that a lane takes somewhere else. When `refill` brings nothing, lanes that
    are over stand on the blank rows at the very end, where nothing is observed.
    State: `epochs`, how often sequences were brought; the sequences that wait, in order; where each lane stands.
    """

    def __init__(
        self,
        series: PaddedSeries,
        *,
        batch: int,
        bptt_steps: int,
        refill: Callable[[], Sequence[TrainingSequence]],
        place: Callable[[int, TrainingSequence], TrainingSequence] = lambda _, sequence: sequence,
    ) -> None:
        self.epochs = 0
        self._rows = np.arange(bptt_steps)[:, None]
        self._bptt_steps = bptt_steps
        self._refill = refill
        self._place = place
        self._waiting: deque[TrainingSequence] = deque()
        blank = series.spans[-1][1] if series.spans else 0
        self._blank = TrainingSequence(blank, blank, blank)
        self._lanes = [self._blank] * batch
        self._at = [blank] * batch

    def advance(self) -> Batch | None:
        """Return the next T rows of every lane; None when all lanes are over and nothing waits."""
        fresh = [False] * len(self._lanes)
        for lane, sequence in enumerate(self._lanes):
            if self._at[lane] >= sequence.until:
                if not self._waiting:
                    self._waiting.extend(self._refill())
                    self.epochs += 1
                sequence = self._place(lane, self._waiting.popleft()) if self._waiting else self._blank
                self._lanes[lane] = sequence
                self._at[lane] = sequence.begin
                fresh[lane] = True
        if all(sequence is self._blank for sequence in self._lanes):
            return None
        at = np.array(self._at, np.int64)
        self._at = [
            one if lane is self._blank else one + self._bptt_steps
            for one, lane in zip(self._at, self._lanes, strict=True)
        ]
        return Batch(
            rows=at + self._rows,
            begin=np.array([sequence.begin for sequence in self._lanes], np.int64),
            end=np.array([sequence.end for sequence in self._lanes], np.int64),
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
