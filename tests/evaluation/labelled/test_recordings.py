"""Labels of event time become labels of rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny_models import TINY_CHANNELS, tiny_series

from streamlstm.errors import DataError
from streamlstm.evaluation.labelled.recordings import OWN_SET, label_recordings, spans_in_warm_up
from streamlstm.recordings.labels import Span
from streamlstm.recordings.series import Series, make_series


def recorded(name: str, rows: int = 90) -> Series:
    return make_series(
        f"{name}.csv",
        name,
        values=tiny_series(1, rows),
        event_time_ms=5000 + 1000 * np.arange(rows),
        channels=TINY_CHANNELS,
        rows=np.arange(rows),
    )


def test_both_ends_of_a_label_belong_to_it() -> None:
    spans = [Span("b", 45_000, 47_000), Span("b", 60_500, 62_500), Span("b", 0, 5000)]
    a, b = label_recordings([recorded("a"), recorded("b")], spans, labels="faults.csv")
    assert not a.labels.any()
    assert np.flatnonzero(b.labels).tolist() == [0, 40, 41, 42, 56, 57]
    assert (a.set_name, a.train_len, b.train_len) == (OWN_SET, 30, 30)
    assert spans_in_warm_up([a, b], spans) == 1


def test_a_recording_that_says_where_its_warm_up_ends() -> None:
    (one,) = label_recordings([replace(recorded("a"), train_len=50)], [], labels="faults.csv")
    assert one.train_len == 50


def test_channels_stand_in_one_order() -> None:
    other = recorded("b")
    turned = replace(other, channels=TINY_CHANNELS[::-1], values=other.values[:, ::-1])
    a, b = label_recordings([recorded("a"), turned], [], labels="faults.csv")
    assert a.series.channels == b.series.channels
    np.testing.assert_array_equal(a.series.values, b.series.values)


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([Span("c", 0, 9000)], r"faults\.csv: expected streams of the recordings \('a', 'b'\), got 'c'"),
        (
            [Span("a", 95_000, 99_000)],
            r"faults\.csv: stream 'a': expected samples .* got none between 1970-01-01T00:01:35",
        ),
        ([Span("a", 6100, 6900)], r"faults\.csv: stream 'a': expected samples between a label's start and end"),
    ],
)
def test_a_label_that_meets_nothing(spans: list[Span], message: str) -> None:
    with pytest.raises(DataError, match=message):
        label_recordings([recorded("a"), recorded("b")], spans, labels="faults.csv")


@pytest.mark.parametrize(("rows", "train_len"), [(2, None), (10, 10)])
def test_a_recording_too_short_to_be_judged(rows: int, train_len: int | None) -> None:
    short = replace(recorded("a", rows), train_len=train_len)
    with pytest.raises(DataError, match="stream 'a': expected rows to learn from and rows to judge"):
        label_recordings([short], [], labels="faults.csv")
