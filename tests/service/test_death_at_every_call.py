"""The law, once more: whichever call of whichever collaborator raises, outputs equal those of a run that never stopped.

A worker that dies of an exception closes its transport, and closing calls the listener: the path that really runs, with
nothing swapped. The calls are counted in a run without a fault; then each of them raises once, before or after it was
carried out, and `process` in its middle as well. The runs start from a copy of one log, in which a group stands at its
committed offset C with a snapshot at S < C, under a model that the configuration has replaced since: so a run restores,
replays, publishes, switches models, publishes more, and closes.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from streamlstm.adapters.local_log import LocalPublisher, LocalReader, LocalSnapshots, LocalTransport
from streamlstm.errors import TransportError, UnreachableError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.loaded import LoadedModel, load_model
from streamlstm.service import worker as worker_module
from streamlstm.service.model_reload import ModelReloader
from streamlstm.service.worker import Worker, WorkerOptions
from streamlstm.streaming.decoding.json_fast import JsonDecoder
from streamlstm.streaming.pipeline import PartitionPipeline, PipelineOptions
from streamlstm.streaming.routing import ModelRoute, Router
from streamlstm.types import Record, TopicPartition

TOPIC, OUTPUTS = "telemetry", ("streamlstm.scores", "streamlstm.alerts", "streamlstm.dlq")
SAVED, COMMITTED, SWITCHED, ALL = 640, 720, 800, 905
"""Records up to the snapshot, to the committed offsets, to the switch of models, and in all."""

KEYS = b"even", b"odd"
"""The two streams of each key share a partition, and each partition has two."""

ALWAYS, NEVER = 0, 3_600_000
INTERVALS = {"commit and save": (ALWAYS, ALWAYS), "commit": (ALWAYS, NEVER), "neither": (NEVER, NEVER)}
"""Whether each round commits, and whether it saves. So no call depends on the clock."""

ERRORS = (MemoryError, AssertionError, KeyboardInterrupt, TransportError, UnreachableError)
"""The last one is retriable: the worker lives through it."""

Outputs = dict[str, list[tuple[bytes | None, bytes | None]]]


@dataclass
class Fault:
    """Counts the calls; raises at one of them, before, after or in the middle of it."""

    number: int = -1
    moment: str = ""
    error: type[BaseException] = MemoryError
    calls: list[str] = field(default_factory=list)
    is_over: bool = False

    def call(self, name: str, real: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        assert len(self.calls) < 5000, "the worker is stuck"
        is_here = len(self.calls) == self.number
        self.calls.append(name)
        if is_here and self.moment == "before":
            self._strike(name)
        if is_here and self.moment == "middle":
            assert half is not None
            half()
            self._strike(name)
        result = real()
        if is_here:
            self._strike(name)
        return result

    def _strike(self, name: str) -> None:
        self.is_over = True
        raise self.error(f"{self.moment} {name}")


class Watched:
    """Passes every call of a collaborator on, by way of the fault."""

    def __init__(self, real: Any, fault: Fault) -> None:
        self.real, self.fault = real, fault

    def __getattr__(self, method: str) -> Any:
        real = getattr(self.real, method)
        if not callable(real):
            return real
        name = f"{type(self.real).__name__}.{method}"
        return lambda *args, **kwargs: self.fault.call(name, partial(real, *args, **kwargs))


class EagerTransport(LocalTransport):
    """Does not wait where there is nothing to read."""

    def poll(self, *, max_records: int, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        return super().poll(max_records=max_records, timeout_ms=0)


class WatchedPipeline(Watched):
    """Its middle is half of the records: the state has seen what no offset says."""

    def process(self, records: Sequence[Record]) -> Any:
        half = partial(self.real.process, records[: (len(records) + 1) // 2])
        return self.fault.call("PartitionPipeline.process", partial(self.real.process, records), half)


class Service:
    """A log, the models, and workers that come and go."""

    def __init__(self, log: Path, models: Mapping[str, LoadedModel], records: Sequence[tuple[bytes, bytes]]) -> None:
        self.log, self.models, self.records = log, models, records
        self.published = 0

    def publish(self, up_to: int) -> None:
        publisher = LocalPublisher(self.log)
        publisher.ensure_topic(TOPIC, partitions=2)
        for key, value in self.records[self.published : up_to]:
            publisher.publish(TOPIC, key=KEYS[int(key[-1:]) % 2], value=value)
        publisher.close()
        self.published = up_to

    def run(
        self,
        fault: Fault,
        *,
        model: str = "new",
        intervals: tuple[int, int],
        poll_records: int = 60,
        at_the_end: Callable[[], bool] = lambda: True,
    ) -> None:
        """Run a worker until `at_the_end` of the log says so, or until it dies."""
        transport = EagerTransport(self.log, group="g", topics=[TOPIC], output_topics=OUTPUTS)
        router = Router([ModelRoute("**", self.models[model])])
        pipelines: dict[TopicPartition, PartitionPipeline] = {}

        def make(partition: TopicPartition) -> Any:
            pipelines[partition] = PartitionPipeline(partition, router, JsonDecoder(), PipelineOptions())
            return WatchedPipeline(pipelines[partition], fault)

        commit_ms, save_ms = intervals
        worker = Worker(
            Watched(transport, fault),
            Watched(LocalSnapshots(self.log, group="g"), fault),
            lambda partition: fault.call("factory", partial(make, partition)),
            WorkerOptions(commit_interval_ms=commit_ms, snapshot_interval_ms=save_ms, poll_records=poll_records),
            Watched(ModelReloader(router, interval_s=NEVER), fault),
        )

        def should_stop() -> bool:
            lags = worker.lag()
            if len(lags) < 2 or any(lags.values()):
                return False
            if self.published == SWITCHED:
                if any(pipeline.is_outdated for pipeline in pipelines.values()):
                    return False
                self.publish(ALL)
                return False
            return at_the_end()

        try:
            worker.run(should_stop)
        except BaseException as error:
            if not fault.is_over or type(error) is not fault.error:
                raise
        finally:
            _end_of_process(transport)

    def outputs(self) -> Outputs:
        """What a reader keeps who drops repeats by their position; a repeat is equal, byte for byte."""
        reader, found = LocalReader(self.log), {}
        for topic in OUTPUTS:
            first: dict[str, tuple[bytes | None, bytes | None]] = {}
            for record in reader.read(topic):
                pair = record.key, record.value
                assert first.setdefault(_identity(record), pair) == pair
            found[topic] = sorted(first.values(), key=lambda pair: pair[0] or b"")
        reader.close()
        return found


def _identity(record: Record) -> str:
    if record.headers:
        return str(record.headers)
    told = json.loads(record.value or b"")
    return str(told.get("source") or (told["alert_id"], told["revision"]))


def _end_of_process(transport: LocalTransport) -> None:
    """Where closing itself was struck, free what the kernel would free."""
    if transport._opened is not None:
        database, _, lock = transport._opened
        database.close()
        os.close(lock)


def _copy(log: Path, to: Path) -> Path:
    """Copy a log as it lies there: what a process that is killed now leaves behind."""
    with closing(sqlite3.connect(log)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    return to


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: ModelBundle) -> dict[str, LoadedModel]:
    folder = tmp_path_factory.mktemp("models")
    made = {"old": tiny_bundle, "new": replace(tiny_bundle, version=2, training={"start": "tiny@1"})}
    for name, bundle in made.items():
        bundle.save(folder / f"{name}.safetensors")
    return {name: load_model(folder / f"{name}.safetensors") for name in made}


@pytest.fixture(scope="module")
def killed(
    tmp_path_factory: pytest.TempPathFactory, models: Mapping[str, LoadedModel], telemetry: list[tuple[bytes, bytes]]
) -> Path:
    """A log whose group was killed at C, with a snapshot at S, and has records to go on with."""
    folder = tmp_path_factory.mktemp("killed")
    service = Service(folder / "log.db", models, telemetry)
    service.publish(SAVED)
    service.run(Fault(), model="old", intervals=INTERVALS["commit"])

    def at_the_end() -> bool:
        if service.published == SAVED:
            service.publish(COMMITTED)
            return False
        _copy(service.log, folder / "killed.db")
        return True

    service.run(Fault(), model="old", intervals=INTERVALS["commit"], at_the_end=at_the_end)
    killed = Service(folder / "killed.db", models, telemetry)
    killed.published = COMMITTED
    killed.publish(SWITCHED)
    return killed.log


class Trial:
    """Runs from the same log, one with each fault, and the one without."""

    def __init__(
        self,
        folder: Path,
        killed: Path | None,
        models: Mapping[str, LoadedModel],
        records: Sequence[tuple[bytes, bytes]],
    ) -> None:
        self.folder, self.killed, self.models, self.records = folder, killed, models, records
        self.trials = 0

    def outputs(self, fault: Fault, intervals: tuple[int, int]) -> Outputs:
        self.trials += 1
        log = self.folder / f"{self.trials}.db"
        service = Service(log if self.killed is None else _copy(self.killed, log), self.models, self.records)
        if self.killed is None:
            service.publish(len(self.records))
        else:
            service.published = SWITCHED
        service.run(fault, intervals=intervals)
        if fault.is_over:
            service.run(Fault(), intervals=intervals, poll_records=37)
        try:
            return service.outputs()
        finally:
            for file in self.folder.glob(f"{self.trials}.db*"):
                file.unlink()


def _every_fault(calls: Sequence[str]) -> list[Fault]:
    """Every call and moment, with the error that is retriable and, in turn, with one of those that are not."""
    moments = [(number, moment) for number, call in enumerate(calls) for moment in _moments(call)]
    fatal = [Fault(*at, ERRORS[index % (len(ERRORS) - 1)]) for index, at in enumerate(moments)]
    return fatal + [Fault(*at, ERRORS[-1]) for at in moments]


def _some_faults(calls: Sequence[str], turn: int) -> list[Fault]:
    """Every third of the kinds of calls and moments; which call of the kind, and which error, changes with the turn."""
    numbers: dict[str, list[int]] = {}
    for number, call in enumerate(calls):
        numbers.setdefault(call, []).append(number)
    kinds = [(ours, moment) for call, ours in numbers.items() for moment in _moments(call)]
    return [
        Fault(ours[(turn + index) % len(ours)], moment, ERRORS[(turn + index) % len(ERRORS)])
        for index, (ours, moment) in list(enumerate(kinds))[turn % 3 :: 3]
    ]


def _moments(call: str) -> tuple[str, ...]:
    return ("before", "middle", "after") if call.endswith(".process") else ("before", "after")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_FIRST_PAUSE_S", 0.0)


def _check(trial: Trial, intervals: str, choose: Callable[[Sequence[str]], list[Fault]]) -> None:
    nothing = Fault()
    expected = trial.outputs(nothing, INTERVALS[intervals])
    faults = choose(nothing.calls)
    differing = []
    for fault in faults:
        if trial.outputs(fault, INTERVALS[intervals]) != expected:
            differing.append(
                f"{fault.error.__name__} {fault.moment} call {fault.number}, {nothing.calls[fault.number]}"
            )
        assert fault.is_over
    assert not differing, f"{len(differing)} of {len(faults)}"


def test_the_run_to_compare_with_calls_everybody(
    tmp_path: Path, killed: Path, models: Mapping[str, LoadedModel], telemetry: list[tuple[bytes, bytes]]
) -> None:
    fault = Fault()
    outputs = Trial(tmp_path, killed, models, telemetry).outputs(fault, INTERVALS["commit and save"])
    scores, alerts, dead = (outputs[topic] for topic in OUTPUTS)
    assert len(scores) + len(dead) == ALL
    assert {json.loads(value or b"")["model"] for _, value in scores} == {"tiny@1", "tiny@2"}
    assert any(b'"state":"open"' in (value or b"") for _, value in alerts)
    calls = Counter(fault.calls)
    assert calls.keys() == {
        *("factory", "ModelReloader.poll", "ModelReloader.reload"),
        *(f"EagerTransport.{call}" for call in ("open", "poll", "committed", "bounds", "seek", "commit", "close")),
        *(f"LocalSnapshots.{call}" for call in ("load", "save", "close")),
        *(f"PartitionPipeline.{call}" for call in ("import_state", "process", "export_state", "switch_models")),
    }
    assert calls["PartitionPipeline.import_state"] == calls["PartitionPipeline.switch_models"] == 2
    assert min(calls["PartitionPipeline.process"], calls["LocalSnapshots.save"], calls["EagerTransport.commit"]) >= 4


@pytest.mark.parametrize("intervals", INTERVALS)
def test_a_worker_that_dies_at_any_call_is_recovered(
    tmp_path: Path,
    killed: Path,
    models: Mapping[str, LoadedModel],
    telemetry: list[tuple[bytes, bytes]],
    intervals: str,
) -> None:
    turn = list(INTERVALS).index(intervals)
    _check(Trial(tmp_path, killed, models, telemetry), intervals, lambda calls: _some_faults(calls, turn))


def test_so_is_one_of_a_new_group(
    tmp_path: Path, models: Mapping[str, LoadedModel], telemetry: list[tuple[bytes, bytes]]
) -> None:
    trial = Trial(tmp_path, None, models, telemetry[:150])
    _check(trial, "commit", lambda calls: _some_faults(calls, 3))


@pytest.mark.slow
@pytest.mark.parametrize("intervals", INTERVALS)
@pytest.mark.parametrize("is_new", [True, False])
def test_so_is_one_that_dies_at_every_call_of_every_error(
    tmp_path: Path,
    killed: Path,
    models: Mapping[str, LoadedModel],
    telemetry: list[tuple[bytes, bytes]],
    intervals: str,
    is_new: bool,
) -> None:
    trial = Trial(tmp_path, None if is_new else killed, models, telemetry[:150] if is_new else telemetry)
    _check(trial, intervals, _every_fault)
