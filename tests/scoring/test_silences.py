"""Silent streams, against the definition followed sample by sample; batches and restarts change nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamlstm.scoring.alerts import Alert
from streamlstm.scoring.silences import SilenceWatch
from streamlstm.types import Position

AFTER, FORGET = 10_000, 60_000
Sample = tuple[str, int]


def watched(
    samples: list[Sample], cuts: set[int], *, after: int = AFTER, forget: int = FORGET
) -> list[tuple[int, Alert]]:
    """Feed samples in batches, with a restart at every cut."""
    watch, found = SilenceWatch(after_ms=after, forget_after_ms=forget), []
    for begin, end in pairwise(sorted({0, len(samples), *(cut for cut in cuts if cut < len(samples))})):
        part = samples[begin:end]
        times = np.array([time for _, time in part], np.int64)
        positions = [Position("telemetry", 3, row) for row in range(begin, end)]
        changes = watch.update([stream for stream, _ in part], times, positions, lambda stream: f"{stream}@1")
        found += [(begin + row, alert) for row, alert in changes]
        state, watch = watch.export_state(), SilenceWatch(after_ms=after, forget_after_ms=forget)
        watch.import_state(state)
        assert {alert.stream_id for alert in watch.open_alerts} == state.alerts.keys()
    return found


def defined(samples: list[Sample], *, after: int = AFTER, forget: int = FORGET) -> list[tuple[int, str, str, int]]:
    """(row, stream, state, since), from the definition."""
    water, clock, held, silent, found = None, 0, {}, set(), []
    for row, (stream, time) in enumerate(samples):
        if water is None:
            water = time
        clock += min(max(time - water, 0), after // 2)
        water = max(water, time)
        changes = []
        for other, (mark, last) in sorted(held.items()):
            if water - last >= forget:
                if other in silent:
                    changes.append((other, "resolved", last))
                del held[other]
                silent.discard(other)
            elif other == stream:
                if other in silent:
                    changes.append((other, "resolved", last))
                silent.discard(other)
            elif other not in silent and clock - mark >= after:
                changes.append((other, "open", last))
                silent.add(other)
        held[stream] = (clock, time)
        found += [(row, *change) for change in sorted(changes)]
    return found


def told(found: list[tuple[int, Alert]]) -> list[tuple[int, str, str, int]]:
    return [(row, alert.stream_id, alert.state, alert.started_at) for row, alert in found]


def steady(*ids: str, seconds: range) -> list[Sample]:
    return [(stream, 1000 * second) for second in seconds for stream in ids]


STEPS = st.sampled_from([0, 1, 400, 1000, 4999, 5000, 9999, 10_000, 30_000, 70_000])


@st.composite
def sequences(draw: st.DrawFn) -> list[Sample]:
    """Samples of up to four streams, each in its own order of time; they lag behind each other, and jump."""
    last: dict[str, int] = {}
    samples, now = [], 1_000_000
    for stream, step, lags in draw(st.lists(st.tuples(st.sampled_from("abcd"), STEPS, st.integers(0, 9)), max_size=60)):
        now += step
        time = max(now - (20_000 if lags == 0 else 90_000 if lags == 1 else 0), last.get(stream, 0) + 1)
        last[stream] = time
        samples.append((stream, time))
    return samples


@settings(max_examples=300)
@given(sequences(), st.sets(st.integers(0, 60), max_size=6), st.sampled_from([FORGET, 15_000]))
@example([("a", 0), ("b", 0), ("b", 5000), ("b", 9999), ("b", 10_000), ("a", 10_001), ("b", 90_000)], {3}, FORGET)
def test_alerts_are_those_of_the_definition_in_any_batches(samples: list[Sample], cuts: set[int], forget: int) -> None:
    whole = watched(samples, set(), forget=forget)
    assert told(whole) == defined(samples, forget=forget)
    assert watched(samples, cuts, forget=forget) == whole
    assert watched(samples, set(range(len(samples))), forget=forget) == whole
    by_id: dict[str, list[Alert]] = {}
    for _, alert in whole:
        by_id.setdefault(alert.alert_id, []).append(alert)
    for revisions in by_id.values():
        assert [(one.revision, one.state) for one in revisions] in ([(1, "open")], [(1, "open"), (2, "resolved")])


def test_a_stream_that_falls_silent_and_speaks_again() -> None:
    samples = steady("a", "b", seconds=range(20)) + steady("b", seconds=range(20, 40))
    samples += steady("a", "b", seconds=range(40, 45))
    (opened_at, opened), (resolved_at, resolved) = watched(samples, set())
    assert samples[opened_at] == ("b", 29_000) and samples[resolved_at] == ("a", 40_000)
    assert (opened.kind, opened.severity, opened.model) == ("silent", "medium", "a@1")
    assert (opened.started_at, opened.detected_at, opened.resolved_at) == (19_000, 29_000, None)
    assert opened.summary == "a: silent, since 1970-01-01T00:00:19Z (no sample for 10 s)"
    assert (resolved.alert_id, resolved.revision, resolved.resolved_at) == (opened.alert_id, 2, 40_000)


def test_a_partition_that_comes_back_from_a_pause_is_no_storm() -> None:
    ids = [f"bed{n}" for n in range(50)]
    assert watched(steady(*ids, seconds=range(5)) + steady(*ids, seconds=range(900, 905)), set()) == []


def test_a_clock_that_is_ahead_makes_no_other_stream_silent() -> None:
    samples = steady("a", "b", seconds=range(5))
    for second in range(5, 30):
        samples += [("a", 1000 * second), ("b", 1000 * second), ("ahead", 1000 * second + 3_600_000)]
    assert watched(samples, set(), forget=7_200_000) == []


def test_a_stream_that_lags_is_not_silent_while_it_speaks() -> None:
    samples = [
        (stream, 1000 * second - late) for second in range(60, 120) for stream, late in (("a", 0), ("b", 50_000))
    ]
    assert watched(samples, set()) == []


@pytest.mark.parametrize("forget", [FORGET, 0])
def test_a_stream_that_never_comes_back_is_forgotten_in_time(forget: int) -> None:
    found = watched(steady("a", "b", seconds=range(5)) + steady("b", seconds=range(5, 200)), {7, 99}, forget=forget)
    assert [(alert.state, alert.resolved_at) for _, alert in found] == [("open", None), ("resolved", 64_000)][
        : 2 if forget else 1
    ]
