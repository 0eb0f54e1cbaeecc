"""Alerts against known faults: each rule at both sides of each of its edges."""

from __future__ import annotations

import pytest

from streamlstm.evaluation.episodes import AlertSpan, Episode, GroupVerdict, StreamVerdict, judge
from streamlstm.scoring.alerts import Alert, Peak
from streamlstm.streaming.encoders import alert_record

EPISODE = Episode("leak", 10_000, 20_000)
END = 60_000


def span(start: int, detected: int, resolved: int | None, name: str = "a", stream_id: str = "s") -> AlertSpan:
    return AlertSpan(name, stream_id, start, detected, resolved)


def verdict_of(*alerts: AlertSpan, episodes: tuple[Episode, ...] = (EPISODE,)) -> StreamVerdict:
    return judge("s", alerts, episodes, begin_ms=1_000, end_ms=END, tolerance_ms=700)


@pytest.mark.parametrize(
    ("start", "detected", "resolved", "delay_s", "is_covered", "is_false"),
    [
        (11_000, 12_000, 13_000, 2.0, True, False),
        # Found: detected from the first moment of the episode to the last one of the tolerance.
        (9_500, 9_999, 30_000, None, True, False),
        (9_500, 10_000, 30_000, 0.0, True, False),
        (20_100, 20_700, 30_000, 10.7, True, False),
        (20_100, 20_701, 30_000, None, False, False),
        # Covered: resolved no earlier than the episode begins, detected no later than it is tolerated.
        (8_000, 9_000, 10_000, None, True, False),
        (8_000, 9_000, 9_999, None, False, True),
        (8_000, 9_000, None, None, True, False),
        # False: over before the episode, or begun after what is tolerated.
        (20_700, 21_000, 30_000, None, False, False),
        (20_701, 21_000, 30_000, None, False, True),
        (20_701, 21_000, None, None, False, True),
    ],
)
def test_an_alert_against_an_episode(
    start: int, detected: int, resolved: int | None, delay_s: float | None, is_covered: bool, is_false: bool
) -> None:
    found = verdict_of(span(start, detected, resolved))
    (verdict,) = found.verdicts
    assert (verdict.episode, verdict.delay_s, verdict.is_covered) == (EPISODE, delay_s, is_covered)
    assert (found.alerts, found.false_alarms) == (1, int(is_false))


def test_an_open_alert_lasts_to_the_end_of_the_recording() -> None:
    at_the_end, after_it = Episode("late", END, END), Episode("later", END + 1, END + 2)
    assert verdict_of(span(1_000, 2_000, None), episodes=(at_the_end,)).verdicts[0].is_covered
    assert not verdict_of(span(1_000, 2_000, None), episodes=(after_it,)).verdicts[0].is_covered


def test_the_first_alert_that_opens_in_an_episode_counts() -> None:
    found = verdict_of(span(15_000, 16_000, 17_000, "a"), span(11_000, 11_500, 12_000, "b"))
    assert (found.verdicts[0].delay_s, found.alerts, found.false_alarms) == (1.5, 2, 0)


def test_each_episode_has_a_verdict_and_an_alert_may_meet_several() -> None:
    later = Episode("drift", 30_000, 40_000)
    found = verdict_of(span(11_000, 12_000, 31_000, "a"), span(50_000, 50_500, 51_000, "b"), episodes=(EPISODE, later))
    assert [(v.episode, v.delay_s, v.is_covered) for v in found.verdicts] == [(EPISODE, 2.0, True), (later, None, True)]
    assert found.false_alarms == 1


def test_without_episodes_every_alert_is_false() -> None:
    found = verdict_of(span(1_000, 2_000, 3_000, "a"), span(5_000, 6_000, 7_000, "b"), episodes=())
    assert (found.verdicts, found.false_alarms, found.alerts) == ((), 2, 2)


def test_other_streams_do_not_count_and_of_an_alert_the_last_revision_does() -> None:
    opened, resolved = span(5_000, 6_000, None), span(5_000, 6_000, 7_000)
    found = verdict_of(opened, resolved, span(11_000, 12_000, 13_000, "b", "other"))
    assert (found.alerts, found.false_alarms, found.verdicts[0].is_covered) == (1, 1, False)


def test_days_are_those_of_the_recording() -> None:
    day = judge("s", (), (), begin_ms=86_400_000, end_ms=3 * 86_400_000, tolerance_ms=0)
    assert day.days == 2.0
    streams = (day, judge("t", [span(1, 2, 3, "a", "t")], (), begin_ms=0, end_ms=86_400_000, tolerance_ms=0))
    assert GroupVerdict("hall", streams).false_alarms_per_stream_day == pytest.approx(1 / 3)
    assert GroupVerdict("hall", ()).false_alarms_per_stream_day == 0.0


@pytest.mark.parametrize("resolved", [None, 1_780_000_004_567])
def test_a_span_is_read_from_a_published_record(resolved: int | None) -> None:
    alert = Alert(
        alert_id="4b1d",
        revision=2,
        state="open" if resolved is None else "resolved",
        kind="residual",
        severity="low",
        stream_id="s",
        started_at=1_780_000_001_234,
        detected_at=1_780_000_002_345,
        resolved_at=resolved,
        peak=Peak(2.0, 1_780_000_002_345),
        samples=3,
        channels=(),
        model="m@1",
        summary="",
    )
    want = AlertSpan("4b1d", "s", 1_780_000_001_234, 1_780_000_002_345, resolved)
    assert AlertSpan.of_record(alert_record(alert)) == want
