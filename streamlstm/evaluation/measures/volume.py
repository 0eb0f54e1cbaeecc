"""How well scores rank anomalous rows above normal ones, over all thresholds: AUC-PR and VUS-PR.

AUC-PR is the average precision: the sum over distinct thresholds of the step in recall times the precision reached.

VUS-PR, the volume under the surface of precision and recall, does not ask that a score rise at the very row at which a
label does. For each width w of 0..window

    value of a row     1 in an event; sqrt(1 - d / w) at distance d <= w // 2 from one; the sum of several, 1 at most
    hit(t)             the values of the rows flagged at threshold t, summed
    precision(t)       hit(t) / rows flagged
    recall(t)          min(1, hit(t) / (P + s(t) / 2)) * found(t),  P rows labelled, s(t) = hit(t) less labelled
    found(t)           the share of events, each widened by w // 2, in which a row is flagged; those that meet are one
    AP(w)              sum over t, downwards, of (recall(t) - recall(before)) * precision(t)

and the measure is the mean of AP(w). The thresholds are the scores at 250 ranks, evenly spaced from the highest to the
lowest.

Source: Paparrizos et al., Volume under the surface, PVLDB 15 (2022); the definition is that of TSB-AD 1.5,
`get_metrics(...)["VUS-PR"]`, to rounding. There each of window x 250 labelings is held against every row. Here each
row has the number of the first threshold that flags it, so that sums of all thresholds are one histogram, and only
rows beside events are looked at again for each width.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.evaluation.measures.labels import label_spans, rankable

__all__ = ["THRESHOLDS", "auc_pr", "vus_pr"]

THRESHOLDS = 250
"""Ranks at which a threshold lies, as in TSB-AD."""


def auc_pr(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the average precision; equal scores are flagged together, a row without a score (NaN) ranks last.

    Shapes: scores, labels [T]. NaN when there are no labelled rows, or no others.
    """
    ranked, marked = rankable(scores, labels)
    if marked.all() or not marked.any():
        return float("nan")
    order = np.argsort(-ranked)
    ranked = ranked[order]
    flagged = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) + 1
    hits = np.cumsum(marked[order])[flagged - 1]
    return float(np.sum(np.diff(hits, prepend=0) / hits[-1] * (hits / flagged)))


def vus_pr(scores: ArrayLike, labels: ArrayLike, window: int) -> float:
    """Return the volume under the surface of precision and recall, for label borders of 0 to `window` rows.

    Shapes: scores, labels [T]. NaN when there are no labelled rows, or no others; a row without a score (NaN) ranks
    last. Cost: T log T, and window x (rows within window / 2 of an event).
    """
    ranked, marked = rankable(scores, labels)
    if marked.all() or not marked.any():
        return float("nan")
    first = _first_threshold(ranked)
    flagged, inside = _by_threshold(first), _by_threshold(first[marked])
    borders = _Borders(label_spans(marked), marked, first, window // 2)
    total, found = 0.0, np.zeros(THRESHOLDS)
    for width in range(window + 1):
        if width % 2 == 0:
            found = borders.share_found(width // 2)
        sloped = borders.sloped_hits(width)
        hits = inside + sloped
        recall = np.minimum(hits / (inside[-1] + sloped / 2), 1.0) * found
        total += float(np.diff(recall, prepend=0.0) @ (hits / flagged))
    return total / (window + 1)


def _first_threshold(ranked: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each row the number of the highest threshold that flags it; the last one flags every row."""
    downwards = np.sort(-ranked)
    ladder = downwards[np.linspace(0, len(ranked) - 1, THRESHOLDS).astype(np.int64)]
    return np.searchsorted(ladder, -ranked, side="left")


def _by_threshold(first: NDArray[np.int64], values: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Sum values, 1 for each row by default, of the rows flagged at each threshold."""
    return np.cumsum(np.bincount(first, weights=values, minlength=THRESHOLDS), dtype=np.float64)


class _Borders:
    """The rows beside events, by distance, and what each event's neighbourhood has as its first threshold."""

    def __init__(
        self, spans: NDArray[np.int64], marked: NDArray[np.bool_], first: NDArray[np.int64], reach: int
    ) -> None:
        self._spans = spans
        sides = [(spans[:, 0] - d, spans[:, 1] + d) for d in range(1, reach + 1)]
        self._earliest = list(_widening_minima(spans, sides, first))
        # Pairs of an unlabelled row and its distance to an event, by distance: those of a width are the first of them.
        rows, distances = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for d, (left, right) in enumerate(sides, start=1):
            both = np.concatenate([left[left >= 0], right[right < len(marked)]])
            rows.append(both[~marked[both]])
            distances.append(np.full(len(rows[-1]), d))
        beside, self._row = np.unique(np.concatenate(rows), return_inverse=True)
        self._first = first[beside]
        self._distance = np.concatenate(distances)
        self._pairs = np.cumsum([len(some) for some in rows])

    def sloped_hits(self, width: int) -> NDArray[np.float64]:
        """Return the summed values of the flagged rows beside events, by threshold."""
        pairs = self._pairs[width // 2]
        if not pairs:
            return np.zeros(THRESHOLDS)
        slopes = np.sqrt(1 - self._distance[:pairs] / width)
        values = np.bincount(self._row[:pairs], weights=slopes, minlength=len(self._first))
        return _by_threshold(self._first, np.minimum(values, 1.0))

    def share_found(self, reach: int) -> NDArray[np.float64]:
        """Return the share of widened events in which a row is flagged, by threshold."""
        apart = self._spans[:-1, 1] + reach < self._spans[1:, 0] - reach
        groups = np.flatnonzero(np.append(True, apart))
        return _by_threshold(np.minimum.reduceat(self._earliest[reach], groups)) / len(groups)


def _widening_minima(
    spans: NDArray[np.int64], sides: list[tuple[NDArray[np.int64], NDArray[np.int64]]], first: NDArray[np.int64]
) -> Iterator[NDArray[np.int64]]:
    """Yield the first threshold that flags a row of each event, widened by 0, 1, 2, .. rows on both sides."""
    ends = np.append(first, THRESHOLDS)  # a bound may lie one past the last row
    earliest = np.minimum.reduceat(ends, np.stack([spans[:, 0], spans[:, 1] + 1], axis=1).ravel())[::2]
    yield earliest
    for left, right in sides:
        # A bound beyond an end of the series is that end's own row, which the event has reached already.
        earliest = np.minimum(
            earliest, np.minimum(first[np.maximum(left, 0)], first[np.minimum(right, len(first) - 1)])
        )
        yield earliest
