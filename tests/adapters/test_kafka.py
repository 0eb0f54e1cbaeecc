"""What only Kafka does: rebalances, fencing, refusals, a broker that goes away. Against a real broker."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace

import pytest
from adapters.conftest import KafkaLog, Member
from conftest import Broker
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaConnectionError
from waiting import PATIENCE_S, wait_until

from streamlstm.adapters.kafka_python import KafkaPublisher, KafkaSettings, KafkaSnapshots, KafkaTransport, check
from streamlstm.adapters.kafka_python.administration import create_missing_topics
from streamlstm.adapters.snapshots import CHUNK_BYTES
from streamlstm.errors import FencedError, TransportError, UnreachableError
from streamlstm.ports import Snapshot
from streamlstm.types import Output, TopicPartition

FOLDER = "streamlstm.adapters.kafka_python"


def records_of(count, first=0):
    return [(b"bed%d" % n, b"beat %d" % n) for n in range(first, first + count)]


class Worker:
    """Processes what it is given, one output a record, and commits what it has processed when it must hand back."""

    def __init__(self, log, topic, scores, **more):
        self.scores = scores
        self.transport, self.member = log.member([topic], **more)
        self.pending, self.offsets, self.resumed = [], {}, {}
        self.member.when_assigned = self.resume
        self.member.when_revoked = lambda partitions: self.commit()

    def resume(self, partitions):
        self.resumed.update({partition: self.transport.committed(partition) for partition in partitions})

    def work(self, *, commit):
        for partition, records in self.transport.poll(max_records=11, timeout_ms=100).items():
            self.pending += [Output(self.scores, record.key, record.value) for record in records]
            self.offsets[partition] = records[-1].offset + 1
        if commit:
            self.commit()

    def commit(self):
        if self.offsets:
            self.transport.commit(self.pending, self.offsets)
            self.pending, self.offsets = [], {}


def test_partitions_move_to_a_second_member_and_back_without_work_repeated(kafka_log):
    topic, scores = kafka_log.topic("in"), kafka_log.topic("scores")
    kafka_log.publish(topic, records_of(200), partitions=4)
    kafka_log.publish(scores, [])
    first = Worker(kafka_log, topic, scores)
    while len(first.pending) < 60:
        first.work(commit=False)
    second = Worker(kafka_log, topic, scores)
    deadline_s = time.monotonic() + PATIENCE_S
    while len(first.member.held) != 2 or len(second.member.held) != 2:
        assert time.monotonic() < deadline_s, (first.member.events, second.member.events)
        with ThreadPoolExecutor() as together:  # as two processes would: a join wants both at one time
            for done in (together.submit(first.work, commit=False), together.submit(second.work, commit=True)):
                done.result()
    assert first.member.held.isdisjoint(second.member.held)
    assert [event for event, _ in first.member.events] == ["assigned", "revoked", "assigned"]
    assert any(second.resumed.values())
    for n in range(200, 400, 50):
        kafka_log.publish(topic, records_of(50, first=n))
        first.work(commit=True)
        second.work(commit=True)
    first.transport.close()
    assert first.member.events[-1][0] == "revoked"
    reader = kafka_log.reader()
    while len(done := [record.value for record in reader.read(scores)]) < 400:
        assert time.monotonic() < deadline_s, len(done)
        second.work(commit=True)
    assert len(second.member.held) == 4
    assert sorted(done) == sorted(value for _, value in records_of(400))


def test_three_heartbeats_fall_into_a_short_session(kafka_log):
    topic = kafka_log.topic("in")
    kafka_log.publish(topic, [])
    transport, _ = kafka_log.member([topic], session_timeout_ms=2400)  # less than the usual time between heartbeats
    assert transport._opened[0].config["heartbeat_interval_ms"] == 800


def test_a_member_that_was_silent_for_too_long_is_fenced_and_told_of_its_loss(kafka_log, take):
    topic, scores = kafka_log.topic("in"), kafka_log.topic("scores")
    kafka_log.publish(topic, records_of(5))
    kafka_log.publish(scores, [])
    transport, member = kafka_log.member([topic], session_timeout_ms=6000)
    take(transport, 5)
    partition = TopicPartition(topic, 0)
    assert transport.start_offset(partition) == 0
    # Heartbeats come from the client's network thread: hold it until the group has dropped it, as a frozen
    # machine would.
    is_expelled = threading.Event()
    transport._opened[0]._net.call_soon_threadsafe(is_expelled.wait)
    try:
        with closing(KafkaAdminClient(bootstrap_servers=kafka_log.settings.bootstrap_servers)) as admin:
            wait_until(lambda: not members_of(admin, f"{kafka_log.prefix}/g"), "the end of the session", every_s=0.5)
    finally:
        is_expelled.set()
    with pytest.raises(FencedError, match="the group has moved on"):
        transport.commit([], {TopicPartition(topic, 0): 5})
    kafka_log.drop_records_before(partition, 2)
    assert values_of(take(transport, 3)) == [value for _, value in records_of(3, first=2)]
    assert transport.start_offset(partition) == 2, "what was known of a partition that is lost no longer holds"
    assert [event for event, _ in member.events] == ["assigned", "lost", "assigned"]
    assert transport.committed(TopicPartition(topic, 0)) is None


def members_of(admin, group):
    return admin.describe_groups([group])[group]["members"]


def values_of(taken):
    return [record.value for records in taken.values() for record in records]


def test_polls_that_end_in_the_middle_of_a_join_do_not_lose_it(kafka_log):
    """Time-outs shorter than a join cut it short at every point; a join that is forgotten would never come back."""
    topic = kafka_log.topic("in")
    kafka_log.publish(topic, records_of(1))
    for number in range(12):
        transport, member = kafka_log.member([topic], group=f"g{number}")
        deadline_s = time.monotonic() + PATIENCE_S
        while not member.held:
            assert time.monotonic() < deadline_s, f"member {number} never got its partition"
            transport.poll(max_records=1, timeout_ms=3 + 7 * number)
        transport.close()


def test_a_record_too_large_names_topic_and_size_and_commits_nothing(kafka_log, take):
    topic = kafka_log.topic("in")
    kafka_log.publish(topic, records_of(2))
    transport, _ = kafka_log.member([topic])
    take(transport, 2)
    with pytest.raises(TransportError, match=rf"record of 3000004 bytes to {topic}"):
        transport.commit([Output(topic, b"bed1", bytes(3_000_000))], {TopicPartition(topic, 0): 2})
    assert transport.committed(TopicPartition(topic, 0)) is None


def test_a_refusal_that_comes_only_with_the_acknowledgement_fails_the_commit(kafka_log, take):
    topic, alerts = kafka_log.topic("in"), kafka_log.topic("alerts")
    kafka_log.publish(topic, records_of(2))
    transport, _ = kafka_log.member([topic], output_topics={alerts: {"compacted": True}})
    take(transport, 2)
    with pytest.raises(TransportError, match=f"record of 8 bytes to {alerts}"):
        transport.commit([Output(alerts, None, b"no key!!")], {TopicPartition(topic, 0): 2})
    assert transport.committed(TopicPartition(topic, 0)) is None


def test_a_broker_that_is_killed_and_comes_back_is_survived(own_broker, topic_prefix):
    with closing(KafkaLog(topic_prefix, own_broker.address)) as log:
        survive(own_broker, log)


def survive(broker, kafka_log):
    topic, scores = kafka_log.topic("in"), kafka_log.topic("scores")
    kafka_log.publish(topic, records_of(6), partitions=2)
    kafka_log.publish(scores, [])
    worker = Worker(kafka_log, topic, scores)
    while len(worker.pending) < 6:
        worker.work(commit=False)
    broker.kill()
    assert not worker.transport.poll(max_records=10, timeout_ms=300)
    restart = threading.Timer(0.5, broker.start)
    restart.start()
    until_it_is_up(worker.commit)
    restart.join()
    until_it_is_up(lambda: kafka_log.publish(topic, records_of(4, first=6)))
    reader = kafka_log.reader()
    done = set()

    def all_are_done():
        worker.work(commit=True)
        done.update(record.value for record in reader.read(scores, from_beginning=not done))
        return len(done) >= 10

    wait_until(lambda: until_it_is_up(all_are_done), "every output")
    assert done == {value for _, value in records_of(10)}


def until_it_is_up(act):
    """Try again as the worker does: how long a broker takes to come back is the machine's business."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return act()
        except TransportError as error:
            if not error.retriable or time.monotonic() > deadline_s:
                raise


