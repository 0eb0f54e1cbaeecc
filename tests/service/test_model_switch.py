"""The law holds across a change of model: whatever step of it the worker dies at, outputs equal an unbroken run's."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_models import tiny_model
from waiting import PATIENCE_S

from streamlstm.adapters.local_log import LocalPublisher, LocalReader, LocalSnapshots, LocalTransport
from streamlstm.errors import TransportError, UnreachableError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.loaded import load_model, model_of
from streamlstm.model.bundles.registry import Registry
from streamlstm.ports import AssignmentListener, Snapshot
from streamlstm.service.model_reload import ModelReloader
from streamlstm.service.worker import Worker, WorkerOptions
from streamlstm.streaming.decoding.json_fast import JsonDecoder
from streamlstm.streaming.pipeline import PartitionPipeline, PipelineOptions
from streamlstm.streaming.routing import ModelRoute, Router
from streamlstm.streaming.state_format import decode_state
from streamlstm.types import Output, Record, TopicPartition

TOPIC = "telemetry"
OUTPUTS = ("streamlstm.scores", "streamlstm.alerts", "streamlstm.dlq")
STEPS = ("before commit", "after commit", "before switch", "after switch", "before snapshot", "after snapshot")
FIRST, SECOND = 300, 900
"""Records that are there at the start, and those that are there when the model is replaced."""

PARTITIONS = 4
"""Two of them get the four streams, two stay empty."""

Pairs = list[tuple[bytes | None, bytes | None]]


class _Killed(BaseException):
    """Stands for SIGKILL: nothing of the worker runs after it."""


class _Fate:
    """Kills at the n-th pass of one step, once it is armed."""

    def __init__(self, step: str = "never", nth: int = 0) -> None:
        self.step, self.left, self.is_armed, self.is_dead = step, nth, False, False

    def meet(self, step: str) -> None:
        if self.is_armed and step == self.step:
            self.left -= 1
            if self.left < 0:
                self.is_dead = True
                raise _Killed


class _Nobody:
    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None: ...
    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None: ...
    def on_lost(self, partitions: Sequence[TopicPartition]) -> None: ...


class _MortalTransport(LocalTransport):
    """With `is_once` False it publishes before it commits, as Kafka does without transactions."""

    fate: _Fate
    is_once: bool

    def commit(self, outputs: Sequence[Output], offsets: Mapping[TopicPartition, int]) -> None:
        self.fate.meet("before commit")
        if self.is_once:
            super().commit(outputs, offsets)
        else:
            super().commit(outputs, {})
            self.fate.meet("after publishing")
            super().commit([], offsets)
        self.fate.meet("after commit")

    def close(self) -> None:
        if self.fate.is_dead and self._opened is not None:  # a dead process says no goodbye
            database, _, lock = self._opened
            nobody: AssignmentListener = _Nobody()
            self._opened = (database, nobody, lock)
        super().close()


class _MortalSnapshots(LocalSnapshots):
    """Also notes at which offset each partition's snapshots first named each model."""

    fate: _Fate
    seen: dict[tuple[TopicPartition, str], int]
    failures: Counter[str]

    def save(self, partition: TopicPartition, snapshot: Snapshot) -> None:
        label = next(state.label for state in decode_state(snapshot.payload)[0] if state.rank == 0)
        is_new = (partition, label) not in self.seen
        self.fate.meet("before snapshot")
        if is_new and self.failures["refused"]:
            self.failures["refused"] -= 1
            raise UnreachableError("the store does not answer")
        super().save(partition, snapshot)
        self.seen.setdefault((partition, label), snapshot.offset)
        if is_new and self.failures["unanswered"]:
            self.failures["unanswered"] -= 1
            raise UnreachableError("the store did not answer")
        self.fate.meet("after snapshot")


class _MortalPipeline(PartitionPipeline):
    fate: _Fate

    def switch_models(self) -> list[str]:
        self.fate.meet("before switch")
        sentences = super().switch_models()
        self.fate.meet("after switch")
        return sentences


