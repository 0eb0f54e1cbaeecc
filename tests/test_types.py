"""What passes between floors, compared as a user compares it."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from streamlstm.types import Scores


def scores(rows: int = 3) -> Scores:
    column = np.array([np.nan, 0.25, 1.5, 0.5])[:rows]
    values = np.array([[1, 2], [np.nan, 3], [4, 5], [6, 7]], np.float32)[:rows]
    return Scores(column, column / 2, np.array([1, 0, 0, 0], np.uint8)[:rows], values, values / 4)


def test_scores_are_equal_when_every_column_is_and_unknown_is_as_unknown() -> None:
    assert scores() == scores()
    assert scores(0) == scores(0)
    assert scores(3) != scores(4)
    assert scores() != "scores"


@pytest.mark.parametrize("name", [field.name for field in fields(Scores)])
def test_scores_that_differ_in_one_value_are_not_equal(name: str) -> None:
    column = getattr(scores(), name).copy()
    column[2] += 1
    assert scores() != replace(scores(), **{name: column})


def test_scores_have_no_hash_since_their_columns_are_arrays() -> None:
    with pytest.raises(TypeError, match="unhashable type"):
        hash(scores())
