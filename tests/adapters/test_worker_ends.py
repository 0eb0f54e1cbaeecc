"""What a worker leaves behind on either transport when it ends on an error."""

from __future__ import annotations

import time

import msgspec
import pytest
from service.scripted_log import HashProcessor, State

from streamlstm.ports import Processed
from streamlstm.service.worker import Worker, WorkerOptions
from streamlstm.types import Record, TopicPartition

PATIENCE_S = 600
"""A ceiling for one worker; none of these takes longer than a few seconds where the machine is idle."""

OPTIONS = WorkerOptions(commit_interval_ms=0, snapshot_interval_ms=3_600_000, poll_records=20)
"""Every round commits; states are saved when partitions are handed back only."""


class _DiesHalfWay(HashProcessor):
    """Sees half of a batch once it has seen 60 records, and fails."""

    def process(self, records):
        if self.state.seen >= 60:
            super().process(records[: (len(records) + 1) // 2])
            raise MemoryError("no room for the rest of the batch")
        return super().process(records)


def _worker(log, topic, output, processor):
    transport = log.transport(
        [topic],
        output_topics=[output] if log.name == "local" else {output: {"partitions": 1}},
        # A member that did not leave would keep its partitions for longer than this test waits.
        **({} if log.name == "local" else {"session_timeout_ms": 1_200_000}),
    )
    worker = Worker(transport, log.snapshots(), lambda name: processor(topic=output), OPTIONS)
    deadline_s = time.monotonic() + PATIENCE_S

    def should_stop():
        assert time.monotonic() < deadline_s, worker.lag()
        lags = worker.lag()
        return len(lags) == 2 and not any(lags.values())

    return worker, should_stop


def test_a_worker_that_ends_on_an_error_leaves_at_once_and_its_outputs_are_repeated_as_they_were(log):
    topic, output = log.topic("in"), log.topic("out")
    log.publish(topic, [(b"key %d" % (n % 7), b"record %d" % n) for n in range(300)], partitions=2)
    worker, should_stop = _worker(log, topic, output, _DiesHalfWay)
    with pytest.raises(MemoryError, match="the rest of the batch"):
        worker.run(should_stop)
    names = [TopicPartition(topic, number) for number in range(2)]
    for name in names:
        snapshot = log.snapshots().load(name)
        assert snapshot is not None
        assert msgspec.json.decode(snapshot.payload, type=State).seen == snapshot.offset == 0
    worker, should_stop = _worker(log, topic, output, HashProcessor)
    worker.run(should_stop)
    published: dict[bytes, bytes] = {}
    for record in log.reader().read(output):
        assert published.setdefault(record.key, record.value) == record.value
    inputs: list[Record] = list(log.reader().read(topic))
    expected = {}
    for name in names:
        whole: Processed = HashProcessor(topic=output).process([r for r in inputs if r.partition == name.partition])
        expected.update({out.key: out.value for out in whole.outputs})
        snapshot = log.snapshots().load(name)
        assert msgspec.json.decode(snapshot.payload, type=State).seen == snapshot.offset > 60
    assert published == expected
