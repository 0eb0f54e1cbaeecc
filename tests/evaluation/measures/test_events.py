"""Events and false openings: both sides of each edge, a plain second count, and totals."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlstm.errors import DataError
from streamlstm.evaluation.measures.events import EventCounts, count_events, total_events
from streamlstm.evaluation.measures.labels import spans_as_labels

LABELS = spans_as_labels([(10, 12), (20, 21)], 40)


@pytest.mark.parametrize(
    ("opening", "delays", "false"),
    [(9, [], 1), (10, [0], 0), (12, [2], 0), (15, [5], 0), (16, [], 1), (20, [0], 0), (24, [4], 0), (25, [], 1)],
)
def test_one_opening(opening: int, delays: list[int], false: int) -> None:
    found = count_events([opening], LABELS, 3)
    assert (found.delays.tolist(), found.found, found.false_openings) == (delays, len(delays), false)
    assert (found.events, found.openings, found.rows, found.rows_under_alert) == (2, 1, 40, 1)


def test_each_event_is_found_once_and_each_false_opening_counts() -> None:
    found = count_events([11, 10, 30, 31, 5, 31], LABELS, 3)
    assert (found.found, found.delays.tolist(), found.false_openings, found.openings) == (1, [0], 4, 6)
    assert (found.precision, found.recall, found.f1) == pytest.approx((1 / 5, 1 / 2, 2 / 7))


def test_an_alert_that_is_open_already_finds_nothing() -> None:
    found = count_events([5], LABELS, 3, closings=[40])
    assert (found.found, found.false_openings, found.rows_under_alert) == (0, 1, 35)
    assert found.share_under_alert == 35 / 40


def test_no_alert_finds_two_events() -> None:
    labels = spans_as_labels([(5, 5), (8, 8)], 20)
    assert count_events([8], labels, 5).delays.tolist() == [0]
    assert count_events([7, 8], labels, 5).delays.tolist() == [2, 0]


def test_rows_under_several_alerts_count_once() -> None:
    found = count_events([3, 5, 12], LABELS, 0, closings=[8, 10, 12])
    assert found.rows_under_alert == 7
    assert count_events([3, 3], LABELS, 0).rows_under_alert == 1


def test_what_there_is_none_of_has_no_share() -> None:
    quiet, unlabelled = count_events([], LABELS, 3), count_events([4], [0] * 10, 3)
    assert (quiet.recall, quiet.f1) == (0, 0)
    assert math.isnan(quiet.precision) and math.isnan(quiet.median_delay)
    assert unlabelled.false_openings == 1 and unlabelled.precision == 0
    assert math.isnan(unlabelled.recall) and math.isnan(unlabelled.f1)


@pytest.mark.parametrize(
    ("openings", "closings"), [([-1], None), ([40], None), ([40], [40]), ([3], [41]), ([3, 4], [5])]
)
def test_alerts_must_be_of_these_rows(openings: list[int], closings: list[int] | None) -> None:
    with pytest.raises(DataError, match="within rows 0 to 39"):
        count_events(openings, LABELS, 3, closings=closings)


def plainly(openings: list[int], labels: list[int], tolerance: int) -> tuple[dict[int, int], int]:
    """Delay by event number, and false openings: for each row the event in whose zone it lies."""
    zone: dict[int, tuple[int, int]] = {}
    events, since = 0, 0
    for row, label in enumerate(labels):
        if label and (row == 0 or not labels[row - 1]):
            events, since = events + 1, row
        if events and not any(labels[max(row - tolerance, since) : row + 1]):
            continue
        if events:
            zone[row] = (events, row - since)
    delays: dict[int, int] = {}
    for row in sorted(openings):
        if row in zone:
            delays.setdefault(*zone[row])
    return delays, sum(row not in zone for row in openings)


@settings(deadline=None)
@given(st.data())
def test_agrees_with_a_plain_count(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 50))
    labels = data.draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows))
    openings = data.draw(st.lists(st.integers(0, rows - 1), max_size=12))
    tolerance = data.draw(st.integers(0, 8))
    found = count_events(openings, labels, tolerance)
    delays, false = plainly(openings, labels, tolerance)
    assert (found.delays.tolist(), found.false_openings) == (list(delays.values()), false)
    assert found.found <= found.events and found.false_openings <= found.openings == len(openings)


def test_totals_add_up() -> None:
    parts = [count_events([10, 30], LABELS, 3), count_events([22, 23], LABELS, 3, closings=[24, 30])]
    total = total_events(parts)
    assert (total.events, total.found, total.openings, total.false_openings) == (4, 2, 4, 1)
    assert (total.rows, total.rows_under_alert, total.delays.tolist(), total.median_delay) == (80, 10, [0, 2], 1.0)
    nothing = total_events([])
    assert isinstance(nothing, EventCounts) and (nothing.events, nothing.delays.tolist()) == (0, [])
    assert math.isnan(nothing.share_under_alert)
