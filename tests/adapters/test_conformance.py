"""The laws of the ports, once, for both transports. Where they could differ, Apache Kafka is right."""

from __future__ import annotations

import time

import pytest
from waiting import PATIENCE_S, wait_until

from streamlstm.errors import TransportError
from streamlstm.types import Output, TopicPartition

BEATS = [(b"bed%d" % (n % 5), b"beat %d" % n) for n in range(300)]


def values(batches):
    return [record.value for records in batches.values() for record in records]


def test_a_partition_keeps_its_order_and_a_key_its_partition(log, take):
    topic = log.topic("in")
    log.publish(topic, BEATS, partitions=3)
    transport, _ = log.member([topic])
    taken = take(transport, 300, max_records=70)
    partition_of = {}
    for partition, records in taken.items():
        assert [record.offset for record in records] == list(range(len(records)))
        assert {(record.topic, record.partition) for record in records} == {partition}
        for record in records:
            assert partition_of.setdefault(record.key, partition) == partition
    for key in {key for key, _ in BEATS}:
        assert [record.value for record in taken[partition_of[key]] if record.key == key] == [
            value for at, value in BEATS if at == key
        ]
    assert len(set(partition_of.values())) > 1


def test_records_arrive_as_they_were_published(log, take):
    topic = log.topic("in")
    publisher = log.publisher()
    publisher.ensure_topic(topic)
    publisher.publish(topic, key=b"\x00\xff", value=None, timestamp_ms=1_600_000_000_123)
    publisher.publish(topic, key=None, value=b"", timestamp_ms=1_600_000_000_001)
    before_ms = time.time() * 1000 - 1000
    publisher.publish(topic, key=b"k", value=b"v")
    publisher.flush()
    transport, _ = log.member([topic])
    ((partition, records),) = take(transport, 3).items()
    assert partition == TopicPartition(topic, 0)
    assert [(record.key, record.value) for record in records] == [(b"\x00\xff", None), (None, b""), (b"k", b"v")]
    assert [record.timestamp_ms for record in records[:2]] == [1_600_000_000_123, 1_600_000_000_001]
    assert before_ms < records[2].timestamp_ms < time.time() * 1000 + 1000


def test_a_group_goes_on_from_its_committed_offset_and_another_from_the_start(log, take):
    topic = log.topic("in")
    log.publish(topic, BEATS[:9])
    first, member = log.member([topic])
    partition = TopicPartition(topic, 0)
    take(first, 9)
    assert first.committed(partition) is None
    first.commit([], {partition: 4})
    assert first.committed(partition) == 4
    first.close()
    assert [event for event, _ in member.events] == ["assigned", "revoked"]
    again, _ = log.member([topic])
    assert values(take(again, 5)) == [value for _, value in BEATS[4:9]]
    other, _ = log.member([topic], group="other")
    assert values(take(other, 9)) == [value for _, value in BEATS[:9]]
    assert other.committed(partition) is None


def test_outputs_of_a_commit_are_visible_whole(log, take):
    topic, scores, alerts = log.topic("in"), log.topic("scores"), log.topic("alerts")
    log.publish(topic, BEATS[:3])
    shapes = {scores: {"partitions": 1}, alerts: {"partitions": 1, "compacted": True}}
    transport, _ = log.member([topic], output_topics=list(shapes) if log.name == "local" else shapes)
    take(transport, 3)
    headers = (("slstm.reason", b"late"), ("slstm.reason", b"\x00\x01"))
    outputs = [
        Output(scores, b"bed1", b'{"score": 1.5}'),
        Output(scores, b"bed2", b'{"score": 0.25}', headers),
        Output(alerts, b"a17", None),
    ]
    transport.commit(outputs, {TopicPartition(topic, 0): 3})
    reader = log.reader()
    written = [(r.topic, r.key, r.value, r.headers) for name in (scores, alerts) for r in reader.read(name)]
    assert written == [(out.topic, out.key, out.value, out.headers) for out in outputs]


