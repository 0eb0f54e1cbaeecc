"""New streams when there is no room: who is refused, who is released, and that neither depends on batches."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.loaded import LoadedModel, model_of
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.detector import Detector
from streamlstm.streaming.admission import admitted_runs
from streamlstm.streaming.model_handover import RouteStreams

Arrivals = list[tuple[str, int]]


class Route:
    """Room for some streams; `admit` returns the arrivals that were scored, and notes those that were refused."""

    def __init__(self, model: LoadedModel, *, max_streams: int, forget_after_ms: int) -> None:
        self.forget_after_ms = forget_after_ms
        self.refused: Arrivals = []
        self.counts: Counter[str] = Counter()
        self.runs = 0
        self.streams = RouteStreams(
            "**", model, lambda bundle: Detector(bundle, max_streams=max_streams), AlertPolicy()
        )

    def admit(self, arrivals: Arrivals) -> Arrivals:
        names, times = [name for name, _ in arrivals], np.array([time for _, time in arrivals], np.int64)
        scored: Arrivals = []
        for run in admitted_runs(
            self.streams,
            names,
            times,
            forget_after_ms=self.forget_after_ms,
            refuse=lambda row: self.refused.append(arrivals[row]),
            counts=self.counts,
        ):
            self.runs += 1
            scored += [arrivals[row] for row in run.tolist()]
            own = [names[row] for row in run.tolist()]
            list(self.streams.score(own, times[run], np.zeros((len(run), 2), np.float32), run))
        return scored

    @property
    def held(self) -> set[str]:
        return set(self.streams.detector.states.slots)


def test_streams_are_refused_where_there_is_no_room(tiny_bundle: ModelBundle) -> None:
    route = Route(model_of(tiny_bundle), max_streams=2, forget_after_ms=0)
    assert route.admit([("a", 1), ("b", 2)]) == [("a", 1), ("b", 2)] and route.runs == 1
    assert route.admit([("c", 10**9), ("a", 10**9), ("b", 10**9 + 1), ("c", 10**9 + 2)]) == [
        ("a", 10**9),
        ("b", 10**9 + 1),
    ]
    assert route.refused == [("c", 10**9), ("c", 10**9 + 2)] and route.held == {"a", "b"}
    assert route.counts["streams_released"] == 0
    assert route.admit([("d", 10**9 + 3)]) == [] and route.runs == 2


def test_a_stream_silent_for_longer_than_the_time_to_live_makes_room(tiny_bundle: ModelBundle) -> None:
    route = Route(model_of(tiny_bundle), max_streams=2, forget_after_ms=1_000)
    route.admit([("a", 5_000), ("b", 5_500)])
    assert route.admit([("c", 6_000)]) == [] and route.held == {"a", "b"}  # a is silent for no longer than 1 s
    assert route.admit([("c", 6_001)]) == [("c", 6_001)] and route.held == {"b", "c"}
    assert route.counts["streams_released"] == 1
    # In one batch: what comes before counts, as if it had come in a batch of its own.
    assert route.admit([("b", 6_600), ("d", 7_002), ("b", 7_003)]) == [("b", 6_600), ("d", 7_002), ("b", 7_003)]
    assert route.held == {"b", "d"} and route.refused == [("c", 6_000)]


def test_streams_are_released_by_the_first_sample_that_finds_no_room(tiny_bundle: ModelBundle) -> None:
    route = Route(model_of(tiny_bundle), max_streams=3, forget_after_ms=1_000)
    route.admit([("a", 0), ("b", 0)])
    assert len(route.admit([("c", 1_500), ("a", 1_500), ("d", 1_600)])) == 3  # c takes the last place, d that of b
    assert route.held == {"a", "c", "d"} and route.counts["streams_released"] == 1


def test_a_batch_with_room_for_its_new_streams_is_one_run(tiny_bundle: ModelBundle) -> None:
    route = Route(model_of(tiny_bundle), max_streams=3, forget_after_ms=1_000)
    route.admit([("a", 0), ("b", 0)])
    assert len(route.admit([("c", 9_000)] * 5 + [("a", 9_000)])) == 6 and route.runs == 2
    assert route.held == {"a", "b", "c"} and route.counts["streams_released"] == 0


def test_streams_are_looked_through_once_in_a_thousandth_of_the_time_to_live(tiny_bundle: ModelBundle) -> None:
    route = Route(model_of(tiny_bundle), max_streams=2, forget_after_ms=100_000)
    route.admit([("a", 50), ("b", 200_000)])
    assert route.admit([("c", 100_099)]) == []  # 99 ms longer than a second ago, but within the step of 100 ms
    assert route.admit([("c", 100_100)]) == [("c", 100_100)]
    looked: list[int] = []
    release = route.streams.release_older_than
    route.streams.release_older_than = lambda time_ms: looked.append(time_ms) or release(time_ms)  # type: ignore[method-assign]
    route.admit([(f"n{number}", 200_100 + number) for number in range(500)])
    assert looked == [100_100, 100_200, 100_300, 100_400, 100_500]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 60)), min_size=1, max_size=30),
    st.sets(st.integers(1, 30)),
    st.integers(1, 4),
    st.sampled_from([0, 5, 20]),
)
def test_admission_does_not_depend_on_batches(
    tiny_bundle: ModelBundle, arrivals: Arrivals, cuts: set[int], max_streams: int, forget_after_ms: int
) -> None:
    model = model_of(tiny_bundle)
    alone, batched = (Route(model, max_streams=max_streams, forget_after_ms=forget_after_ms) for _ in range(2))
    expected = [one for arrival in arrivals for one in alone.admit([arrival])]
    ends = [*sorted(cut for cut in cuts if cut < len(arrivals)), len(arrivals)]
    found = [one for begin, end in zip([0, *ends], ends, strict=False) for one in batched.admit(arrivals[begin:end])]
    assert found == expected
    assert batched.refused == alone.refused and batched.held == alone.held
    assert batched.counts["streams_released"] == alone.counts["streams_released"]
