"""What the local log's file promises to those who write to it and read from it."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from contextlib import closing
from types import SimpleNamespace

import pytest
from adapters.conftest import is_open

from streamlstm.adapters.local_log import database as module
from streamlstm.adapters.local_log.database import Database, Retention, Row
from streamlstm.errors import FencedError, TransportError, UnreachableError
from streamlstm.types import TopicPartition

NOW_MS = 1_780_000_000_000


@pytest.fixture
def database(tmp_path):
    with closing(Database(tmp_path / "log.db")) as made:
        yield made


def append(database, *rows):
    with database.transaction("append"):
        database.append(rows)


def values(database, name, **limits):
    partition = database.partition(name)
    return [record.value for record in database.read(partition, **({"start": 0, "limit": 100} | limits))]


def test_partitions_lie_apart_and_are_read_within_their_bounds(database):
    with database.transaction("create"):
        database.create_topic("b", 2)
        database.create_topic("b", 7)
        database.create_topic("a", 1)
    names = [TopicPartition("a", 0), TopicPartition("b", 0), TopicPartition("b", 1)]
    assert [partition.name for partition in database.partitions()] == names
    append(database, *(Row("b", b"%d" % n, b"%d" % n) for n in range(8)), Row("a", b"k", b"only"))
    append(database, Row("b", None, b"without key"))
    assert database.partition(names[1]).end + database.partition(names[2]).end == 9
    assert values(database, names[1])[-1] == b"without key"
    assert values(database, names[0]) == [b"only"]
    both = values(database, names[1]) + values(database, names[2])
    assert sorted(both) == [*(b"%d" % n for n in range(8)), b"without key"]
    every = values(database, names[1])
    assert values(database, names[1], start=1, limit=2) == every[1:3]
    assert values(database, names[1], start=0, end=2) == every[:2]
    with pytest.raises(TransportError, match=r"topic 'b' has no partition 2"):
        database.partition(TopicPartition("b", 2))


def test_a_topic_that_is_missing_gets_one_partition_and_none_is_made_without_any(database):
    append(database, Row("new", b"k", b"v"))
    assert [partition.name for partition in database.partitions()] == [TopicPartition("new", 0)]
    for topic, count in (("", 1), ("in", 0)):
        with pytest.raises(TransportError, match="expected a topic name and at least one partition"):
            database.create_topic(topic, count)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, sqlite3.OperationalError])
def test_a_transaction_that_fails_leaves_nothing_and_the_next_one_succeeds(database, failure):
    with pytest.raises((KeyboardInterrupt, TransportError)), database.transaction("fail"):
        database.append([Row("in", b"k", b"lost")])
        raise failure
    append(database, Row("in", b"k", b"kept"))
    assert values(database, TopicPartition("in", 0)) == [b"kept"]


def test_a_connection_serves_another_thread_and_none_once_closed(database, tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(database.partitions()))
    thread.start()
    thread.join()
    assert found == [[]]
    assert is_open(database.path)
    database.close()
    assert not is_open(database.path)


def test_a_file_that_is_refused_is_not_held_open(tmp_path):
    path = tmp_path / "foreign.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE mine (x)")
    with pytest.raises(TransportError) as caught:
        Database(path)
    assert not is_open(path), caught.value  # which keeps what it has passed through


def test_commits_are_whole_and_in_order_through_a_crash(database):
    """What a process leaves when it is killed depends on these two settings of SQLite."""
    settings = [
        database._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    ]
    assert settings == ["wal", 1]


def test_a_lock_that_is_held_for_too_long_may_be_tried_again(database):
    database._connection.execute("PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnreachableError, match="could not append: another process has held the file") as caught:
            append(database, Row("in", b"k", b"v"))
        assert caught.value.retriable
        other.execute("ROLLBACK")
    append(database, Row("in", b"k", b"v"))


class _Refusing:
    """A connection on which the first statements fail."""

    def __init__(self, connection, codes):
        self.connection, self.codes = connection, codes

    def execute(self, statement):
        if self.codes:
            error = sqlite3.OperationalError("refused")
            error.sqlite_errorcode = self.codes.pop(0)
            raise error
        return self.connection.execute(statement)


def test_the_switch_to_wal_waits_for_other_openers_but_for_no_other_fault(database, monkeypatch):
    clock = itertools.count(step=5.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=lambda seconds: None, monotonic=lambda: next(clock)))
    connection = database._connection
    try:
        for codes, left in (
            ([sqlite3.SQLITE_BUSY] * 3, 0),
            ([sqlite3.SQLITE_BUSY] * 9, 5),
            ([sqlite3.SQLITE_FULL] * 2, 1),
        ):
            database._connection = _Refusing(connection, codes)
            if left:
                with pytest.raises(sqlite3.OperationalError):
                    database._set_wal()
            else:
                database._set_wal()
            assert len(codes) == left
    finally:
        database._connection = connection


def test_retention_keeps_what_is_within_both_limits(database, monkeypatch):
    monkeypatch.setattr(module, "time", SimpleNamespace(time_ns=lambda: NOW_MS * 1_000_000, monotonic=lambda: 0.0))
    times_s = (90, 61, 59, 61, 60.001, 60, 61, 0)  # ages; what is old but lies after something young is kept
    append(database, *(Row("in", b"k", b"%d" % n, NOW_MS - int(age * 1000)) for n, age in enumerate(times_s)))
    append(database, Row("other", b"k", b"old", NOW_MS - 3_600_000))

    def kept(**limits):
        with database.transaction("trim"):
            database.trim("in", Retention(**limits))
        partition = database.partition(TopicPartition("in", 0))
        found = [int(value) for value in values(database, partition.name)]
        assert found == list(range(partition.oldest, partition.end))
        return found

    assert kept() == list(range(8))
    assert kept(max_records=8, max_age_s=120) == list(range(8))
    assert kept(max_age_s=60) == list(range(2, 8))
    assert kept(max_records=5, max_age_s=60) == list(range(5, 8))
    assert kept(max_records=2) == [6, 7]
    assert kept(max_records=100) == [6, 7]
    append(database, Row("in", b"k", b"8"))  # without a time stamp: that of the clock
    assert database.read(database.partition(TopicPartition("in", 0)), start=8, limit=1)[0].timestamp_ms == NOW_MS
    monkeypatch.setattr(module.time, "time_ns", lambda: (NOW_MS + 60_001) * 1_000_000)
    assert kept(max_age_s=60) == []
    assert database.partition(TopicPartition("in", 0)).oldest == 9
    assert values(database, TopicPartition("other", 0)) == [b"old"]


def test_a_time_is_found_from_an_offset_on(database):
    append(database, *(Row("in", b"k", b"", NOW_MS + at) for at in (0, 5, 3, 8)))
    partition = database.partition(TopicPartition("in", 0))
    found = [database.first_since(partition, NOW_MS + at) for at in (-1, 0, 1, 5, 6, 8, 9)]
    assert found == [0, 0, 1, 1, 3, 3, 4]
    assert database.first_since(partition, NOW_MS + 1, start=2) == 2


def test_groups_have_offsets_of_their_own_and_all_are_listed(database):
    name, other = TopicPartition("in", 0), TopicPartition("in", 1)
    with database.transaction("commit"):
        for group, at, offset, after in (
            ("g", name, 3, None),
            ("h", name, 5, None),
            ("g", other, 7, None),
            ("g", name, 4, 3),
        ):
            database.commit_offset(group, at, offset, after=after)
    assert [database.committed(group, at) for group in "gh" for at in (name, other)] == [4, 7, 5, None]
    assert database.commits() == [("g", name, 4), ("g", other, 7), ("h", name, 5)]


@pytest.mark.parametrize("after", [None, 3, 5])
def test_who_has_not_seen_the_last_commit_is_fenced(database, after):
    name = TopicPartition("in", 0)
    with database.transaction("commit"):
        database.commit_offset("g", name, 4, after=None)
    with (
        pytest.raises(FencedError, match=f"in-0: expected group 'g' to have committed {after}, got 4"),
        database.transaction("commit"),
    ):
        database.append([Row("out", b"k", b"v")])
        database.commit_offset("g", name, 9, after=after)
    assert database.committed("g", name) == 4
    assert database.partitions("out") == []  # its outputs went with it


def test_a_file_of_two_names_is_refused(tmp_path):
    Database(tmp_path / "log.db").close()
    (tmp_path / "other.db").hardlink_to(tmp_path / "log.db")
    with pytest.raises(TransportError, match="expected a file with one name, got 2 hard links to it"):
        Database(tmp_path / "other.db")


def test_snapshot_pairs_are_replaced_by_prefix(database):
    def put(prefix, *pairs):
        with database.transaction("put"):
            database.replace_snapshot_pairs(prefix, pairs)

    put("g/in/1/", ("g/in/1/a/0", b"1"), ("g/in/1/a/1", b"2"))
    put("g/in/10/", ("g/in/10/a/0", b"3"))
    put("g/in/1/", ("g/in/1/a/0", b"4"))
    assert database.snapshot_pairs("g/in/1/") == {"g/in/1/a/0": b"4"}
    assert database.snapshot_pairs("g/in/10/") == {"g/in/10/a/0": b"3"}
