"""Where a range is cut, what is trained on, and when there is nothing to train on."""

from __future__ import annotations

import numpy as np
import pytest

from streamlstm.jobs.retraining.split import LEAST_ROWS, split_range
from streamlstm.recordings.series import StreamSamples


def piece(stream_id: str, begin_s: int, rows: int) -> StreamSamples:
    times = (begin_s + np.arange(rows, dtype=np.int64)) * 1000
    return StreamSamples(stream_id, np.arange(2 * rows, dtype=np.float32).reshape(rows, 2), times)


def test_one_time_cuts_all_streams() -> None:
    first, second = piece("a", 100, 901), piece("b", 400, 301)
    split = split_range([first, second], compare=0.25, trained_until_ms=None)
    assert (split.first_ms, split.cut_ms, split.last_ms) == (100_000, 775_000, 1_000_000)
    assert {key: len(values) for key, values in split.training.items()} == {"a": 675, "b": 301}
    assert np.array_equal(split.training["a"], first.values[:675])
    assert (split.training_rows, split.short_rows, split.has_values) == (976, 0, True)


@pytest.mark.parametrize(
    ("seen_ms", "cut_ms"), [(774_999, 775_000), (775_000, 775_001), (900_000, 900_001), ("unknown", 775_000)]
)
def test_nothing_that_the_champion_has_learnt_is_compared(seen_ms: object, cut_ms: int) -> None:
    assert split_range([piece("a", 100, 901)], compare=0.25, trained_until_ms=seen_ms).cut_ms == cut_ms


def test_short_pieces_are_counted_and_pieces_of_one_stream_are_told_apart() -> None:
    pieces = [piece("a", 0, LEAST_ROWS), piece("a", 500, LEAST_ROWS - 1), piece("b", 700, 150), piece("a", 900, 200)]
    split = split_range([*pieces, piece("c", 9_900, 101)], compare=0.5, trained_until_ms=None)
    assert {key: len(values) for key, values in split.training.items()} == {"a": 100, "b": 150, "a#3": 200}
    assert split.short_rows == LEAST_ROWS - 1


def test_without_a_value_there_is_nothing_to_train_on() -> None:
    one = piece("a", 0, 500)
    one.values[:] = np.nan
    assert not split_range([one], compare=0.2, trained_until_ms=None).has_values
    one.values[3, 1] = 5.0
    assert split_range([one], compare=0.2, trained_until_ms=None).has_values
    assert not split_range([piece("a", 0, 50)], compare=0.2, trained_until_ms=None).has_values
