"""What only the local log promises: one file, many processes, all or nothing through a SIGKILL."""

from __future__ import annotations

import errno
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from adapters.conftest import is_open
from waiting import PATIENCE_S

from streamlstm.adapters.local_log import LocalPublisher, LocalReader, LocalTransport, check, topics
from streamlstm.adapters.local_log import transport as module
from streamlstm.adapters.local_log.database import Database, Retention
from streamlstm.errors import FencedError, TransportError
from streamlstm.ports import Snapshot
from streamlstm.types import Output, Record, TopicPartition

ROOT = Path(__file__).parents[2]

COMMIT_FOREVER = """
import sys
from streamlstm.adapters.local_log import LocalTransport
from streamlstm.ports import Snapshot
from streamlstm.types import Output, Record, TopicPartition
class Member:
    def on_assigned(self, partitions): pass
    def on_revoked(self, partitions): pass
    def on_lost(self, partitions): pass
transport = LocalTransport(sys.argv[1], group="g", topics=["in"])
transport.open(Member())
at = transport.committed(TopicPartition("in", 0)) or 0
print("ready", flush=True)
while True:
    at += 1
    transport.commit([Output("out", b"k", b"%d.%d" % (at, n)) for n in range(7)], {TopicPartition("in", 0): at})
"""

PUBLISH = """
import sys
from streamlstm.adapters.local_log import LocalPublisher
publisher = LocalPublisher(sys.argv[1])
publisher.ensure_topic("in", partitions=2)
for n in range(500):
    publisher.publish("in", key=b"bed%d" % (n % 3), value=f"{sys.argv[2]}:{n}".encode())
    if n % 50 == 0:
        publisher.flush()
publisher.close()
"""


