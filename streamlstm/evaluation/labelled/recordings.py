"""Recordings of one's own with labels of event time: `stream_id,start,end`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamlstm.errors import DataError
from streamlstm.evaluation.labelled.series import LabelledSeries
from streamlstm.recordings.labels import Span
from streamlstm.recordings.series import Series, align_channels

__all__ = ["OWN_SET", "WARM_UP_SHARE", "label_recordings", "spans_in_warm_up"]

OWN_SET = "recordings"
"""The name of the set that recordings of one's own make."""
WARM_UP_SHARE = 1 / 3
"""Of a recording that does not say what may be learnt from, the first third is the warm-up."""
_LISTED = 5


def label_recordings(series: Sequence[Series], spans: Sequence[Span], *, labels: str) -> list[LabelledSeries]:
    """Give each recording its labels, and a warm-up where it names none.

    Raises: DataError, in which `labels` is where they came from, for a stream that is not recorded, for a span in which
    no sample lies, and when recordings differ in their channels.
    """
    known = {one.stream_id for one in series}
    if unknown := sorted({span.stream_id for span in spans} - known):
        raise DataError(
            f"{labels}: expected streams of the recordings ({_listed(sorted(known))}), got {_listed(unknown)}"
        )
    return [
        _label(one, [span for span in spans if span.stream_id == one.stream_id], labels)
        for one in align_channels(series)
    ]


def spans_in_warm_up(series: Sequence[LabelledSeries], spans: Sequence[Span]) -> int:
    """Count the spans that begin in a warm-up: they are learnt as normal as far as they lie there."""
    ends = {one.name: int(one.series.event_time_ms[one.train_len]) for one in series}
    return sum(span.begin_ms < ends[span.stream_id] for span in spans)


def _label(series: Series, spans: Sequence[Span], labels: str) -> LabelledSeries:
    rows = len(series.values)
    train_len = series.train_len or int(rows * WARM_UP_SHARE)
    if not 0 < train_len < rows:
        raise DataError(
            f"{series.source}: stream {series.stream_id!r}: expected rows to learn from and rows to judge, got {rows}, "
            f"of which {train_len} are the warm-up"
        )
    marked = np.zeros(rows, np.bool_)
    for span in spans:
        first, last = np.searchsorted(series.event_time_ms, [span.begin_ms, span.end_ms + 1])
        if first == last:
            raise DataError(
                f"{labels}: stream {series.stream_id!r}: expected samples between a label's start and end, got none "
                f"between {_written(span.begin_ms)} and {_written(span.end_ms)}"
            )
        marked[first:last] = True
    return LabelledSeries(OWN_SET, series, marked, train_len)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more


def _written(time_ms: int) -> str:
    return f"{np.datetime64(time_ms, 'ms')}Z"