class Run:
    """One log, one registry, and the processes of one worker."""

    def __init__(self, folder: Path, records: Sequence[tuple[bytes, bytes]], old: ModelBundle) -> None:
        self.log, self.registry, self.records = folder / "log.db", Registry(folder / "models"), records
        self.registry.promote("tiny", self.registry.publish("tiny", old))
        self.path = folder / "models" / "tiny" / "champion"
        self.published = 0
        self.is_promoted = False
        self.is_once = True
        self.seen: dict[tuple[TopicPartition, str], int] = {}
        self.failures: Counter[str] = Counter()
        self.publish(FIRST)

    def publish(self, up_to: int) -> None:
        publisher = LocalPublisher(self.log)
        publisher.ensure_topic(TOPIC, partitions=PARTITIONS)
        for key, value in self.records[self.published : up_to]:
            publisher.publish(TOPIC, key=key, value=value)
        publisher.close()
        self.published = up_to

    def promote(self, bundle: ModelBundle) -> None:
        self.registry.promote("tiny", self.registry.publish("tiny", bundle))
        self.is_promoted = True

    def go(self, new: ModelBundle, fate: _Fate, *, poll_records: int) -> None:
        """Run a worker through the rest of the records, promoting the new model in the middle of the second part."""
        transport = _MortalTransport(self.log, group="g", topics=[TOPIC], output_topics=OUTPUTS)
        snapshots = _MortalSnapshots(self.log, group="g")
        transport.fate = snapshots.fate = fate
        transport.is_once = self.is_once
        snapshots.seen, snapshots.failures = self.seen, self.failures
        model = load_model(self.path)
        router = Router([ModelRoute("**", model)])

        def pipeline(partition: TopicPartition) -> PartitionPipeline:
            made = _MortalPipeline(partition, router, JsonDecoder(), PipelineOptions())
            made.fate = fate
            return made

        options = WorkerOptions(commit_interval_ms=5, snapshot_interval_ms=20, poll_records=poll_records)
        worker = Worker(transport, snapshots, pipeline, options, ModelReloader(router, interval_s=0.0))
        deadline = time.monotonic() + PATIENCE_S

        def is_done() -> bool:
            assert time.monotonic() < deadline
            lags = worker.lag()
            if not self.is_promoted and self.published == SECOND and sum(lags.values()) < 400:
                self.promote(new)
                fate.is_armed = True
            if len(lags) < PARTITIONS or any(lags.values()):
                return False
            if self.published == len(self.records):
                return True
            if self.published == SECOND and len(self.switches()) < PARTITIONS:
                return False
            self.publish(SECOND if self.published == FIRST else len(self.records))
            return False

        try:
            worker.run(is_done)
        except _Killed:
            assert fate.is_dead

    def switches(self) -> dict[TopicPartition, int]:
        """Offset at which each partition's snapshots began to name the new model."""
        return {partition: offset for (partition, label), offset in self.seen.items() if label == "tiny@2"}

    def outputs(self) -> dict[str, Pairs]:
        reader = LocalReader(self.log)
        found = {topic: [(r.key, r.value) for r in reader.read(topic)] for topic in OUTPUTS}
        reader.close()
        if not self.is_once:
            scores, alerts, dead = OUTPUTS
            found = {
                scores: _without_repeats(found[scores], lambda score: score["source"]),
                alerts: _without_repeats(found[alerts], lambda alert: (alert["alert_id"], alert["revision"])),
                dead: list(dict.fromkeys(found[dead])),
            }
        return {topic: _by_key(pairs) for topic, pairs in found.items()}

    def expected(self, old: ModelBundle, new: ModelBundle) -> dict[str, Pairs]:
        """Outputs of a pipeline a partition that was never interrupted and went over at the same offset."""
        reader = LocalReader(self.log)
        records = list(reader.read(TOPIC))
        reader.close()
        outputs: dict[str, Pairs] = {topic: [] for topic in OUTPUTS}
        for partition, offset in self.switches().items():
            own = [record for record in records if record.partition == partition.partition]
            for output in unbroken(partition, own, old, new, offset):
                outputs[output.topic].append((output.key, output.value))
        return {topic: _by_key(pairs) for topic, pairs in outputs.items()}


def unbroken(
    partition: TopicPartition, records: Sequence[Record], old: ModelBundle, new: ModelBundle, offset: int
) -> list[Output]:
    router = Router([ModelRoute.of("**", old)])
    pipeline = PartitionPipeline(partition, router, JsonDecoder(), PipelineOptions())
    outputs = pipeline.process([record for record in records if record.offset < offset]).outputs
    router.switch_model(0, model_of(new))
    pipeline.switch_models()
    return outputs + pipeline.process([record for record in records if record.offset >= offset]).outputs


def _by_key(pairs: Pairs) -> Pairs:
    return sorted(pairs, key=lambda pair: pair[0] or b"")