def test_a_commit_that_fails_commits_nothing(log, take):
    topic, scores = log.topic("in"), log.topic("scores")
    log.publish(topic, BEATS[:6])
    log.publish(scores, [])
    transport, _ = log.member([topic])
    take(transport, 6)
    partition = TopicPartition(topic, 0)
    transport.commit([], {partition: 2})
    with pytest.raises(TransportError):
        transport.commit([Output(scores, b"bed1", b"good"), Output("", b"bed1", b"no topic")], {partition: 6})
    assert transport.committed(partition) == 2
    transport.close()
    again, _ = log.member([topic])
    assert values(take(again, 4)) == [value for _, value in BEATS[2:6]]
    again.commit([Output(scores, b"bed1", b"better")], {partition: 6})
    assert again.committed(partition) == 6


def test_seek_inside_on_assigned_decides_where_reading_begins(log, take):
    topic = log.topic("in")
    log.publish(topic, BEATS[:10])
    partition = TopicPartition(topic, 0)
    first, _ = log.member([topic])
    take(first, 10)
    first.commit([], {partition: 8})
    first.close()
    transport, member = log.member([topic])
    seen = []

    def recover(partitions):
        (assigned,) = partitions
        seen.append((transport.committed(assigned), transport.bounds(assigned), transport.start_offset(assigned)))
        transport.seek(assigned, 3)

    member.when_assigned = recover
    assert values(take(transport, 7)) == [value for _, value in BEATS[3:10]]
    assert seen == [(8, (0, 10), 0)]
    transport.seek(partition, 9)
    assert values(take(transport, 1)) == [BEATS[9][1]]


def test_a_new_group_that_starts_at_the_latest_sees_only_what_is_new(log, take):
    topic = log.topic("in")
    log.publish(topic, BEATS[:7])
    transport, member = log.member([topic], start="latest")
    deadline_s = time.monotonic() + PATIENCE_S
    while not member.held and time.monotonic() < deadline_s:
        assert not transport.poll(max_records=10, timeout_ms=50)
    log.publish(topic, BEATS[7:9])
    assert values(take(transport, 2)) == [value for _, value in BEATS[7:9]]
    assert transport.start_offset(TopicPartition(topic, 0)) == 7


def test_an_error_of_the_listener_reaches_the_caller_of_poll(log):
    topic = log.topic("in")
    log.publish(topic, BEATS[:2])
    transport, member = log.member([topic])

    def fail(partitions):
        raise ArithmeticError(f"no room for {partitions[0].topic}")

    member.when_assigned = fail
    with pytest.raises(ArithmeticError, match=topic):
        for _ in range(50):
            transport.poll(max_records=10, timeout_ms=200)


def test_an_error_of_the_listener_reaches_the_caller_of_close_and_the_group_is_left(log, take):
    topic = log.topic("in")
    log.publish(topic, BEATS[:2])
    transport, member = log.member([topic])
    take(transport, 2)

    def fail(partitions):
        raise ArithmeticError(f"no room for {partitions[0].topic}")

    member.when_revoked = fail
    with pytest.raises(ArithmeticError, match=topic):
        transport.close()
    transport.close()
    with pytest.raises(TransportError, match=r"not open; call open\(\) first"):
        transport.bounds(TopicPartition(topic, 0))
    again, _ = log.member([topic])
    take(again, 2)


def test_the_start_of_a_partition_stays_while_it_is_held(log, take):
    topic = log.topic("in")
    log.publish(topic, BEATS[:3])
    partition = TopicPartition(topic, 0)
    transport, member = log.member([topic], start="latest")
    wait_until(lambda: transport.poll(max_records=10, timeout_ms=50) or member.held, "the partition")
    assert transport.start_offset(partition) == 3
    log.publish(topic, BEATS[3:5])
    assert transport.start_offset(partition) == 3
    take(transport, 2)
    transport.seek(partition, 0)  # which does not outlive the assignment
    transport.close()
    transport.open(member)
    with pytest.raises(TransportError, match="already open"):
        transport.open(member)
    assert transport.start_offset(partition) == 5
    log.publish(topic, BEATS[5:6])
    assert values(take(transport, 1)) == [BEATS[5][1]]


