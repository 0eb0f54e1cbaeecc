"""Where a range is cut: what lies before the cut trains the new model, what lies behind compares the models."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.jobs.retraining.outcome import written
from streamlstm.recordings.series import StreamSamples

__all__ = ["LEAST_ROWS", "Split", "split_range"]

_log = logging.getLogger(__name__)

LEAST_ROWS = 100
"""Of a piece, to train on: less than the trainer would split into training, validation and calibration."""


@dataclass(frozen=True, slots=True)
class Split:
    """A range from `first_ms` to `last_ms`, cut at `cut_ms` for all streams.

    Shapes: training float32 [T, C] by piece of a stream, NaN = missing.
    `short_rows` lie before the cut in pieces too short to train on.
    """

    first_ms: int
    cut_ms: int
    last_ms: int
    training: dict[str, NDArray[np.float32]]
    short_rows: int

    @property
    def training_rows(self) -> int:
        """Rows of all pieces that are trained on."""
        return sum(map(len, self.training.values()))

    @property
    def has_values(self) -> bool:
        """Whether there is anything to train on."""
        return any(np.isfinite(values).any() for values in self.training.values())


def split_range(pieces: Sequence[StreamSamples], *, compare: float, trained_until_ms: object) -> Split:
    """Cut a range so that the share `compare` of its time lies behind the cut.

    The cut is never before the end of the champion's own training, `trained_until_ms`, where that is known: it would
    be compared on what it has learnt.
    """
    first_ms = min(int(piece.event_time_ms[0]) for piece in pieces)
    last_ms = max(int(piece.event_time_ms[-1]) for piece in pieces)
    cut_ms = last_ms - round(compare * (last_ms - first_ms))
    if isinstance(trained_until_ms, int) and cut_ms <= trained_until_ms:
        until = written(trained_until_ms)
        _log.info("the champion was trained on samples up to %s: only later ones are compared", until)
        cut_ms = trained_until_ms + 1
    training: dict[str, NDArray[np.float32]] = {}
    short_rows = number = 0
    for piece in pieces:
        end = int(np.searchsorted(piece.event_time_ms, cut_ms))
        if end < LEAST_ROWS:
            short_rows += end
            continue
        number += 1
        key = piece.stream_id if piece.stream_id not in training else f"{piece.stream_id}#{number}"
        training[key] = piece.values[:end]
    return Split(first_ms, cut_ms, last_ms, training, short_rows)