def _without_repeats(pairs: Pairs, identity: Callable[[Any], object]) -> Pairs:
    """Drop repeats, as a reader of an at-least-once topic does; a repeat must be equal byte for byte."""
    first: dict[str, tuple[bytes | None, bytes | None]] = {}
    for key, value in pairs:
        assert first.setdefault(str(identity(json.loads(value or b""))), (key, value)) == (key, value)
    return list(first.values())


@pytest.fixture(scope="module")
def successors(tiny_bundle: ModelBundle) -> dict[str, ModelBundle]:
    return {
        "tuned": replace(tiny_bundle, version=2, training={"start": "tiny@1"}),
        "wider": tiny_model(weights=32, hidden=40, data=7, version=2),
    }


def _check(run: Run, old: ModelBundle, new: ModelBundle) -> dict[str, Pairs]:
    found, expected = run.outputs(), run.expected(old, new)
    assert len(run.switches()) == PARTITIONS
    assert sum(offset > 0 for offset in run.switches().values()) >= 2
    for topic in OUTPUTS:
        assert found[topic] == expected[topic]
    scores = [json.loads(value or b"") for _, value in found[OUTPUTS[0]]]
    assert len(scores) + len(found[OUTPUTS[2]]) == len(run.records)
    assert sum(score["score"] is None for score in scores) == 4 * old.calibration.warm_up
    assert {score["model"] for score in scores} == {"tiny@1", "tiny@2"}
    return found


@pytest.mark.parametrize("kind", ["tuned", "wider"])
@pytest.mark.parametrize("nth", [0, 1])
@pytest.mark.parametrize("step", STEPS)
def test_outputs_after_a_kill_in_a_change_of_model_equal_those_of_an_unbroken_run(
    tmp_path: Path,
    tiny_bundle: ModelBundle,
    telemetry: list[tuple[bytes, bytes]],
    successors: dict[str, ModelBundle],
    step: str,
    nth: int,
    kind: str,
) -> None:
    run, fate = Run(tmp_path, telemetry, tiny_bundle), _Fate(step, nth)
    run.go(successors[kind], fate, poll_records=97)
    assert fate.is_dead
    run.go(successors[kind], _Fate(), poll_records=61)
    _check(run, tiny_bundle, successors[kind])


@pytest.mark.parametrize("kind", ["tuned", "wider"])
@pytest.mark.parametrize("nth", [0, 1, 2, 3])
def test_what_was_published_and_not_committed_is_repeated_under_the_model_that_said_it(
    tmp_path: Path,
    tiny_bundle: ModelBundle,
    telemetry: list[tuple[bytes, bytes]],
    successors: dict[str, ModelBundle],
    nth: int,
    kind: str,
) -> None:
    run, fate = Run(tmp_path, telemetry, tiny_bundle), _Fate("after publishing", nth)
    run.is_once = False
    run.go(successors[kind], fate, poll_records=97)
    assert fate.is_dead
    run.go(successors[kind], _Fate(), poll_records=61)
    _check(run, tiny_bundle, successors[kind])


def test_so_is_what_was_published_before_the_first_commit(
    tmp_path: Path, tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]], successors: dict[str, ModelBundle]
) -> None:
    run, fate = Run(tmp_path, telemetry, tiny_bundle), _Fate("after publishing")
    run.is_once, fate.is_armed = False, True
    run.go(successors["wider"], fate, poll_records=97)
    assert fate.is_dead
    run.promote(successors["wider"])
    run.go(successors["wider"], _Fate(), poll_records=61)
    _check(run, tiny_bundle, successors["wider"])


