"""What a worker asks of its transport, its store and its models, in which order and when, by a clock of the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
from service.scripted_log import Died, Fates, HashProcessor, Log, ScriptedStore, ScriptedTransport, Step

from streamlstm.ports import Processed
from streamlstm.service import worker as worker_module
from streamlstm.service.worker import Worker, WorkerOptions
from streamlstm.types import Output, Record, TopicPartition

NEVER_MS = 3_600_000
NAME, OTHER = TopicPartition("in", 0), TopicPartition("in", 1)


class Clock:
    """Stands for the module `time`; it goes on only where the test says so."""

    def __init__(self) -> None:
        self.now_s, self.tick_s = 1000.0, 0.0
        self.pauses_s: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.pauses_s.append(seconds)


class TickingTransport(ScriptedTransport):
    """Each poll takes a tick of the clock; notes what it was asked for."""

    def __init__(self, log: Log, clock: Clock) -> None:
        super().__init__(log)
        self._clock = clock
        self.asked: list[tuple[int, int]] = []

    def poll(self, *, max_records: int, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        self.asked.append((max_records, timeout_ms))
        self._clock.now_s += self._clock.tick_s
        return super().poll(max_records=max_records, timeout_ms=timeout_ms)


class Echo(HashProcessor):
    """One output a record, none of them urgent."""

    def process(self, records: Sequence[Record]) -> Processed:
        super().process(records)
        return Processed([Output("out", b"%d" % record.offset, b"x") for record in records])


class Models:
    """Stands for the reloader of models."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def poll(self) -> None:
        self._log.note("poll models")

    def reload(self) -> None:
        self._log.note("reload models")


def _read(count: int = 1, *partitions: int) -> Step:
    return Step("read", frozenset(partitions or (0,)), count)


def _log(
    *steps: Step, commits: Sequence[str] = (), saves: Sequence[str] = (), loads: Sequence[str] = (), of: int = 1
) -> Log:
    fates = Fates(iter(steps), iter(commits), iter(saves), iter(loads), iter(()))
    names = (NAME, OTHER)[:of]
    return Log({name: [Record(*name, offset, None, b"%d" % offset) for offset in range(100)] for name in names}, fates)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(worker_module, "time", clock)
    return clock


def _run(
    log: Log,
    clock: Clock,
    *,
    polls: int,
    options: WorkerOptions | None = None,
    models: Any = None,
    watch: Callable[[Worker], None] = lambda worker: None,
    processor: Callable[[], HashProcessor] = Echo,
) -> TickingTransport:
    """Run a worker for some polls; `watch` sees it before each round."""
    options = options or WorkerOptions(NEVER_MS, NEVER_MS)
    transport = TickingTransport(log, clock)
    worker = Worker(transport, ScriptedStore(log), lambda name: processor(), options, models)

    def should_stop() -> bool:
        watch(worker)
        return len(transport.asked) >= polls

    worker.run(should_stop)
    return transport


def _calls(log: Log, *kinds: str) -> list[str]:
    """Calls of some kinds, up to the one that closes."""
    running = log.calls[: log.calls.index("close")]
    return [call for call in running if call.split()[0] in kinds]


def test_it_opens_and_leaves_everything(clock: Clock) -> None:
    log = _log()
    _run(log, clock, polls=0)
    assert log.calls == ["open", "close", "close the store"]


def test_it_leaves_everything_after_an_error_too(clock: Clock) -> None:
    log = _log(_read(), Step("die"))
    with pytest.raises(Died):
        _run(log, clock, polls=2)
    assert log.calls[-3:] == ["poll", "close", "close the store"]


def test_a_transport_that_cannot_be_closed_does_not_keep_the_store_open(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(transport: object) -> None:
        raise Died

    monkeypatch.setattr(TickingTransport, "close", refuse)
    log = _log()
    with pytest.raises(Died):
        _run(log, clock, polls=0)
    assert log.calls == ["open", "close the store"]


def test_pauses_double_up_to_five_seconds_and_begin_anew_after_a_round_that_is_well(clock: Clock) -> None:
    fail = Step("fail", frozenset([0]), 1)
    _run(_log(*[fail] * 8, _read(), fail), clock, polls=10)
    assert clock.pauses_s == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 0.1]


