"""Reading a range by time stamp, the same on both transports, and without a trace in the worker's group."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from adapters.conftest import KafkaLog

from streamlstm.adapters.local_log import LocalHistory
from streamlstm.errors import TransportError
from streamlstm.types import TopicPartition

FIRST_MS = (time.time_ns() // 1_000_000 - 3_600_000) // 1000 * 1000
"""An hour ago: a broker deletes what its time stamp says is older than a week."""
COUNT = 90


def write(log, topic, *, partitions=3):
    """Publish 90 records a second apart, the 40th with a time stamp that runs 10 s back."""
    publisher = log.publisher()
    publisher.ensure_topic(topic, partitions=partitions)
    for n in range(COUNT):
        time_ms = FIRST_MS + 1000 * n - (10_000 if n == 40 else 0)
        publisher.publish(topic, key=b"bed%d" % (n % 7), value=b"%d" % n, timestamp_ms=time_ms)
    publisher.close()


def numbers(records):
    return sorted(int(record.value) for record in records)


def test_topics_are_listed(log):
    for name in ("in", "out"):
        log.publish(log.topic(name), [(b"k", b"v")])
    history = log.history()
    assert {log.topic("in"), log.topic("out")} <= set(history.topics())


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (None, None, range(90)),
        (0, 0, range(0)),
        (20, 60, range(20, 60)),
        (20, 31, [*range(20, 31), 40]),  # the 40th stands after records that are out of the range
        (35, 60, [*range(35, 40), *range(41, 60)]),
        (89, None, range(89, 90)),
        (90, None, range(0)),
        (None, 1, range(1)),
        (-5_000_000_000, 5_000_000, range(90)),  # long before 1970, and in the far future
    ],
)
def test_a_range_of_time_is_read_from_every_partition(log, begin, end, expected):
    topic = log.topic("in")
    write(log, topic)
    begin_ms, end_ms = (None if at is None else FIRST_MS + 1000 * at for at in (begin, end))
    records = list(log.history().read([topic], begin_ms=begin_ms, end_ms=end_ms))
    assert numbers(records) == list(expected)
    by_partition = {}
    for record in records:
        by_partition.setdefault(record.partition, []).append(record.offset)
    assert all(offsets == sorted(offsets) for offsets in by_partition.values())


def test_several_topics_and_what_comes_after_the_call(log):
    one, two = log.topic("one"), log.topic("two")
    write(log, one)
    write(log, two, partitions=1)
    reading = log.history().read([one, two], begin_ms=FIRST_MS + 85_000, end_ms=None)
    log.publish(one, [(b"late", b"1000")])
    records = list(reading)
    assert sorted((record.topic, int(record.value)) for record in records) == sorted(
        (topic, n) for topic in (one, two) for n in range(85, 90)
    )
    record = next(record for record in records if record.value == b"86")
    assert (record.key, record.timestamp_ms) == (b"bed2", FIRST_MS + 86_000)


def test_records_that_are_gone_are_passed_over(log):
    topic = log.topic("in")
    write(log, topic, partitions=1)
    log.drop_records_before(TopicPartition(topic, 0), 30)
    assert numbers(log.history().read([topic], begin_ms=FIRST_MS + 10_000, end_ms=None)) == list(range(30, 90))
    assert numbers(log.history().read([topic], begin_ms=None, end_ms=FIRST_MS + 33_000)) == [30, 31, 32, 40]


def test_a_topic_that_is_missing_is_named(log):
    log.publish(log.topic("in"), [(b"k", b"v")])
    with pytest.raises(TransportError, match=r"there is no topic '.*absent'"):
        log.history().read([log.topic("absent")], begin_ms=None, end_ms=None)


def test_the_group_is_not_touched(log, take):
    topic = log.topic("in")
    write(log, topic, partitions=1)
    transport, member = log.member([topic])
    partition = TopicPartition(topic, 0)
    take(transport, COUNT)
    transport.commit([], {partition: 17})
    before = list(member.events)
    assert len(list(log.history().read([topic], begin_ms=None, end_ms=None))) == COUNT
    transport.poll(max_records=10, timeout_ms=500)
    assert transport.committed(partition) == 17
    assert member.events == before


def test_no_other_group_appears_on_the_broker(own_broker, topic_prefix, take):
    with closing(KafkaLog(topic_prefix, own_broker.address)) as log:
        no_other_group_appears(log, take)


def no_other_group_appears(kafka_log, take):
    kafka = pytest.importorskip("kafka")
    topic = kafka_log.topic("in")
    write(kafka_log, topic, partitions=1)
    transport, _ = kafka_log.member([topic])
    take(transport, COUNT)
    transport.commit([], {TopicPartition(topic, 0): COUNT})
    admin = kafka.KafkaAdminClient(bootstrap_servers=kafka_log.settings.bootstrap_servers)

    def seen():
        groups = admin.list_groups()
        [group] = admin.describe_groups([f"{kafka_log.prefix}/g"]).values()
        return sorted(str(one) for one in groups), str(group)

    try:
        before = seen()
        list(kafka_log.history().read([topic], begin_ms=FIRST_MS, end_ms=None))
        assert seen() == before
    finally:
        admin.close()


def test_a_local_log_that_is_missing_is_not_made(tmp_path):
    with pytest.raises(TransportError, match=r"none\.db: there is no such local log"):
        LocalHistory(tmp_path / "none.db").topics()
    assert not list(tmp_path.iterdir())
