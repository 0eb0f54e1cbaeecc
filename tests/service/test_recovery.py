"""The law: whatever moment the worker dies at, its outputs equal those of a run that never stopped, byte for byte."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from streamlstm.adapters.local_log import LocalPublisher, LocalReader, LocalSnapshots, LocalTransport
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.ports import Snapshot
from streamlstm.service.worker import Worker, WorkerOptions
from streamlstm.streaming.decoding.json_fast import JsonDecoder
from streamlstm.streaming.pipeline import PartitionPipeline, PipelineOptions
from streamlstm.streaming.routing import ModelRoute, Router
from streamlstm.types import Output, TopicPartition

TOPIC = "telemetry"
OUTPUTS = ("streamlstm.scores", "streamlstm.alerts", "streamlstm.dlq")
STEPS = ("before commit", "after commit", "before snapshot", "after snapshot")


class _Killed(BaseException):
    """Stands for SIGKILL: nothing of the worker runs after it."""


class _Fate:
    """Kills at the n-th pass of one step."""

    def __init__(self, step: str, nth: int) -> None:
        self.step, self.left, self.is_dead = step, nth, False

    def meet(self, step: str) -> None:
        if step == self.step:
            self.left -= 1
            if self.left < 0:
                self.is_dead = True
                raise _Killed


class _MortalTransport(LocalTransport):
    fate: _Fate

    def commit(self, outputs: Sequence[Output], offsets: Mapping[TopicPartition, int]) -> None:
        self.fate.meet("before commit")
        super().commit(outputs, offsets)
        self.fate.meet("after commit")

    def close(self) -> None:
        if self.fate.is_dead:  # a dead process says no goodbye: drop the connection and the lock, commit nothing
            self._listener_is_dead()
        super().close()

    def _listener_is_dead(self) -> None:
        assert self._opened is not None
        database, _, lock = self._opened
        self._opened = (database, _Nobody(), lock)


class _Nobody:
    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None: ...
    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None: ...
    def on_lost(self, partitions: Sequence[TopicPartition]) -> None: ...


class _MortalSnapshots(LocalSnapshots):
    fate: _Fate

    def save(self, partition: TopicPartition, snapshot: Snapshot) -> None:
        self.fate.meet("before snapshot")
        super().save(partition, snapshot)
        self.fate.meet("after snapshot")


def _run(log: Path, bundle: ModelBundle, fate: _Fate, *, poll_records: int) -> None:
    """Run a worker until the log is read to its end, or fate strikes."""
    transport = _MortalTransport(log, group="g", topics=[TOPIC], output_topics=OUTPUTS)
    snapshots = _MortalSnapshots(log, group="g")
    transport.fate = snapshots.fate = fate

    def pipeline(partition: TopicPartition) -> PartitionPipeline:
        return PartitionPipeline(partition, Router([ModelRoute.of("**", bundle)]), JsonDecoder(), PipelineOptions())

    options = WorkerOptions(commit_interval_ms=1, snapshot_interval_ms=1, poll_records=poll_records)
    worker = Worker(transport, snapshots, pipeline, options)
    idle = count()

    def is_done() -> bool:
        lags = worker.lag().values()
        return bool(lags) and not any(lags) and next(idle) > 2

    try:
        worker.run(is_done)
    except _Killed:
        assert fate.is_dead


def _outputs(log: Path) -> dict[str, list[tuple[bytes | None, bytes | None]]]:
    reader = LocalReader(log)
    found = {topic: [(r.key, r.value) for r in reader.read(topic)] for topic in OUTPUTS}
    reader.close()
    return found


def _fill(log: Path, records: Sequence[tuple[bytes, bytes]]) -> None:
    publisher = LocalPublisher(log)
    publisher.ensure_topic(TOPIC, partitions=2)
    for key, value in records:
        publisher.publish(TOPIC, key=key, value=value)
    publisher.close()


def _sorted_by_partition(outputs: list[tuple[bytes | None, bytes | None]]) -> list[tuple[bytes | None, bytes | None]]:
    return sorted(outputs, key=lambda pair: pair[0] or b"")


@pytest.fixture(scope="module")
def unbroken(
    tmp_path_factory: pytest.TempPathFactory, tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]]
) -> dict[str, list[tuple[bytes | None, bytes | None]]]:
    log = tmp_path_factory.mktemp("unbroken") / "log.db"
    _fill(log, telemetry)
    _run(log, tiny_bundle, _Fate("never", 0), poll_records=10_000)
    return _outputs(log)


def test_the_run_to_compare_with_has_scores_alerts_and_dead_letters(
    unbroken: dict[str, list[tuple[bytes | None, bytes | None]]], telemetry: list[tuple[bytes, bytes]]
) -> None:
    scores, alerts, dead = (unbroken[topic] for topic in OUTPUTS)
    assert len(scores) + len(dead) == len(telemetry)
    assert len(dead) == 3
    assert any(b'"state":"open"' in (value or b"") for _, value in alerts)


@pytest.mark.parametrize("nth", [0, 1, 3])
@pytest.mark.parametrize("step", STEPS)
def test_outputs_after_a_kill_equal_those_of_an_unbroken_run(
    tmp_path: Path,
    tiny_bundle: ModelBundle,
    telemetry: list[tuple[bytes, bytes]],
    unbroken: dict[str, list[tuple[bytes | None, bytes | None]]],
    step: str,
    nth: int,
) -> None:
    log = tmp_path / "log.db"
    _fill(log, telemetry)
    first = _Fate(step, nth)
    _run(log, tiny_bundle, first, poll_records=97)
    assert first.is_dead
    _run(log, tiny_bundle, _Fate(step, nth + 1), poll_records=61)
    _run(log, tiny_bundle, _Fate("never", 0), poll_records=173)
    found = _outputs(log)
    for topic in OUTPUTS:
        assert _sorted_by_partition(found[topic]) == _sorted_by_partition(unbroken[topic])


@pytest.mark.parametrize("lose", ["snapshots", "nothing"])
def test_without_snapshots_streams_warm_up_again_and_nothing_is_lost(
    tmp_path: Path, tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]], lose: str
) -> None:
    log = tmp_path / "log.db"
    _fill(log, telemetry[: len(telemetry) // 2])
    _run(log, tiny_bundle, _Fate("never", 0), poll_records=500)
    if lose == "snapshots":
        _forget_snapshots(log)
    _fill(log, telemetry[len(telemetry) // 2 :])
    _run(log, tiny_bundle, _Fate("never", 0), poll_records=500)
    found = _outputs(log)
    assert len(found[OUTPUTS[0]]) + len(found[OUTPUTS[2]]) == len(telemetry)
    warming = sum(b'"status":"warming"' in (value or b"") for _, value in found[OUTPUTS[0]])
    streams = 4
    assert warming == tiny_bundle.calibration.warm_up * streams * (2 if lose == "snapshots" else 1)


def _forget_snapshots(log: Path) -> None:
    with closing(sqlite3.connect(log)) as connection, connection:
        connection.execute("DELETE FROM snapshots")
