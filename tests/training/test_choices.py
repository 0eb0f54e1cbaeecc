"""Every option that is chosen from the data, as a table; and the sentences that say why."""

from __future__ import annotations

from typing import Any

import pytest

from streamlstm.training.choices import choose_options
from streamlstm.training.options import TrainerOptions


@pytest.mark.parametrize(
    ("rows", "steps", "batch", "burn_in", "max_updates", "validate_every"),
    [
        (10_000, 128, 16, 16, 1000, 25),
        (6_000, 128, 11, 16, 1000, 25),  # an update sees a quarter of the rows at most
        (4_096, 128, 8, 16, 1000, 25),
        (4_095, 128, 7, 16, 400, 10),  # below 4,096 rows, and 1,023 of them
        (500, 125, 4, 15, 400, 10),  # a quarter of the rows; four sequences at the least
        (330, 82, 4, 10, 400, 10),
        (20, 8, 4, 0, 400, 10),
    ],
)
def test_the_course_of_training_follows_from_the_rows(
    rows: int, steps: int, batch: int, burn_in: int, max_updates: int, validate_every: int
) -> None:
    o, _ = choose_options(rows=rows, channels=2, period_rows=0, given={})
    assert (o.bptt_steps, o.batch, o.burn_in) == (steps, batch, burn_in)
    assert (o.max_updates, o.validate_every) == (max_updates, validate_every)


@pytest.mark.parametrize(
    ("rows", "channels", "period", "reconstruct", "forecast", "why"),
    [
        (1024, 1, 0, 128, 16, "(an eighth of 1,024 rows)"),  # of equal bounds the first by its words
        (4000, 4, 0, 128, 16, "(the most that pays)"),
        (4000, 5, 0, 102, 16, "(with 5 channels 510 outputs)"),
        (4000, 19, 0, 26, 16, "(with 19 channels 494 outputs)"),
        (4000, 512, 0, 2, 16, "(with 512 channels 1024 outputs)"),
        (4000, 1, 17, 17, 16, "(the period is 17 rows)"),
        (4000, 1, 15, 16, 16, "(the period is 15 rows)"),
        (400, 1, 0, 50, 16, "(an eighth of 400 rows)"),
        (256, 1, 0, 32, 16, "(an eighth of 256 rows)"),
        (255, 1, 0, 31, 15, "(an eighth of 255 rows)"),
        (8, 1, 0, 2, 1, "(an eighth of 8 rows)"),
    ],
)
def test_windows_and_why(rows: int, channels: int, period: int, reconstruct: int, forecast: int, why: str) -> None:
    o, notes = choose_options(rows=rows, channels=channels, period_rows=period, given={})
    assert (o.reconstruct, o.forecast) == (reconstruct, forecast)
    share = "" if forecast == 16 else f" (a sixteenth of {rows:,})"
    assert notes[:2] == [
        f"reconstructs the last {reconstruct} rows {why}",
        f"forecasts the next {forecast} rows{share}",
    ]
    assert notes[2].startswith("32 hidden units (")


def test_what_is_given_is_said_of_nowhere_and_the_rest_follows_it() -> None:
    given: dict[str, Any] = {"reconstruct": 3, "forecast": 2, "hidden": 5, "max_updates": 90}
    o, notes = choose_options(rows=1600, channels=2, period_rows=0, given=given)
    assert (o.reconstruct, o.forecast, o.hidden, o.max_updates, o.validate_every) == (3, 2, 5, 90, 2)
    assert notes == ["trains at most 90 updates of 4 sequences x 128 rows (32% of the training part for each update)"]
    assert choose_options(rows=1600, channels=2, period_rows=0, given={"max_updates": 9})[0].validate_every == 1


def test_the_rate_is_higher_for_sgd_and_lower_for_weights_that_have_learned() -> None:
    def rate(*, is_tuned: bool, **given: Any) -> float:
        return choose_options(rows=900, channels=2, period_rows=0, given=given, is_tuned=is_tuned)[0].learning_rate

    assert rate(is_tuned=False) == TrainerOptions().learning_rate == 0.02
    assert rate(is_tuned=True) == 0.005
    assert rate(is_tuned=False, optimizer="sgd") == rate(is_tuned=True, optimizer="sgd") == 1.0
    assert rate(is_tuned=True, optimizer="adamw", learning_rate=0.3) == 0.3
