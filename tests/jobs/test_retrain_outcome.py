"""What a retraining decides on two losses, and how it writes times."""

from __future__ import annotations

import pytest

from streamlstm.jobs.retraining.outcome import decide, written


@pytest.mark.parametrize(
    ("old", "new", "champion", "expected"),
    [
        (None, 0.5, None, (True, "there was no champion yet; loss 0.5 on the compared part")),
        (0.5, 0.4, "a@1", (True, "loss 0.4 against 0.5 of a@1: 20.0% lower, at least 2.0% was required")),
        (0.5, 0.495, "a@1", (False, "loss 0.495 against 0.5 of a@1: 1.0% lower, and at least 2.0% lower was required")),
        (0.5, 0.6, "a@1", (False, "loss 0.6 against 0.5 of a@1: 20.0% higher, and at least 2.0% lower was required")),
        (0.0, 0.1, "a@1", (False, "a@1 has no error on the compared part, and nothing is better")),
        (0.5, None, "a@1", (False, "nothing was observed on the compared part, so the new model cannot be judged")),
        (None, 0.1, "a@1", (False, "a@1 could not be measured on the compared part")),
    ],
)
def test_the_decision(old: float | None, new: float | None, champion: str | None, expected: tuple[bool, str]) -> None:
    published, why = decide(old, new, margin=0.02, champion=champion)
    assert published == expected[0]
    assert why.startswith(expected[1])


def test_the_margin_itself_is_enough() -> None:
    assert decide(0.5, 0.25, margin=0.5, champion="a@1").is_published
    assert not decide(0.5, 0.2500001, margin=0.5, champion="a@1").is_published


def test_times_are_written_to_the_millisecond_and_end_with_the_year_9999() -> None:
    assert written(1_780_000_000_007) == "2026-05-28T20:26:40.007Z"
    assert written(1 << 62) == "9999-12-31T23:59:59.000Z"
