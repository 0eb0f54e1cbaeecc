"""Scored samples as the kinds of alerts see them: columns, one row a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.types import Position, Scores

__all__ = ["SampleBatch"]


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """N samples in arrival order; streams may be mixed and may repeat. `model` is the label of what scored them.

    Shapes: stream_ids [N]; event_time_ms int64 [N]; values float32 [N, C] in the channels' own units.
    """

    stream_ids: Sequence[str]
    event_time_ms: NDArray[np.int64]
    values: NDArray[np.float32]
    scores: Scores
    positions: Sequence[Position]
    model: str
