"""One labelled recording: what may be learnt from, what is scored, and what was wrong there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamlstm.recordings.series import Series

__all__ = ["LabelledSeries"]


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """A series of a set, its labels, and where its warm-up ends.

    Rows before `train_len` are the warm-up: models are trained on them, and they are never judged. The series'
    `period_s` is 0 where nobody knows it. `inputs` are channels that the recording has besides and that are not
    scored; for now nothing sees them.

    Shapes: labels bool [T], True where the recording is anomalous.
    """

    set_name: str
    series: Series
    labels: NDArray[np.bool_]
    train_len: int
    inputs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the series is called, in its set."""
        return self.series.stream_id

    @property
    def judged_labels(self) -> NDArray[np.bool_]:
        """The labels of the rows that are judged, from `train_len` on."""
        return self.labels[self.train_len :]

    def head(self, rows: int) -> LabelledSeries:
        """Return the first rows, as if the recording ended there."""
        s = self.series
        cut = replace(s, values=s.values[:rows], event_time_ms=s.event_time_ms[:rows], rows=s.rows[:rows])
        return replace(self, series=cut, labels=self.labels[:rows])