@pytest.mark.parametrize(("interval_ms", "idle_ms", "waiting_ms"), [(20, 200, 20), (50, 500, 50), (600, 500, 500)])
def test_a_poll_waits_for_ten_commit_intervals_or_for_one_where_outputs_wait(
    clock: Clock, interval_ms: int, idle_ms: int, waiting_ms: int
) -> None:
    options = WorkerOptions(interval_ms, NEVER_MS, poll_records=7)
    transport = _run(_log(_read(), _read()), clock, polls=2, options=options)
    assert transport.asked == [(7, idle_ms), (7, waiting_ms)]


@pytest.mark.parametrize(("interval_ms", "commits"), [(1000, [1]), (1001, [])])
def test_outputs_are_committed_once_the_interval_has_passed(clock: Clock, interval_ms: int, commits: list[int]) -> None:
    clock.tick_s = 1.0
    log = _log(_read())
    _run(log, clock, polls=1, options=WorkerOptions(interval_ms, NEVER_MS))
    assert _calls(log, "commit") == [f"commit in-0@{offset}" for offset in commits]


def test_each_commit_begins_the_interval_anew(clock: Clock) -> None:
    clock.tick_s = 0.5
    log = _log(*[_read()] * 5)
    _run(log, clock, polls=5, options=WorkerOptions(1000, NEVER_MS))
    assert _calls(log, "poll", "commit") == ["poll", "poll", "commit in-0@2", "poll", "poll", "commit in-0@4", "poll"]


@pytest.mark.parametrize(("room", "commits"), [(4, [4]), (5, [])])
def test_outputs_that_fill_the_buffer_are_committed_at_once(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, room: int, commits: list[int]
) -> None:
    monkeypatch.setattr(worker_module, "_BUFFERED_OUTPUTS", room)
    log = _log(_read(3), _read(1))
    _run(log, clock, polls=2)
    assert _calls(log, "poll", "commit") == ["poll", "poll", *(f"commit in-0@{offset}" for offset in commits)]


@pytest.mark.parametrize(
    ("commit_ms", "save_ms", "expected"),
    [
        (0, 1000, ["commit in-0@1", "commit in-0@2", "save in-0@2", "commit in-0@3", "commit in-0@4", "save in-0@4"]),
        (1000, 500, ["commit in-0@2", "save in-0@2", "commit in-0@4", "save in-0@4"]),
        (0, 2000, ["commit in-0@1", "commit in-0@2", "commit in-0@3", "commit in-0@4", "save in-0@4"]),
        (0, 2001, ["commit in-0@1", "commit in-0@2", "commit in-0@3", "commit in-0@4"]),
        (NEVER_MS, 0, []),
    ],
)
def test_states_are_saved_once_their_interval_has_passed_and_right_after_a_commit(
    clock: Clock, commit_ms: int, save_ms: int, expected: list[str]
) -> None:
    clock.tick_s = 0.5
    log = _log(*[_read()] * 4)
    _run(log, clock, polls=4, options=WorkerOptions(commit_ms, save_ms))
    assert _calls(log, "commit", "save") == ["save in-0@0", *expected]


def test_a_state_is_saved_once(clock: Clock) -> None:
    nothing_new = Step("read")
    log = _log(_read(), *[nothing_new] * 3)
    _run(log, clock, polls=4, options=WorkerOptions(0, 0))
    assert [call for call in log.calls if call.startswith("save")] == ["save in-0@0", "save in-0@1"]


def test_so_is_one_under_a_new_model(clock: Clock) -> None:
    log = _log(_read(100), Step("publish a model"), *[Step("read")] * 3)
    _run(log, clock, polls=5, options=WorkerOptions(NEVER_MS, 0), processor=partial(Echo, lambda: log.newest_model))
    assert [call for call in log.calls if call.startswith("save")] == ["save in-0@0", "save in-0@100"]
    assert log.switched[NAME] == {1: 0, 2: 100}


def test_lag_is_what_lies_between_the_records_processed_and_the_end(clock: Clock) -> None:
    lags: list[Mapping[TopicPartition, int]] = []
    log = _log(_read(3), Step("lose", frozenset([0])))
    _run(log, clock, polls=2, watch=lambda worker: lags.append(worker.lag()))
    assert lags == [{}, {NAME: 97}, {}]


def test_records_of_a_poll_that_failed_are_read_again_and_no_others(clock: Clock) -> None:
    log = _log(_read(2), Step("fail", frozenset([0]), 2), _read(2), _read(2))
    _run(log, clock, polls=4)
    assert _calls(log, "seek", "poll") == ["poll", "seek in-0@0", "poll", "seek in-0@2", "poll", "poll"]
    assert log.committed == {NAME: 6}