def python(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def read(path: Path, topic: str) -> list[Record]:
    """Return every record of a topic."""
    with closing(LocalReader(path)) as reader:
        return list(reader.read(topic))


def test_a_process_killed_while_committing_leaves_whole_commits(tmp_path):
    path, randomness = tmp_path / "log.db", random.Random(3)
    for _ in range(4):
        worker = python(COMMIT_FOREVER, path)
        assert worker.stdout.readline() == "ready\n"
        time.sleep(0.05 + 0.1 * randomness.random())
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
    database = Database(path)
    committed = database.committed("g", TopicPartition("in", 0))
    database.close()
    assert committed > 20
    expected = [b"%d.%d" % (at, n) for at in range(1, committed + 1) for n in range(7)]
    assert [record.value for record in read(path, "out")] == expected


def test_a_commit_that_fails_at_its_last_step_takes_its_outputs_back(local_log):
    transport, _ = local_log.member(["in"])
    partition = TopicPartition("in", 0)
    transport.commit([Output("out", b"k", b"kept")], {partition: 1})
    with pytest.raises(TransportError, match=r"could not commit offsets of group .*/g' with output to out: NOT NULL"):
        transport.commit([Output("out", b"k", b"lost")], {partition: None})
    assert [record.value for record in local_log.reader().read("out")] == [b"kept"]
    assert transport.committed(partition) == 1


def test_many_processes_publish_while_one_worker_reads(local_log, take):
    processes = [python(PUBLISH, local_log.path, number) for number in range(3)]
    transport, _ = local_log.member(["in"])
    taken = take(transport, 1500, max_records=97)
    for process in processes:
        assert process.wait(timeout=PATIENCE_S) == 0
        process.stdout.close()
    for records in taken.values():
        assert [record.offset for record in records] == list(range(len(records)))
    values = [record.value.decode().split(":") for records in taken.values() for record in records]
    for number in range(3):
        assert sorted(int(n) for name, n in values if name == str(number)) == list(range(500))


def test_a_second_worker_is_refused_by_the_pid_of_the_first(local_log):
    lock = Path(f"{local_log.path}.{local_log.prefix}%2Fg.lock")
    lock.write_text("4294967296\n")  # a longer one, of a worker that is gone
    transport, _ = local_log.member(["in"])
    with pytest.raises(FencedError, match=f"already run by process {os.getpid()};"):
        local_log.member(["in"])
    local_log.member(["in"], group="another")
    transport.close()
    assert not is_open(lock)
    local_log.member(["in"])


def test_a_link_to_the_file_leads_to_the_same_lock(local_log, tmp_path):
    local_log.member(["in"])
    link = tmp_path / "another-folder" / "link.db"
    link.parent.mkdir()
    link.symlink_to(local_log.path)
    transport = LocalTransport(link, group=f"{local_log.prefix}/g", topics=["in"])
    with pytest.raises(FencedError, match="already run by process"):
        transport.open(None)


def test_a_second_worker_that_found_the_lock_removed_is_fenced_with_its_outputs(local_log, take):
    local_log.publish("in", [(b"k", b"%d" % n) for n in range(20)])
    first, _ = local_log.member(["in"])
    Path(f"{local_log.path}.{local_log.prefix}%2Fg.lock").unlink()
    second, _ = local_log.member(["in"])
    partition = TopicPartition("in", 0)
    for transport in (first, second):
        assert len(take(transport, 20)[partition]) == 20
    first.commit([Output("out", b"k", b"of the first")], {partition: 20})
    with pytest.raises(FencedError, match="another worker of this group has gone on"):
        second.commit([Output("out", b"k", b"of the second")], {partition: 20})
    assert [record.value for record in local_log.reader().read("out")] == [b"of the first"]
    assert second.committed(partition) == 20
    second.commit([], {partition: 20})  # it has read the offset again, as a worker does that starts anew


def test_a_new_topic_is_read_as_soon_as_it_is_there(local_log, take):
    transport, member = local_log.member(["tele*"])
    assert not transport.poll(max_records=5, timeout_ms=0)
    local_log.publish("telemetry", [(b"k", b"v")])
    take(transport, 1)
    assert member.held == {TopicPartition("telemetry", 0)}


def test_max_records_is_shared_by_the_partitions(local_log):
    for topic in ("a", "b", "c"):
        local_log.publish(topic, [(b"k", b"%d" % n) for n in range(50)])
    transport, _ = local_log.member(["*"])
    batches = transport.poll(max_records=10, timeout_ms=0)
    assert sorted(map(len, batches.values())) == [3, 3, 4]


def test_retention_by_number_and_by_age(tmp_path):
    path = tmp_path / "log.db"
    now_ms = int(time.time() * 1000)
    publisher = LocalPublisher(path, retention=Retention(max_records=8, max_age_s=60))
    for n in range(20):
        publisher.publish("in", key=b"k", value=b"%d" % n, timestamp_ms=now_ms - (0 if n > 14 else 61_000))
    publisher.close()
    assert [record.value for record in read(path, "in")] == [b"15", b"16", b"17", b"18", b"19"]
    publisher = LocalPublisher(path, retention=Retention(max_records=3))
    publisher.publish("in", key=b"k", value=b"20")
    publisher.close()
    assert [record.offset for record in read(path, "in")] == [18, 19, 20]


def test_a_worker_keeps_its_file_bounded(local_log, take):
    local_log.publish("in", [(b"k", b"%d" % n) for n in range(30)])
    transport, _ = local_log.member(["in"], retention=Retention(max_records=10))
    take(transport, 10)
    assert transport.bounds(TopicPartition("in", 0)) == (20, 30)


def test_foreign_files_and_other_versions_are_refused_with_a_sentence(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a database " * 100)
    with pytest.raises(TransportError, match=r"notes\.txt: expected a local log of streamlstm, got a file of another"):
        LocalReader(text).read("in")
    foreign = tmp_path / "other.db"
    with closing(sqlite3.connect(foreign)) as connection, connection:
        connection.execute("CREATE TABLE mine (x)")
    with pytest.raises(TransportError, match=r"other\.db: expected a local log of streamlstm, got another SQLite"):
        LocalReader(foreign).read("in")
    newer = tmp_path / "newer.db"
    with closing(LocalPublisher(newer)) as publisher:
        publisher.ensure_topic("in")
    with closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(TransportError, match=r"expected local log format 1, got 9"):
        LocalTransport(newer, group="g", topics=["in"]).open(None)


def test_check_tells_of_file_and_topics(tmp_path):
    missing = check(tmp_path / "log.db", topics=["in"])
    assert [finding.is_good for finding in missing] == [True]
    assert not (tmp_path / "log.db").exists()
    assert not check(tmp_path / "no" / "log.db", topics=["in"])[0].is_good
    with closing(LocalPublisher(tmp_path / "log.db")) as publisher:
        publisher.ensure_topic("in", partitions=3)
    findings = check(tmp_path / "log.db", topics=["in", "tele*"], output_topics=["out", "in"])
    assert all(finding.is_good for finding in findings)
    assert [(finding.subject, finding.detail.split(";")[0]) for finding in findings[1:]] == [
        ("input in", "in (3 partitions)"),
        ("input tele*", "no topic yet"),
        ("output out", "will be created"),
        ("output in", "exists"),
    ]


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_partitions_take_turns_when_there_is_not_enough_for_all(local_log, names):
    for topic in names:
        local_log.publish(topic, [(b"k", b"%d" % n) for n in range(6)])
    transport, _ = local_log.member(["*"])
    read = [tuple(transport.poll(max_records=1, timeout_ms=0)) for _ in range(6)]
    assert sorted(partition.topic for (partition,) in read[: len(names)]) == list(names)
    assert read[len(names) :] == read[: -len(names)]


def test_what_has_been_read_to_its_end_has_no_share(local_log):
    for topic in ("a", "b", "c"):
        local_log.publish(topic, [(b"k", b"v")] * (20 if topic == "b" else 0))
    transport, _ = local_log.member(["*"])
    assert [len(records) for records in transport.poll(max_records=10, timeout_ms=0).values()] == [10]


def test_a_poll_returns_at_once_with_records_and_waits_without(local_log):
    local_log.publish("in", [(b"k", b"v")])
    transport, _ = local_log.member(["in"])
    assert transport.poll(max_records=1, timeout_ms=10**9)
    began_s = time.monotonic()
    assert not transport.poll(max_records=1, timeout_ms=60)
    assert time.monotonic() - began_s >= 0.06


def test_a_transport_that_cannot_open_leaves_file_and_group_free(local_log, tmp_path):
    refused = LocalTransport(local_log.path, group=f"{local_log.prefix}/g", topics=["in"], output_topics=[""])
    with pytest.raises(TransportError, match="expected a topic name") as caught:
        refused.open(None)
    assert not is_open(local_log.path), caught.value
    local_log.member(["in"])
    missing = LocalTransport(tmp_path / "no" / "log.db", group="g", topics=["in"])
    with pytest.raises(TransportError, match=r"cannot create .*g\.lock: No such file"):
        missing.open(None)


def test_a_lock_that_cannot_be_written_is_given_back(local_log, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", refuse)
        with pytest.raises(TransportError, match=r"cannot write .*g\.lock: No space left on device"):
            local_log.member(["in"])
    assert not is_open(f"{local_log.path}.{local_log.prefix}%2Fg.lock")
    local_log.member(["in"])


def test_output_topics_that_are_missing_are_created_with_one_partition(local_log):
    local_log.publish("alerts", [], partitions=3)
    local_log.member(["in"], output_topics=["scores", "alerts"])
    findings = check(local_log.path, topics=["scores", "alerts"])
    assert [finding.detail for finding in findings[1:]] == ["scores (1 partition)", "alerts (3 partitions)"]


def test_partitions_are_assigned_once_and_revoked_once(local_log):
    local_log.publish("a", [(b"k", b"v")])
    transport, member = local_log.member(["?"])
    for _ in range(3):
        transport.poll(max_records=9, timeout_ms=0)
    local_log.publish("b", [(b"k", b"v")])
    for _ in range(3):
        transport.poll(max_records=9, timeout_ms=0)
    transport.close()
    transport.close()
    assert not is_open(local_log.path)
    a, b = TopicPartition("a", 0), TopicPartition("b", 0)
    assert member.events == [("assigned", [a]), ("assigned", [b]), ("revoked", [a, b])]


def test_retention_is_applied_every_few_seconds_and_only_where_it_is_set(local_log, monkeypatch):
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now_s, sleep=time.sleep))
    partition, oldest = TopicPartition("in", 0), []
    transport, _ = local_log.member(["in"], retention=Retention(max_records=2))
    for clock.now_s in (100.0, 103.0, 104.9, 105.1, 110.2):
        local_log.publish("in", [(b"k", b"v")] * 3)
        transport.poll(max_records=9, timeout_ms=0)
        oldest.append(transport.bounds(partition)[0])
    assert oldest == [1, 1, 1, 10, 13]
    unbounded, _ = local_log.member(["in"], group="unbounded")
    unbounded.poll(max_records=9, timeout_ms=0)
    assert unbounded.bounds(partition)[0] == 13


def test_a_buffer_that_is_full_is_written_and_one_that_could_not_be_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(topics, "_BUFFER_RECORDS", 3)
    path = tmp_path / "log.db"
    publisher = LocalPublisher(path)
    for n in range(4):
        publisher.publish("in", key=b"k", value=b"%d" % n)
    assert [record.value for record in read(path, "in")] == [b"0", b"1", b"2"]
    publisher.publish("", key=b"k", value=b"no topic")
    with pytest.raises(TransportError):
        publisher.flush()
    with pytest.raises(TransportError):
        publisher.close()
    assert len(read(path, "in")) == 3


def test_what_is_closed_lets_go_of_the_file_and_opens_it_again_when_it_is_needed(local_log):
    publisher, reader, history, snapshots = (
        local_log.publisher(),
        local_log.reader(),
        local_log.history(),
        local_log.snapshots(),
    )
    for n in range(2):
        publisher.publish("in", key=b"k", value=b"%d" % n)
        publisher.close()
        assert not is_open(local_log.path)
        for read_all in (lambda: reader.read("in"), lambda: history.read(["in"], begin_ms=None, end_ms=None)):
            assert [record.value for record in read_all()] == [b"%d" % m for m in range(n + 1)]
        snapshots.save(TopicPartition("in", 0), Snapshot(n, b"state"))
        for made in (reader, history, snapshots):
            assert is_open(local_log.path)
            made.close()
            made.close()
        assert not is_open(local_log.path)


def test_long_topics_are_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(topics, "_READ_RECORDS", 2)
    path = tmp_path / "log.db"
    with closing(LocalPublisher(path)) as publisher:
        publisher.ensure_topic("in", partitions=2)
        for n in range(11):
            publisher.publish("in", key=b"%d" % n, value=b"%d" % n)
    with closing(LocalReader(path)) as reader:
        records = list(reader.read("in"))
        assert [(r.partition, r.offset) for r in records] == sorted((r.partition, r.offset) for r in records)
        assert sorted(int(record.value) for record in records) == list(range(11))
        with pytest.raises(TransportError, match=r"there is no topic 'out'; topics there: in$"):
            reader.read("out")
