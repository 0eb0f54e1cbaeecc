"""The sentence: what came, what was expected, who made the surprise, and whether an alert was open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reporting.explanation.windows import START_MS, a_window, an_alert

from streamlstm.reporting.explanation.verdict import clock_time, verdict_of
from streamlstm.types import Status

FLOW = (
    "flow was 31 l/min where 12 ± 0.5 l/min was expected and made 75 % of the surprise; of the branches of the score, "
    "network residuals made the most (75 %)."
)


def said(**changes: object) -> str:
    return verdict_of(replace(a_window(), **changes)).replace("\u202f", " ")  # type: ignore[arg-type]  # any field


def test_an_alert_that_was_open() -> None:
    assert said() == (
        "At 2026-01-01T00:00:30Z the score was 2.5, one sample in 490,000,000, and a residual alert was open, "
        f"since 2026-01-01T00:00:20Z: {FLOW}"
    )


def test_an_alert_that_has_not_come_down_yet() -> None:
    alert = an_alert(resolved_at=None, state="open")
    assert "the score was 0.193, one sample in 4.7, and a residual alert was still open" in said(at=55, alerts=(alert,))


def test_a_score_above_the_threshold_without_an_alert() -> None:
    assert said(alerts=()).startswith(
        "At 2026-01-01T00:00:30Z the score was 2.5, one sample in 490,000,000, but no alert was open: flow was 31"
    )


def test_a_quiet_sample() -> None:
    found = said(at=10)
    assert "the score was 0.117, one sample in 2.5, which is below the threshold of 1, and no alert was open: " in found


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status.WARMING, "the stream is still warming up"),
        (Status.LATE, "the sample came late, after a newer one"),
        (Status.GAP, "the stream begins anew after a silence"),
        (Status.IMPUTED, "the sample holds no value"),
        (Status.READY, "nothing of the sample was measured"),
    ],
)
def test_no_score(status: Status, reason: str) -> None:
    states = np.full(60, status, np.uint8)
    assert said(at=2, status=states) == f"At 2026-01-01T00:00:02Z there was no score: {reason}."


STUCK = an_alert(kind="flat", summary="mill/3: flow stuck at 31 l/min, since 2026-01-01T00:00:10Z (20 samples)")


def test_alerts_of_other_kinds_are_told_with_what_they_say() -> None:
    stuck = "; a flat alert was open: flow stuck at 31 l/min, since 2026-01-01T00:00:10Z (20 samples)."
    both = said(alerts=(STUCK, an_alert()))
    assert "and a residual alert was open, since 2026-01-01T00:00:20Z: flow was 31 l/min" in both
    assert both.endswith(f"network residuals made the most (75 %){stuck}")
    alone = said(alerts=(STUCK,))
    assert "one sample in 490,000,000, but no alert rested on it: flow was" in alone and alone.endswith(stuck)
    unscored = said(alerts=(STUCK,), score=np.full(60, np.nan), status=np.full(60, Status.IMPUTED, np.uint8))
    assert unscored == f"At 2026-01-01T00:00:30Z there was no score: the sample holds no value{stuck}"


def test_a_missing_value_and_one_branch() -> None:
    values = a_window().values.copy()
    values[30, 0] = np.nan
    found = said(values=values, branches={"network_residuals": slice(0, 3)})
    assert found.endswith("flow was missing where 12 ± 0.5 l/min was expected and made 75 % of the surprise.")


def test_nothing_surprising() -> None:
    assert said(said=np.zeros((60, 3))).endswith("was expected, and nothing was surprising.")


def test_what_is_rarer_than_any_count() -> None:
    assert ", rarer than one sample in 10^15, " in said(p_value=np.zeros(60))


def test_times_are_written_to_the_second_or_the_millisecond() -> None:
    assert clock_time(START_MS) == "2026-01-01T00:00:00Z"
    assert clock_time(START_MS + 250) == "2026-01-01T00:00:00.250Z"