def test_a_partition_that_could_not_be_restored_is_restored_before_the_next_poll(clock: Clock) -> None:
    log = _log(_read(3), _read(3), loads=["fails before"])
    _run(log, clock, polls=2)
    restored = ["committed in-0", "save in-0@0", "seek in-0@0"]
    assert _calls(log, "committed", "save", "seek", "poll") == ["poll", "committed in-0", *restored, "poll"]
    assert log.committed == {NAME: 3}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_fenced_worker_begins_again_at_the_last_commit_once_it_was_told_what_is_its_own(
    clock: Clock, moment: str
) -> None:
    log = _log(_read(3), _read(2), _read(2), commits=["well", f"fenced {moment}"])
    _run(log, clock, polls=4, options=WorkerOptions(0, NEVER_MS))
    begins_at = 3 if moment == "before" else 5
    fenced = log.calls.index("commit in-0@5")
    then = [call for call in log.calls[fenced + 1 :] if call.split()[0] in ("poll", "committed", "seek")]
    # Of the first poll's records nothing is processed: the partition is not restored yet.
    assert then == ["poll", "committed in-0", "seek in-0@0", "poll"]
    assert log.calls[fenced + 1 : fenced + 2] == ["poll"]
    assert f"commit in-0@{begins_at}" not in log.calls[fenced + 1 :]
    assert log.committed == {NAME: 100}


def test_a_fenced_worker_touches_nothing_that_it_then_loses_or_hands_back(clock: Clock) -> None:
    for kind in ("lose", "revoke"):
        log = _log(_read(3), Step(kind, frozenset([0])), Step("read"), commits=["fenced before"])
        _run(log, clock, polls=3, options=WorkerOptions(0, 0))
        fenced = log.calls.index("commit in-0@3")
        assert log.calls[fenced + 1 :] == ["poll", "poll", "close", "close the store"]


def test_a_partition_handed_back_is_committed_and_saved_and_the_others_only_committed(clock: Clock) -> None:
    log = _log(_read(2, 0, 1), Step("revoke", frozenset([0])), _read(1, 1), of=2)
    lags: list[Mapping[TopicPartition, int]] = []
    _run(log, clock, polls=3, watch=lambda worker: lags.append(worker.lag()))
    revoked = log.calls.index("commit in-0@2")
    assert log.calls[revoked : revoked + 4] == ["commit in-0@2", "commit in-1@2", "save in-0@2", "poll"]
    assert [set(lag) for lag in lags] == [set(), {NAME, OTHER}, {OTHER}, {OTHER}]


def test_models_are_polled_each_round_and_reloaded_where_a_partition_is_restored(clock: Clock) -> None:
    log = _log(_read(), _read(), Step("lose", frozenset([0])), _read())
    _run(log, clock, polls=4, models=Models(log))
    restored = ["reload models", "committed in-0", "seek in-0@0"]
    assert [call for call in log.calls if not call.startswith(("save", "commit in"))] == [
        *("open", "poll models", "poll", *restored),
        *("poll models", "poll", "poll models", "poll"),
        *("poll models", "poll", *restored, "close", "close the store"),
    ]


def test_a_newer_model_is_taken_up_once_everything_is_committed(clock: Clock) -> None:
    log = _log(_read(40), Step("publish a model"), _read(60), _read())
    _run(log, clock, polls=4, processor=partial(Echo, lambda: log.newest_model))
    assert _calls(log, "poll", "commit", "save") == [
        *("poll", "save in-0@0", "poll"),
        *("commit in-0@40", "save in-0@40", "poll", "poll"),
    ]
    assert log.switched[NAME] == {1: 0, 2: 40}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_where_a_store_does_not_answer_in_a_change_of_model_it_is_asked_before_the_next_poll(
    clock: Clock, moment: str
) -> None:
    log = _log(_read(40), Step("publish a model"), _read(60), _read(), saves=["well", f"fails {moment}"])
    _run(log, clock, polls=6, processor=partial(Echo, lambda: log.newest_model))
    # What was in the log at the restart may be published under the old model: it switches after that, if it has not.
    kept_until = 40 if moment == "after" else 100
    switched = log.calls[log.calls.index("commit in-0@40") + 1 :]
    restored_at = switched.index("committed in-0")
    assert "poll" not in switched[:restored_at]
    assert switched[restored_at + 1] == ("seek in-0@40" if moment == "after" else "seek in-0@0")
    assert log.switched[NAME] == {1: 0, 2: kept_until}
