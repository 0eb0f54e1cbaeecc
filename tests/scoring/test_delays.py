"""Waits in samples, time and periods."""

from __future__ import annotations

import pytest

from streamlstm.scoring.delays import Delay


def test_all_that_is_given_must_be_over() -> None:
    both = Delay(samples=32, ms=30_000)
    assert both.is_over(32, 30_000)
    assert not both.is_over(31, 90_000) and not both.is_over(90, 29_999)
    assert Delay().is_over(0, 0)


@pytest.mark.parametrize(
    ("wait", "samples", "ms", "share"),
    [
        (Delay(samples=32, ms=30_000), 8, 15_000, 0.25),
        (Delay(samples=32, ms=30_000), 24, 15_000, 0.5),
        (Delay(samples=32, ms=30_000), 64, 90_000, 1.0),
        (Delay(samples=4), 1, 0, 0.25),
        (Delay(ms=1000), 0, 750, 0.75),
        (Delay(), 0, 0, 1.0),
    ],
)
def test_how_much_of_it_is_over(wait: Delay, samples: int, ms: int, share: float) -> None:
    assert wait.share(samples, ms) == share


def test_periods_become_samples_of_the_model() -> None:
    assert Delay(periods=0.5).in_samples(41) == Delay(samples=21)
    assert Delay(samples=30, ms=5, periods=0.5).in_samples(41) == Delay(samples=30, ms=5)
    assert Delay(samples=20, periods=0.5).in_samples(41) == Delay(samples=21)


def test_a_wait_is_shown_as_it_is_written() -> None:
    assert str(Delay(samples=32, ms=30_000, periods=0.5)) == "30000ms and 32 samples and 0.5 periods"
    assert str(Delay()) == "0s"
