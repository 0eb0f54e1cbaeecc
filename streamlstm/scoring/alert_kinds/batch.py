"""What a kind of alert sees, and what it is to the tracker: samples in columns, and who of their streams it follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamlstm.scoring.alerts import Alert
from streamlstm.types import Position, Scores

__all__ = ["SampleBatch", "Watch"]


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


class Watch(Protocol):
    """What a kind follows of one batch. Streams that it does not name hold nothing for it in these samples."""

    @property
    def streams(self) -> Set[str]:
        """The streams whose samples it has to see."""

    def advance(self, row: int) -> Iterable[Alert]:
        """Advance by a sample of such a stream; return the alerts that changed."""
