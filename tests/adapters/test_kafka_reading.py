"""Reading ranges of Kafka, on a consumer in memory: where a range begins and ends, and that its consumer is closed."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
from kafka import TopicPartition as KafkaPartition

from streamlstm.adapters.kafka_python import KafkaHistory, KafkaReader, KafkaSettings, reading
from streamlstm.errors import TransportError, UnreachableError
from streamlstm.types import Record

SETTINGS = KafkaSettings("a:1")
OLDEST = 2


class Consumer:
    """Two partitions of `in`: every third record is never delivered, two come with a poll, and one too many is there.

    The oldest record has the time stamp 0, each one after it ten more.
    """

    def __init__(self):
        self.ends = {0: 9, 1: 5}
        self.positions, self.paused, self.polls, self.is_closed, self.is_stuck = {}, set(), 0, False, False

    def topics(self):
        return {"in", "a"}

    def partitions_for_topic(self, topic):
        return {1, 0} if topic == "in" else None

    def end_offsets(self, partitions, timeout_ms):
        return {partition: self.ends[partition.partition] for partition in partitions}

    def beginning_offsets(self, partitions, timeout_ms):
        return dict.fromkeys(partitions, OLDEST)

    def offsets_for_times(self, times, timeout_ms):
        found = {}
        for partition, time_ms in times.items():
            assert time_ms >= 0, "a broker takes what is negative for something else"
            offset = OLDEST - (-time_ms // 10)
            is_there = offset < self.ends[partition.partition] + 1
            found[partition] = SimpleNamespace(offset=offset) if is_there else None
        return found

    def assign(self, partitions):
        self.positions = dict.fromkeys(partitions)

    def seek(self, partition, offset):
        assert partition in self.positions, "only what is assigned has a position"
        self.positions[partition] = offset

    def position(self, partition, timeout_ms):
        return self.positions[partition]

    def pause(self, *partitions):
        self.paused.update(partitions)

    def poll(self, timeout_ms, max_records):
        self.polls += 1
        if self.is_stuck:
            return {}
        batches = {}
        for partition, position in self.positions.items():
            end = self.ends[partition.partition] + 1  # one more than when the call was made
            if partition in self.paused:
                continue
            offsets = range(position, min(position + 2, end))
            self.positions[partition] = max(offsets.stop, position)
            batches[partition] = [record(partition.partition, offset) for offset in offsets if offset % 3]
        return {partition: records for partition, records in batches.items() if records}

    def close(self):
        assert not self.is_closed
        self.is_closed = True


def record(number, offset):
    return SimpleNamespace(
        topic="in",
        partition=number,
        offset=offset,
        key=b"k",
        value=b"v",
        timestamp=10 * (offset - OLDEST),
        headers=None,
    )


@pytest.fixture
def consumers(monkeypatch):
    made = []

    def connect(settings, *, group_id, auto_offset_reset):
        assert (group_id, auto_offset_reset) == (None, "earliest")
        made.append(Consumer())
        return made[-1]

    monkeypatch.setattr(reading, "connect_consumer", connect)
    return made


def offsets(records):
    found = {0: [], 1: []}
    for one in records:
        found[one.partition].append(one.offset)
    return found


def test_a_topic_is_read_to_the_ends_of_the_call_and_then_only_what_is_new(consumers):
    reader = KafkaReader(SETTINGS)
    assert offsets(reader.read("in")) == {0: [2, 4, 5, 7, 8], 1: [2, 4]}
    assert offsets(reader.read("in", from_beginning=False)) == {0: [], 1: []}
    again = reader.read("in")
    assert next(again) == Record("in", 0, 2, b"k", b"v", 0, ())
    assert offsets(again) == {0: [4, 5, 7, 8], 1: [2, 4]}
    assert offsets(KafkaReader(SETTINGS).read("in", from_beginning=False)) == {0: [], 1: []}
    assert [consumer.is_closed for consumer in consumers] == [True] * 4
    assert consumers[1].polls == 0
    assert consumers[0].paused == set(consumers[0].positions), "what has been read is fetched no further"


@pytest.mark.parametrize("how", ["asked for", "begun", "begun and abandoned"])
def test_a_range_that_is_not_read_to_its_end_is_closed_with_its_reader(consumers, how):
    for reader in (KafkaReader(SETTINGS), KafkaHistory(SETTINGS)):
        limits = {"begin_ms": None, "end_ms": None} if isinstance(reader, KafkaHistory) else {}
        records = reader.read(["in"] if limits else "in", **limits)
        if how != "asked for":
            next(records)
        if how == "begun and abandoned":
            records.close()
            assert consumers[-1].is_closed
        reader.close()
        assert consumers[-1].is_closed


def test_a_topic_that_is_missing_is_named_and_the_consumer_closed(consumers):
    with pytest.raises(TransportError, match="there is no topic 'absent' at a:1"):
        KafkaHistory(SETTINGS).read(["in", "absent"], begin_ms=None, end_ms=None)
    assert consumers[0].is_closed


@pytest.mark.parametrize("failure", [KeyboardInterrupt, MemoryError])
def test_a_consumer_is_closed_when_finding_its_range_is_interrupted(consumers, monkeypatch, failure):
    def fail(*_, **__):
        raise failure

    monkeypatch.setattr(Consumer, "end_offsets", fail)
    monkeypatch.setattr(Consumer, "topics", fail)
    with pytest.raises(failure):
        KafkaReader(SETTINGS).read("in")
    with pytest.raises(failure):
        KafkaHistory(SETTINGS).topics()
    assert [consumer.is_closed for consumer in consumers] == [True, True]


def test_topics_are_listed_in_order(consumers):
    assert KafkaHistory(SETTINGS).topics() == ["a", "in"]
    assert consumers[0].is_closed


@pytest.mark.parametrize(
    ("begin_ms", "end_ms", "expected"),
    [
        (None, None, {0: [2, 4, 5, 7, 8], 1: [2, 4]}),
        (-50, None, {0: [2, 4, 5, 7, 8], 1: [2, 4]}),
        (0, 50, {0: [2, 4, 5], 1: [2, 4]}),
        (20, 50, {0: [4, 5], 1: [4]}),
        (21, 60, {0: [5, 7], 1: []}),
        (70, None, {0: [], 1: []}),
        (40, None, {0: [7, 8], 1: []}),  # the second partition has no such time
    ],
)
def test_a_range_of_time_is_cut_at_both_ends(consumers, begin_ms, end_ms, expected):
    assert offsets(KafkaHistory(SETTINGS).read(["in"], begin_ms=begin_ms, end_ms=end_ms)) == expected


def test_a_broker_that_is_silent_for_a_minute_is_an_error_that_says_where(consumers, monkeypatch):
    records = KafkaReader(SETTINGS).read("in")
    next(records)
    consumers[0].is_stuck = True
    clock = itertools.count(1000, 20)
    monkeypatch.setattr(reading, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with pytest.raises(
        UnreachableError, match=r"nothing came for 60 s, with in-0 at offset 4 of 9; is the broker up\?"
    ):
        list(records)
    assert 3 < consumers[0].polls < 8, "silence counts from the last progress on"
    assert consumers[0].is_closed


def test_several_partitions_are_given_once_each(consumers):
    history = KafkaHistory(SETTINGS)
    history.read(["in"], begin_ms=None, end_ms=None)
    assert list(consumers[0].positions) == [KafkaPartition("in", 0), KafkaPartition("in", 1)]
    history.close()
