"""What passes between floors, compared as a user compares it."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from streamlstm.types import ChannelFindings, Scores, Settled


def scores(rows: int = 3) -> Scores:
    column = np.array([np.nan, 0.25, 1.5, 0.5])[:rows]
    values = np.array([[1, 2], [np.nan, 3], [4, 5], [6, 7]], np.float32)[:rows]
    return Scores(column, column / 2, np.array([1, 0, 0, 0], np.uint8)[:rows], values, values / 4)


def test_scores_are_equal_when_every_column_is_and_unknown_is_as_unknown() -> None:
    assert scores() == scores()
    assert scores(0) == scores(0)
    assert scores(3) != scores(4)
    assert scores() != "scores"


def settled() -> Settled:
    times = np.array([0, 1000, 2000])
    return Settled(np.array([np.nan, 0.5, 1.5]), np.array([np.nan, 0.25, 2.5]), times, times // 1000)


def findings() -> ChannelFindings:
    rows = np.array([0, 1, 2])
    return ChannelFindings(rows, rows + 1, rows, np.array([1, 2, 1], np.uint8), 1000 * rows)


@pytest.mark.parametrize(
    ("whole", "name"), [(make(), field.name) for make in (scores, settled, findings) for field in fields(make())]
)
def test_what_differs_in_one_value_of_one_column_is_not_equal(
    whole: Scores | Settled | ChannelFindings, name: str
) -> None:
    if name in ("settled", "findings") and isinstance(whole, Scores):
        other = {"settled": settled(), "findings": findings()}[name]
        assert replace(whole, **{name: other}) == replace(whole, **{name: other})
    else:
        assert whole == replace(whole)
        other = getattr(whole, name).copy()
        other[2] += 1
    assert whole != replace(whole, **{name: other})


def test_scores_have_no_hash_since_their_columns_are_arrays() -> None:
    with pytest.raises(TypeError, match="unhashable type"):
        hash(scores())