def test_a_wrong_password_is_named_as_the_cause(needs_broker, tmp_path):
    secured = Broker(tmp_path, "--sasl")
    try:
        secured.start()
        parts = {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "username": "streamlstm",
            "ca_file": str(tmp_path / "ca.pem"),
        }
        good = KafkaSettings(secured.address, password="secret", **parts)
        assert check(good, topics=[])[0].is_good
        wrong = KafkaSettings(secured.address, password="wr0ng-one", connect_timeout_s=2.0, **parts)
        with pytest.raises(UnreachableError, match=r"'streamlstm'.* SCRAM-SHA-512: check user name") as caught:
            KafkaPublisher(wrong).publish("in", key=b"k", value=b"v")
        assert "wr0ng-one" not in str(caught.value) + repr(wrong)
        untrusting = KafkaSettings(
            secured.address,
            connect_timeout_s=1.0,
            password="secret",
            **{**parts, "ca_file": None},
        )
        assert "certificate is not trusted" in check(untrusting, topics=[])[0].detail
        plain = KafkaSettings(secured.address, connect_timeout_s=1.0)
        # The broker's alert may be lost to its hanging up; the protocol is named either way.
        assert re.search("security_protocol (is )?PLAINTEXT", check(plain, topics=[])[0].detail)
    finally:
        secured.kill()


