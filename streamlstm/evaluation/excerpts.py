"""What is worth looking at: missed events that score lower than much that is normal, and high false alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.labelled.series import LabelledSeries
from streamlstm.evaluation.measures.labels import label_spans
from streamlstm.evaluation.scored import ScoredSeries

__all__ = ["CHANNELS", "Excerpt", "excerpts"]

CHANNELS = 3
"""As many channels are shown, those that contributed most."""
_LEAST_MARGIN, _MOST_MARGIN = 60, 600
_MOST_ROWS = 4000
_EACH = 2
"""As many misses and as many false alarms of each series may come to be shown."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Rows around a missed event or a false alarm.

    `badness` orders excerpts of one kind: of a miss it is the share of the unlabelled rows that score higher than its
    highest score, of a false alarm the highest score while it was open. Rows `begin` and following are of the series,
    `first` and `last` of the event or alert within them.

    Shapes: values, expected float32 [N, C'] of the channels shown, in their own units; score float64 [N], NaN = none;
    labels, under_alert bool [N]. Units: period_s 0 where nobody knows it.
    """

    kind: Literal["miss", "false alarm"]
    set_name: str
    series: str
    badness: float
    begin: int
    first: int
    last: int
    peak_score: float
    period_s: float
    channels: tuple[str, ...]
    units: tuple[str, ...]
    values: NDArray[np.float32]
    expected: NDArray[np.float32]
    score: NDArray[np.float64]
    labels: NDArray[np.bool_]
    under_alert: NDArray[np.bool_]


def excerpts(one: LabelledSeries, scored: ScoredSeries, *, tolerance: int) -> list[Excerpt]:
    """Return the worst misses and false alarms of a series, a few of each.

    An event is missed when no alert opens from its first row to `tolerance` rows after its last, nor one is open in it;
    an alert is false when it touches no event and none of the rows after one.
    """
    spans = label_spans(one.judged_labels)
    return [*_misses(one, scored, spans, tolerance), *_false_alarms(one, scored, spans, tolerance)]


def _misses(one: LabelledSeries, scored: ScoredSeries, spans: NDArray[np.int64], tolerance: int) -> list[Excerpt]:
    clean = np.sort(scored.score[~one.judged_labels & np.isfinite(scored.score)])
    missed = []
    for first, last in spans.tolist():
        zone = slice(first, last + 1 + tolerance)
        if scored.under_alert[zone].any():
            continue
        peak = _highest(scored.score[zone])
        above = len(clean) - int(np.searchsorted(clean, peak, side="right"))
        missed.append((above / max(len(clean), 1), first, last))
    missed.sort(key=lambda miss: -miss[0])
    return [_excerpt(one, scored, "miss", badness, first, last) for badness, first, last in missed[:_EACH]]


def _false_alarms(one: LabelledSeries, scored: ScoredSeries, spans: NDArray[np.int64], tolerance: int) -> list[Excerpt]:
    near = np.zeros(len(scored.score) + 1, np.bool_)
    for first, last in spans.tolist():
        near[first : last + 1 + tolerance] = True
    false = []
    for first, stop in zip(scored.opened.tolist(), scored.closed.tolist(), strict=True):
        if not near[first:stop].any():
            false.append((_highest(scored.score[max(first - 1, 0) : stop]), first, stop - 1))
    false.sort(key=lambda alarm: -alarm[0])
    return [_excerpt(one, scored, "false alarm", badness, first, last) for badness, first, last in false[:_EACH]]


def _highest(scores: NDArray[np.float64]) -> float:
    known = scores[np.isfinite(scores)]
    return float(known.max()) if len(known) else 0.0


def _excerpt(
    one: LabelledSeries,
    scored: ScoredSeries,
    kind: Literal["miss", "false alarm"],
    badness: float,
    first: int,
    last: int,
) -> Excerpt:
    """Cut rows out: the place with as much again on both sides, within bounds."""
    margin = min(max(2 * (last - first + 1), _LEAST_MARGIN), _MOST_MARGIN)
    begin, stop = max(first - margin, 0), min(last + 1 + margin, first + _MOST_ROWS, len(scored.score))
    rows = slice(begin, stop)
    inside = slice(first, min(last + 1, stop))
    shares = scored.contribution[inside]
    peak = int(np.argmax(np.nan_to_num(scored.score[inside])))
    order = np.argsort(-shares[peak], kind="stable")[:CHANNELS].tolist()
    series, offset = one.series, one.train_len
    return Excerpt(
        kind=kind,
        set_name=one.set_name,
        series=one.name,
        badness=badness,
        begin=begin + offset,
        first=first - begin,
        last=min(last, stop - 1) - begin,
        peak_score=_highest(scored.score[inside]),
        period_s=series.period_s,
        channels=tuple(series.channels[c] for c in order),
        units=tuple(series.units[c] if series.units else "" for c in order),
        values=np.ascontiguousarray(series.values[offset + begin : offset + stop, order]),
        expected=np.ascontiguousarray(scored.expected[rows][:, order]),
        score=scored.score[rows].copy(),
        labels=one.judged_labels[rows].copy(),
        under_alert=scored.under_alert[rows].copy(),
    )
