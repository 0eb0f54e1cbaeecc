"""The settled verdict on a sample: the mean of its stream's scores over one period, from the sample on.

What a score cannot know is what comes next. A fault goes on, a stray sample does not, and one period later the mean of
the scores since then says which it was. It ranks faults better than the score does, since most of what methods gain
that see a whole recording is this one period; but it rests on later samples, so it comes beside the score, never
instead.

It is scaled as the score is: 1.0 where the surprises of the period are, on average, those of an alarm. The geometric
mean of p-values, however they depend on each other, times e is a p-value (Vovk and Wang 2020, "Combining p-values via
averaging", Biometrika 107), so this is as rare as an alarm but for one nat, and nothing has to be fitted.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import settle_scores
from streamlstm.scoring.branches.protocol import StateArrays
from streamlstm.scoring.period_rows import LONGEST_PERIOD_ROWS, UNKNOWN_PERIOD_ROWS
from streamlstm.scoring.state import StatePiece
from streamlstm.types import Settled

__all__ = ["SettledVerdicts", "settled_samples"]

_FEWEST, _MOST = 8, 128
_LONG_PERIOD_SAMPLES = 16

_TIMES_AND_MARKS = ("settled_times", "settled_marks")
_COUNTERS = ("settled_sums", "settled_entered")


def settled_samples(period_rows: int) -> int:
    """Return over how many samples a verdict is the mean: the period, 8 to 128, and 64 where none was found (0).

    A period beyond 400 samples is most often a day, which no fault fills: then over 16.
    """
    if period_rows > LONGEST_PERIOD_ROWS:
        return _LONG_PERIOD_SAMPLES
    return min(max(period_rows or UNKNOWN_PERIOD_ROWS, _FEWEST), _MOST)


class SettledVerdicts:
    """Settles the scores of streams; what it remembers of each lies in the pieces of its state."""

    def __init__(self, period_rows: int) -> None:
        self.samples = settled_samples(period_rows)

    @property
    def state(self) -> Mapping[str, StatePiece]:
        """The last scores with the times and marks of their samples, their sum, and how many came."""
        ring = (self.samples,)
        pieces = {"settled_scores": StatePiece(np.uint32, ring, may_be_absent=True)}
        pieces |= {name: StatePiece(np.int64, ring, may_be_absent=True) for name in _TIMES_AND_MARKS}
        return pieces | {name: StatePiece(np.int64, may_be_absent=True) for name in _COUNTERS}

    def advance(
        self,
        slots: NDArray[np.int64],
        *,
        score: NDArray[np.float64],
        reset: NDArray[np.uint8],
        event_time_ms: NDArray[np.int64],
        marks: NDArray[np.int64],
        state: StateArrays,
    ) -> Settled:
        """Take scores in arrival order; return the verdicts that they bring, one a row.

        Shapes: all [N].
        """
        found = Settled.none(len(slots))
        settle_scores(
            slots,
            score=score,
            reset=reset,
            event_time_ms=event_time_ms,
            marks=marks,
            rings=state["settled_scores"],
            times=state["settled_times"],
            ring_marks=state["settled_marks"],
            sums=state["settled_sums"],
            entered=state["settled_entered"],
            settled=found.settled,
            settled_score=found.score,
            settled_time_ms=found.event_time_ms,
            settled_mark=found.mark,
        )
        return found