def test_nobody_there_is_said_within_the_time_given_and_leaves_no_thread():
    before = set(threading.enumerate())
    (finding,) = check(KafkaSettings("127.0.0.1:1", connect_timeout_s=0.5), topics=["in"])
    assert not finding.is_good
    assert "cannot reach Kafka at 127.0.0.1:1: nothing listens there" in finding.detail
    assert set(threading.enumerate()) <= before


def test_check_tells_of_every_topic(kafka_log):
    topic = kafka_log.topic("in")
    kafka_log.publish(topic, [], partitions=3)
    findings = check(
        kafka_log.settings,
        topics=[topic, kafka_log.topic("*"), kafka_log.topic("missing"), kafka_log.topic("later*")],
        output_topics={topic: {}, kafka_log.topic("scores"): {"partitions": 2}},
    )
    assert [finding.is_good for finding in findings] == [True, True, True, False, True, True, True]
    assert findings[1].detail == f"{topic} (3 partitions)"
    assert "will be created" in findings[-1].detail


def test_settings_that_cannot_work_are_refused_before_connecting(tmp_path):
    with pytest.raises(TransportError, match="needs sasl_mechanism, username and password"):
        KafkaPublisher(KafkaSettings("127.0.0.1:1", "SASL_SSL")).publish("in", key=b"k", value=b"v")
    with pytest.raises(TransportError, match=r"ca_file .*no\.pem does not exist"):
        KafkaPublisher(KafkaSettings("127.0.0.1:1", "SSL", ca_file=str(tmp_path / "no.pem"))).ensure_topic("in")


def test_what_fails_while_it_opens_leaves_no_client_behind(kafka_log, monkeypatch):
    """The fixture of the folder holds that every client is closed."""
    with pytest.raises(TransportError, match=r"could not subscribe to not a name: .*illegal"):
        kafka_log.member(["not a name"])
    kafka_log.snapshots().save(TopicPartition("in", 0), Snapshot(1, b"state"))
    with monkeypatch.context() as broken:
        broken.setattr(f"{FOLDER}.snapshots._apply", fail)
        with pytest.raises(KeyboardInterrupt):
            kafka_log.snapshots().load(TopicPartition("in", 0))
    monkeypatch.setattr(f"{FOLDER}.transport.connect_producer", fail)
    with pytest.raises(KeyboardInterrupt):
        kafka_log.member([kafka_log.topic("in")])


def fail(*_):
    raise KeyboardInterrupt


def test_a_transport_that_could_not_open_opens_later(kafka_log, take, monkeypatch):
    topic = kafka_log.topic("in")
    kafka_log.publish(topic, records_of(1))
    with monkeypatch.context() as broken:
        broken.setattr(f"{FOLDER}.transport._pattern", fail)
        made = kafka_log.transport([kafka_log.topic("i*")])
        with pytest.raises(KeyboardInterrupt):
            made.open(None)
    member = Member(made)
    made.open(member)
    with pytest.raises(TransportError, match="already open"):
        made.open(member)
    take(made, 1)
    assert member.held == {TopicPartition(topic, 0)}
    made.close()
    with pytest.raises(TransportError, match=r"not open; call open\(\) first"):
        made.poll(max_records=1, timeout_ms=0)


