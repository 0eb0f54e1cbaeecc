"""A group that has committed more than the log holds: cut short, restored from a copy, deleted and created again."""

from __future__ import annotations

import time

import msgspec
import pytest
from service.scripted_log import HashProcessor, State
from waiting import PATIENCE_S, wait_until

from streamlstm.service.worker import Worker, WorkerOptions
from streamlstm.types import TopicPartition

OPTIONS = WorkerOptions(commit_interval_ms=0, snapshot_interval_ms=0, poll_records=20)


def _run(log, topic, output, is_done):
    """Run a worker until `is_done` says so, which is asked between two rounds."""
    outputs = [output] if log.name == "local" else {output: {"partitions": 1}}
    worker = Worker(
        log.transport([topic], output_topics=outputs), log.snapshots(), lambda _: HashProcessor(topic=output), OPTIONS
    )
    deadline_s = time.monotonic() + PATIENCE_S

    def should_stop():
        assert time.monotonic() < deadline_s, worker.lag()
        return is_done(worker)

    worker.run(should_stop)


def _has_read_all(worker):
    return list(worker.lag().values()) == [0]


def test_what_is_written_to_a_log_that_was_cut_short_is_processed(log, caplog):
    topic, output, partition = log.topic("in"), log.topic("out"), TopicPartition(log.topic("in"), 0)
    log.publish(topic, [(b"key", b"before %d" % n) for n in range(30)])
    transport, member = log.member([topic])
    while partition not in member.held:
        transport.poll(max_records=1, timeout_ms=100)
    transport.commit([], {partition: 100})
    transport.close()
    _run(log, topic, output, _has_read_all)
    assert "the group has committed offset 100, and the log ends at 30" in caplog.text
    log.publish(topic, [(b"key", b"after %d" % n) for n in range(90)])  # past offset 100
    _run(log, topic, output, _has_read_all)
    whole = HashProcessor(topic=output).process([r for r in log.reader().read(topic) if r.offset >= 30])
    assert [r.value for r in log.reader().read(output)] == [out.value for out in whole.outputs]
    snapshot = log.snapshots().load(partition)
    assert (snapshot.offset, msgspec.json.decode(snapshot.payload, type=State).seen) == (120, 90)


def test_a_topic_that_is_created_again_under_a_running_worker_is_read_from_its_start(kafka_log):
    kafka = pytest.importorskip("kafka")
    topic, output = kafka_log.topic("in"), kafka_log.topic("out")
    partition = TopicPartition(topic, 0)
    kafka_log.publish(topic, [(b"key", b"before %d" % n) for n in range(300)])
    before = HashProcessor(topic=output).process(list(kafka_log.reader().read(topic))).outputs
    admin = kafka_log.keep(kafka.KafkaAdminClient(bootstrap_servers=kafka_log.settings.bootstrap_servers))
    created_again = []

    def is_done(worker):
        if not created_again and _has_read_all(worker):
            admin.delete_topics([topic])
            # The broker forgets what groups have committed of a topic that is deleted, a moment later.
            wait_until(lambda: topic not in admin.list_topics() and worker._transport.committed(partition) is None)
            kafka_log.publish(topic, [(b"key", b"after %d" % n) for n in range(40)])
            created_again.extend(kafka_log.reader().read(topic))
        return bool(created_again) and worker._transport.committed(partition) == 40

    _run(kafka_log, topic, output, is_done)
    after = HashProcessor(topic=output).process(created_again).outputs
    expected = [out.value for out in (*before, *after)]
    assert [record.value for record in kafka_log.reader().read(output)] == expected