def test_on_revoked_may_commit_while_closing(log, take):
    topic, scores = log.topic("in"), log.topic("scores")
    log.publish(topic, BEATS[:5])
    log.publish(scores, [])
    transport, member = log.member([topic])
    take(transport, 5)
    member.when_revoked = lambda partitions: transport.commit(
        [Output(scores, b"bed3", b"last")], dict.fromkeys(partitions, 5)
    )
    transport.close()
    assert [record.value for record in log.reader().read(scores)] == [b"last"]
    again, _ = log.member([topic])
    assert not again.poll(max_records=10, timeout_ms=500)
    assert again.committed(TopicPartition(topic, 0)) == 5


def test_patterns_match_topics_but_never_the_own_outputs(log, take):
    wanted = [log.topic("telemetry.ward"), log.topic("telemetry.pumps")]
    own, other = log.topic("telemetry.scores"), log.topic("control")
    for number, topic in enumerate([*wanted, own, other]):
        log.publish(topic, [(b"k", b"from %d" % number)])
    shapes = {own: {"partitions": 1}}
    transport, member = log.member(
        [log.topic("telemetry.*")], output_topics=list(shapes) if log.name == "local" else shapes
    )
    assert sorted(values(take(transport, 2))) == [b"from 0", b"from 1"]
    assert not transport.poll(max_records=10, timeout_ms=300)
    assert {partition.topic for partition in member.held} == set(wanted)


def test_bounds_follow_what_is_written_and_dropped(log, take):
    topic = log.topic("in")
    log.publish(topic, BEATS[:12])
    transport, _ = log.member([topic])
    take(transport, 12)
    partition = TopicPartition(topic, 0)
    assert transport.bounds(partition) == (0, 12)
    log.drop_records_before(partition, 5)
    log.publish(topic, BEATS[12:13])
    assert transport.bounds(partition) == (5, 13)


@pytest.mark.parametrize(("start", "expected"), [("earliest", BEATS[5:9]), ("latest", BEATS[9:10])])
def test_a_committed_offset_that_is_gone_follows_start_and_is_logged(log, take, caplog, start, expected):
    topic = log.topic("in")
    log.publish(topic, BEATS[:9])
    partition = TopicPartition(topic, 0)
    first, _ = log.member([topic])
    take(first, 9)
    first.commit([], {partition: 2})
    first.close()
    log.drop_records_before(partition, 5)
    transport, _ = log.member([topic], start=start)
    deadline_s = time.monotonic() + PATIENCE_S
    if start == "latest":
        while f"{topic}-0@2" not in caplog.text and time.monotonic() < deadline_s:
            transport.poll(max_records=10, timeout_ms=100)
        log.publish(topic, BEATS[9:10])
    assert values(take(transport, len(expected))) == [value for _, value in expected]
    assert f"{topic}-0@2" in caplog.text
    assert start in caplog.text


def test_what_is_still_held_is_read_wherever_a_new_group_would_start(log, take, caplog):
    topic = log.topic("in")
    log.publish(topic, BEATS[:9])
    partition = TopicPartition(topic, 0)
    log.drop_records_before(partition, 5)
    transport, member = log.member([topic], start="latest")
    member.when_assigned = lambda partitions: transport.seek(partition, 5)
    assert values(take(transport, 4)) == [value for _, value in BEATS[5:9]]
    assert "still holds" not in caplog.text


def test_a_reader_sees_each_partition_to_its_end_and_then_only_what_is_new(log):
    topic = log.topic("in")
    log.publish(topic, BEATS[:40], partitions=2)
    reader = log.reader()
    records = list(reader.read(topic))
    assert sorted(record.value for record in records) == sorted(value for _, value in BEATS[:40])
    assert not list(reader.read(topic, from_beginning=False))
    log.publish(topic, BEATS[40:43])
    assert sorted(record.value for record in reader.read(topic, from_beginning=False)) == [
        value for _, value in BEATS[40:43]
    ]
    with pytest.raises(TransportError, match="nosuch"):
        reader.read(log.topic("nosuch"))
