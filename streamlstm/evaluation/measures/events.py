"""Events found and false openings at a detector's own alerts, without point adjustment.

An event's zone is [start, end + tolerance], cut before the next event starts, so that no alert finds two. An event is
found when an alert opens in its zone: one that has been open since before finds nothing. An opening in no zone is
false, each of them, however close to another: that is what somebody is woken for, and what a budget counts.

    precision = found / (found + false openings)      recall = found / events      delay = first opening - start
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.errors import DataError
from streamlstm.evaluation.measures.labels import label_spans

__all__ = ["EventCounts", "Matched", "count_events", "match", "total_events"]


@dataclass(frozen=True, slots=True)
class Matched:
    """Spans held against zones.

    Shapes: is_found [Z], whether an alert was detected in a zone; first [Z], the earliest of them, 0 without any;
    is_covered [Z], whether one was open in it; meets [A], whether a span and any zone have a moment in common.
    """

    is_found: NDArray[np.bool_]
    first: NDArray[np.int64]
    is_covered: NDArray[np.bool_]
    meets: NDArray[np.bool_]


def match(
    zones: NDArray[np.int64],
    *,
    started: NDArray[np.int64],
    detected: NDArray[np.int64],
    ended: NDArray[np.int64],
) -> Matched:
    """Hold spans of alerts against zones, in any order; both ends of each belong to it.

    Shapes: zones [Z, 2]; started, detected, ended [A]. Units: rows or ms; an alert that started, was
    detected and ended is open from `detected` on.
    """
    is_found, is_covered = np.zeros(len(zones), np.bool_), np.zeros(len(zones), np.bool_)
    first, meets = np.zeros(len(zones), np.int64), np.zeros(len(detected), np.bool_)
    for z, (begin, last) in enumerate(zones.tolist()):
        is_early_enough, is_late_enough = detected <= last, ended >= begin
        within = detected[is_early_enough & (detected >= begin)]
        if len(within):
            is_found[z], first[z] = True, within.min()
        is_covered[z] = bool((is_early_enough & is_late_enough).any())
        meets |= is_late_enough & (started <= last)
    return Matched(is_found, first, is_covered, meets)


@dataclass(frozen=True, slots=True)
class EventCounts:
    """What became of the events of some rows. Units: rows; delays int64 [found]."""

    events: int
    found: int
    openings: int
    false_openings: int
    rows: int
    rows_under_alert: int
    delays: NDArray[np.int64] = field(repr=False)

    @property
    def precision(self) -> float:
        """Return found over found and false; NaN without any opening that counts."""
        return _ratio(self.found, self.found + self.false_openings)

    @property
    def recall(self) -> float:
        """Return the share of events found; NaN without events."""
        return _ratio(self.found, self.events)

    @property
    def f1(self) -> float:
        """Return the harmonic mean of precision and recall, 0 when nothing is found; NaN without events."""
        missed = self.events - self.found
        return _ratio(2 * self.found, 2 * self.found + missed + self.false_openings) if self.events else float("nan")

    @property
    def median_delay(self) -> float:
        """Return the median delay of the events found; NaN when none is."""
        return float(np.median(self.delays)) if len(self.delays) else float("nan")

    @property
    def share_under_alert(self) -> float:
        """Return the share of rows at which an alert was open."""
        return _ratio(self.rows_under_alert, self.rows)


def count_events(
    openings: ArrayLike, labels: ArrayLike, tolerance: int, *, closings: ArrayLike | None = None
) -> EventCounts:
    """Hold alerts against labels.

    Shapes: labels [T]; openings [A], the row at which each alert opened; closings [A], the row at which each was
    resolved, T while it is open; without them an alert is open for its row alone.

    Raises: DataError when a row is not one of the labels'.
    """
    rows, opened = len(np.asarray(labels)), np.asarray(openings, np.int64).ravel()
    closed = opened + 1 if closings is None else np.asarray(closings, np.int64).ravel()
    if closed.shape != opened.shape or (opened < 0).any() or (opened >= rows).any() or (closed > rows).any():
        raise DataError(f"expected alerts that open within rows 0 to {rows - 1} and close by {rows}")
    spans = label_spans(labels)
    last = np.minimum(spans[:, 1] + tolerance, np.append(spans[1:, 0], rows)[: len(spans)] - 1)
    matched = match(np.stack([spans[:, 0], last], axis=1), started=opened, detected=opened, ended=opened)
    changes = np.bincount(opened, minlength=rows + 1) - np.bincount(np.maximum(closed, opened), minlength=rows + 1)
    return EventCounts(
        events=len(spans),
        found=int(matched.is_found.sum()),
        openings=len(opened),
        false_openings=int((~matched.meets).sum()),
        rows=rows,
        rows_under_alert=int((np.cumsum(changes[:rows]) > 0).sum()),
        delays=(matched.first - spans[:, 0])[matched.is_found],
    )


def total_events(counts: Iterable[EventCounts]) -> EventCounts:
    """Add up the counts of several series."""
    each = list(counts)
    return EventCounts(
        events=sum(one.events for one in each),
        found=sum(one.found for one in each),
        openings=sum(one.openings for one in each),
        false_openings=sum(one.false_openings for one in each),
        rows=sum(one.rows for one in each),
        rows_under_alert=sum(one.rows_under_alert for one in each),
        delays=np.concatenate([np.zeros(0, np.int64), *(one.delays for one in each)]),
    )


def _ratio(count: int, of: int) -> float:
    return count / of if of else float("nan")