@pytest.mark.parametrize("kind", ["tuned", "wider"])
def test_a_new_champion_is_taken_up_at_one_offset_a_partition_and_the_log_says_so(
    tmp_path: Path,
    tiny_bundle: ModelBundle,
    telemetry: list[tuple[bytes, bytes]],
    successors: dict[str, ModelBundle],
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = Run(tmp_path, telemetry, tiny_bundle)
    with caplog.at_level(logging.INFO):
        run.go(successors[kind], _Fate(), poll_records=50)
    found = _check(run, tiny_bundle, successors[kind])
    lines = [message for message in caplog.messages if "tiny@1 -> tiny@2" in message]
    assert len(lines) == PARTITIONS
    for partition, offset in run.switches().items():
        (line,) = (one for one in lines if one.startswith(f"{TOPIC}-{partition.partition}@{offset}: "))
        assert str(run.path) in line
        if not offset:
            continue
        assert ("are kept" if kind == "tuned" else "are re-warmed: tiny@1 goes on scoring") in line
    if kind == "tuned":
        for _, value in found[OUTPUTS[0]]:
            score: dict[str, Any] = json.loads(value or b"")
            topic, partition_number, at = score["source"]
            is_new = at >= run.switches()[TopicPartition(topic, partition_number)]
            assert score["model"] == ("tiny@2" if is_new else "tiny@1")


@pytest.mark.parametrize("failure", ["refused", "unanswered"])
def test_a_store_that_fails_in_the_change_decides_which_model_it_is(
    tmp_path: Path,
    tiny_bundle: ModelBundle,
    telemetry: list[tuple[bytes, bytes]],
    successors: dict[str, ModelBundle],
    failure: str,
) -> None:
    run = Run(tmp_path, telemetry, tiny_bundle)
    run.seen = {(TopicPartition(TOPIC, number), "tiny@1"): 0 for number in range(PARTITIONS)}
    run.failures[failure] = 1
    run.go(successors["wider"], _Fate(), poll_records=50)
    assert run.failures[failure] == 0
    _check(run, tiny_bundle, successors["wider"])


def _router_and_reloader(path: Path) -> tuple[Router, ModelReloader]:
    model = load_model(path)
    router = Router([ModelRoute("**", model)])
    return router, ModelReloader(router, interval_s=0.0)


def _poll_until(reloader: ModelReloader, is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_there():
        assert time.monotonic() < deadline
        reloader.poll()
        time.sleep(0.002)


def test_what_cannot_be_used_is_said_once_and_the_old_model_goes_on(
    tmp_path: Path, tiny_bundle: ModelBundle, successors: dict[str, ModelBundle], caplog: pytest.LogCaptureFixture
) -> None:
    file, draft = tmp_path / "tiny.safetensors", tmp_path / "draft"
    tiny_bundle.save(file)
    router, reloader = _router_and_reloader(file)

    def said(part: str) -> bool:
        return sum(part in message for message in caplog.messages) == 1

    successors["wider"].save(draft)
    draft.write_bytes(draft.read_bytes()[:-9])
    draft.replace(file)
    _poll_until(reloader, lambda: said("expected a whole safetensors file"))
    file.unlink()
    _poll_until(reloader, lambda: said("cannot be read"))
    replace(tiny_bundle, version=3, channels=("flow", "level")).save(file)
    _poll_until(reloader, lambda: said("expected a model of the channels flow, pressure, got tiny@3 of flow, level"))
    for _ in range(20):
        reloader.poll()
    assert len(caplog.messages) == 3 and all("tiny@1 stays in use" in message for message in caplog.messages)
    assert router.routes[0].model.label == "tiny@1"
    successors["wider"].save(file)
    _poll_until(reloader, lambda: router.routes[0].model.label == "tiny@2")


def test_a_path_is_looked_at_once_in_an_interval_and_at_once_when_a_partition_comes(
    tmp_path: Path, tiny_bundle: ModelBundle, successors: dict[str, ModelBundle]
) -> None:
    file = tmp_path / "tiny.safetensors"
    tiny_bundle.save(file)
    model = load_model(file)
    router = Router([ModelRoute("a", model), ModelRoute("b", model)])
    reloader = ModelReloader(router, interval_s=3600.0)
    successors["wider"].save(file)
    reloader.poll()
    assert not reloader._loadings
    reloader.reload()
    assert [route.model.label for route in router.routes] == ["tiny@2", "tiny@2"]
    assert [route.pattern for route in router.routes] == ["a", "b"]


def test_a_model_that_is_missing_at_a_recovery_is_named_with_what_to_do(
    tmp_path: Path, tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]], successors: dict[str, ModelBundle]
) -> None:
    run = Run(tmp_path, telemetry, tiny_bundle)
    fate = _Fate("before snapshot")
    run.go(successors["wider"], fate, poll_records=97)
    assert fate.is_dead
    (tmp_path / "models" / "tiny" / "1.safetensors").unlink()
    with pytest.raises(
        Exception, match=r"written under tiny@1 .* put that version back\. To start without it, set state\.on_dam"
    ) as raised:
        run.go(successors["wider"], _Fate(), poll_records=97)
    assert not isinstance(raised.value, TransportError)