def test_a_publisher_names_the_first_record_that_was_refused_and_forgets_it(kafka_log):
    topic = kafka_log.topic("alerts")
    create_missing_topics(kafka_log.settings, {topic: {"compacted": True}})
    publisher = kafka_log.publisher()
    publisher.publish(topic, key=b"k", value=b"1")
    publisher.flush()
    for value in (b"no", b"key"):
        publisher.publish(topic, key=None, value=value)
    with pytest.raises(TransportError, match=rf"publish a record of 2 bytes to {topic} \(2 records failed\)"):
        publisher.flush()
    publisher.flush()
    publisher.close()
    publisher.close()
    assert [record.value for record in kafka_log.reader().read(topic)] == [b"1"]
    another = kafka_log.publisher()
    another.publish(topic, key=None, value=b"no")
    with pytest.raises(TransportError, match=rf"publish a record of 2 bytes to {topic} "):
        another.close()
    another.close()


def test_chunks_that_a_longer_snapshot_left_are_removed(kafka_log, monkeypatch):
    """Compaction keeps the newest value of a key, so that what is never removed is never compacted away."""
    topic, long = kafka_log.topic("state"), bytes(2 * CHUNK_BYTES + 1)

    def save(store, payload):
        store.save(TopicPartition("in", 0), Snapshot(1, payload))

    def left():
        """Return generation and chunk of the keys that have a value."""
        values = {record.key.decode(): record.value for record in kafka_log.reader().read(topic)}
        return sorted(key.rpartition("/0/")[2] for key, value in values.items() if value is not None)

    store = kafka_log.snapshots()
    save(store, long)
    save(store, b"short")
    save(store, b"short")
    assert left() == ["a/0", "a/manifest", "b/0", "b/manifest"]
    save(store, b"")
    assert left() == ["a/0", "a/manifest", "b/manifest"]
    save(store, long)
    save(kafka_log.snapshots(), b"short")
    another = kafka_log.snapshots()
    save(another, b"short")
    assert left() == ["a/0", "a/manifest", "b/0", "b/manifest"]
    with monkeypatch.context() as broken:
        broken.setattr(
            another, "_send", lambda prefix, pairs: KafkaSnapshots._send(another, prefix, pairs[:-1]) or fail()
        )
        with pytest.raises(KeyboardInterrupt):
            save(another, long)
    assert len(left()) == 6
    save(another, b"short")
    assert left() == ["a/0", "a/manifest", "b/0", "b/manifest"]


def test_a_snapshot_that_the_broker_refuses_is_an_error(kafka_log):
    topic = kafka_log.topic("state")
    create_missing_topics(kafka_log.settings, {topic: {"compacted": True}}, {"max.message.bytes": "1000"})
    with pytest.raises(TransportError, match=f"could not save the snapshot of in-0 to {topic}: "):
        kafka_log.snapshots().save(TopicPartition("in", 0), Snapshot(1, bytes(5000)))
    assert kafka_log.snapshots().load(TopicPartition("in", 0)) is None


def test_the_topic_of_snapshots_is_compacted(kafka_log):
    kafka_log.snapshots().load(TopicPartition("in", 0))
    with closing(KafkaAdminClient(bootstrap_servers=kafka_log.settings.bootstrap_servers)) as admin:
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, kafka_log.topic("state"))])
    settings = found["topic"][kafka_log.topic("state")]
    assert settings["cleanup.policy"]["value"] == "compact"
    assert int(settings["segment.bytes"]["value"]) < 1 << 27, "the newest segment is never compacted"


def test_what_the_listener_raised_comes_before_what_the_client_made_of_it():
    def poll(**_):
        raise KafkaConnectionError("the join was given up")

    def raise_failure():
        raise ArithmeticError("the listener's")

    made = KafkaTransport(KafkaSettings("a:1"), group="g", topics=["in"])
    made._opened = SimpleNamespace(poll=poll), None, SimpleNamespace(raise_failure=raise_failure)
    with pytest.raises(ArithmeticError, match="the listener's"):
        made.poll(max_records=1, timeout_ms=0)
