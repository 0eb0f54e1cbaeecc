"""What is shown of a series: its worst misses and its worst false alarms, and the rows around them."""

from __future__ import annotations

import numpy as np
from evaluation.labelled_data import labelled, scored

from streamlstm.evaluation.excerpts import excerpts

ROWS = 1000


def at(*spans: tuple[int, int]) -> np.ndarray:
    labels = np.zeros(ROWS, np.bool_)
    for first, stop in spans:
        labels[first:stop] = True
    return labels


def test_misses_are_ordered_by_what_scores_higher() -> None:
    score = np.full(ROWS, 0.2)
    score[:100] = 0.5  # unlabelled, above the second event but below the first
    score[300:310], score[500:520], score[700:710] = 0.6, 0.4, 3.0
    score[990:] = np.nan
    labels = at((300, 310), (500, 520), (700, 710))
    first, second = excerpts(labelled(labels), scored(score, (702, 712)), tolerance=5)
    assert [(one.kind, one.begin + one.first - 20) for one in (first, second)] == [
        ("miss", 500),
        ("miss", 300),
    ]
    unlabelled = (~labels[:990]).sum()
    assert first.badness == 100 / unlabelled and second.badness == 0
    assert (first.peak_score, second.peak_score) == (0.4, 0.6)


def test_an_event_is_no_miss_when_an_alert_opens_in_its_zone_or_is_open_in_it() -> None:
    labels, score = at((300, 310), (500, 510), (700, 710)), np.full(ROWS, 0.2)
    found = excerpts(labelled(labels), scored(score, (290, 301), (514, 520), (716, 720)), tolerance=5)
    assert [(one.kind, one.begin + one.first - 20) for one in found] == [("miss", 700), ("false alarm", 716)]


def test_false_alarms_are_ordered_by_their_peak_and_touch_no_event() -> None:
    score = np.full(ROWS, 0.2)
    score[100:110], score[200:230], score[400:405] = 1.2, 5.0, 9.0
    alarms = ((101, 110), (201, 230), (401, 405), (600, 604))
    labels = at((404, 420))
    found = excerpts(labelled(labels), scored(score, *alarms), tolerance=5)
    assert [(one.kind, one.peak_score) for one in found] == [("false alarm", 5.0), ("false alarm", 1.2)]
    worst = found[0]
    assert (worst.begin + worst.first - 20, worst.last - worst.first) == (201, 28)


def test_rows_and_channels_around_the_place() -> None:
    score = np.full(ROWS, 0.2)
    (miss,) = excerpts(labelled(at((300, 340)), period_s=0.5), scored(score), tolerance=5)
    assert (miss.begin, miss.first, miss.last) == (20 + 300 - 80, 80, 119)
    assert (miss.channels, miss.units, miss.period_s) == (("pressure", "flow"), ("bar", "l/min"), 0.5)
    rows = np.arange(220, 220 + 200)
    np.testing.assert_array_equal(miss.values, np.stack([-(rows + 20), rows + 20], axis=1))
    np.testing.assert_array_equal(miss.expected, np.stack([2 * rows, rows], axis=1))
    assert miss.labels.sum() == 40 and miss.labels[80] and not miss.under_alert.any()
    assert len(miss.score) == len(miss.values) == len(miss.labels) == 200


def test_places_at_the_ends_and_places_that_are_long() -> None:
    both = excerpts(labelled(at((0, 3), (995, ROWS))), scored(np.full(ROWS, 0.2)), tolerance=5)
    assert [(one.first, one.last, len(one.score)) for one in both] == [(0, 2, 63), (60, 64, 65)]
    long = np.ones(9000, np.bool_)
    long[:50] = False
    (one,) = excerpts(labelled(long), scored(np.full(9000, 0.2)), tolerance=5)
    assert len(one.score) == 4050 and one.last == len(one.score) - 1
