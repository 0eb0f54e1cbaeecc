"""The two transports behind one face, so that one set of laws runs against both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from kafka.net.selector import NetworkSelector
from waiting import PATIENCE_S

from streamlstm.adapters.kafka_python import (
    KafkaHistory,
    KafkaPublisher,
    KafkaReader,
    KafkaSettings,
    KafkaSnapshots,
    KafkaTransport,
    connection,
)
from streamlstm.adapters.local_log import LocalHistory, LocalPublisher, LocalReader, LocalSnapshots, LocalTransport
from streamlstm.adapters.local_log.database import Database, Retention
from streamlstm.ports import HistoryReader, Publisher, SnapshotStore, TopicReader, Transport
from streamlstm.types import Record, TopicPartition

Start = Literal["earliest", "latest"]


class Member:
    """A listener that records what it is told, and may act on it."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.events: list[tuple[str, list[TopicPartition]]] = []
        self.held: set[TopicPartition] = set()
        self.when_assigned: Callable[[Sequence[TopicPartition]], None] = lambda partitions: None
        self.when_revoked: Callable[[Sequence[TopicPartition]], None] = lambda partitions: None

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("assigned", list(partitions)))
        self.held |= set(partitions)
        self.when_assigned(partitions)

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("revoked", list(partitions)))
        self.when_revoked(partitions)
        self.held -= set(partitions)

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("lost", list(partitions)))
        self.held -= set(partitions)


class Log:
    """One transport's constructors, and the few things a test does behind the ports' back."""

    name: str

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._open: list[Any] = []

    def topic(self, name: str) -> str:
        return f"{self.prefix}.{name}"

    def transport(
        self, topics: Sequence[str], *, group: str = "g", start: Start = "earliest", **more: Any
    ) -> Transport:
        raise NotImplementedError

    def publisher(self) -> Publisher:
        raise NotImplementedError

    def reader(self) -> TopicReader:
        raise NotImplementedError

    def history(self) -> HistoryReader:
        raise NotImplementedError

    def snapshots(self, group: str = "g") -> SnapshotStore:
        raise NotImplementedError

    def drop_records_before(self, partition: TopicPartition, offset: int) -> None:
        raise NotImplementedError

    def put_snapshot_pairs(self, pairs: Mapping[str, bytes]) -> None:
        raise NotImplementedError

    def member(self, topics: Sequence[str], **more: Any) -> tuple[Transport, Member]:
        transport = self.transport(topics, **more)
        member = Member(transport)
        transport.open(member)
        return transport, member

    def publish(self, topic: str, records: Sequence[tuple[bytes, bytes | None]], *, partitions: int = 1) -> None:
        publisher = self.publisher()
        publisher.ensure_topic(topic, partitions=partitions)
        for key, value in records:
            publisher.publish(topic, key=key, value=value)
        publisher.close()

    def keep(self, made: Any) -> Any:
        """Close it after the test, whatever happens."""
        self._open.append(made)
        return made

    def close(self) -> None:
        for made in reversed(self._open):
            made.close()


class LocalLog(Log):
    name = "local"

    def __init__(self, prefix: str, path: Path) -> None:
        super().__init__(prefix)
        self.path = path

    def transport(
        self, topics: Sequence[str], *, group: str = "g", start: Start = "earliest", **more: Any
    ) -> Transport:
        made = LocalTransport(self.path, group=f"{self.prefix}/{group}", topics=topics, start=start, **more)
        return self.keep(made)  # type: ignore[no-any-return]

    def publisher(self) -> Publisher:
        return self.keep(LocalPublisher(self.path))  # type: ignore[no-any-return]

    def reader(self) -> TopicReader:
        return self.keep(LocalReader(self.path))  # type: ignore[no-any-return]

    def history(self) -> HistoryReader:
        return self.keep(LocalHistory(self.path))  # type: ignore[no-any-return]

    def snapshots(self, group: str = "g") -> SnapshotStore:
        return self.keep(LocalSnapshots(self.path, group=f"{self.prefix}/{group}"))  # type: ignore[no-any-return]

    def drop_records_before(self, partition: TopicPartition, offset: int) -> None:
        database = Database(self.path)
        end = database.partition(partition).end
        with database.transaction("drop"):
            database.trim(partition.topic, Retention(max_records=end - offset))
        database.close()

    def put_snapshot_pairs(self, pairs: Mapping[str, bytes]) -> None:
        database = Database(self.path)
        with database.transaction("put"):
            for key, value in pairs.items():
                database._connection.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?)", (key, value))
        database.close()


class KafkaLog(Log):
    name = "kafka"

    def __init__(self, prefix: str, address: str) -> None:
        super().__init__(prefix)
        self.settings = KafkaSettings(address)

    def transport(
        self, topics: Sequence[str], *, group: str = "g", start: Start = "earliest", **more: Any
    ) -> Transport:
        made = KafkaTransport(self.settings, group=f"{self.prefix}/{group}", topics=topics, start=start, **more)
        return self.keep(made)  # type: ignore[no-any-return]

    def publisher(self) -> Publisher:
        return self.keep(KafkaPublisher(self.settings))  # type: ignore[no-any-return]

    def reader(self) -> TopicReader:
        return self.keep(KafkaReader(self.settings))  # type: ignore[no-any-return]

    def history(self) -> HistoryReader:
        return self.keep(KafkaHistory(self.settings))  # type: ignore[no-any-return]

    def snapshots(self, group: str = "g") -> SnapshotStore:
        made = KafkaSnapshots(self.settings, topic=self.topic("state"), group=f"{self.prefix}/{group}")
        return self.keep(made)  # type: ignore[no-any-return]

    def drop_records_before(self, partition: TopicPartition, offset: int) -> None:
        kafka = pytest.importorskip("kafka")
        admin = kafka.KafkaAdminClient(bootstrap_servers=self.settings.bootstrap_servers)
        admin.delete_records({kafka.TopicPartition(*partition): offset})
        admin.close()

    def put_snapshot_pairs(self, pairs: Mapping[str, bytes]) -> None:
        publisher = self.publisher()
        for key, value in pairs.items():
            publisher.publish(self.topic("state"), key=key.encode(), value=value)
        publisher.flush()


def is_open(path: str | Path) -> bool:
    """Say whether this process holds the file open."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return Path(path) in [link.readlink() for link in links if link.is_symlink()]


@pytest.fixture(autouse=True)
def clients_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hold the product to closing every client of Kafka that it makes, and tests to closing what they open."""
    made: list[NetworkSelector] = []

    class Recorded(NetworkSelector):  # type: ignore[misc]  # kafka-python has no types
        """What holds a client's sockets and its thread."""

        def __init__(self, **configs: Any) -> None:
            super().__init__(**configs)
            made.append(self)

    monkeypatch.setattr(connection, "NetworkSelector", Recorded)
    yield
    assert all(one._closed for one in made), "a client was left open"


@pytest.fixture(params=["local", "kafka"])
def log(request: pytest.FixtureRequest, tmp_path: Path, topic_prefix: str) -> Iterator[Log]:
    """A fresh log: a file of its own, or names of its own on the session's broker."""
    made: Log
    if request.param == "local":
        made = LocalLog(topic_prefix, tmp_path / "log.db")
    else:
        made = KafkaLog(topic_prefix, request.getfixturevalue("kafka_broker"))
    yield made
    made.close()


@pytest.fixture
def kafka_log(kafka_broker: str, topic_prefix: str) -> Iterator[KafkaLog]:
    """Names of its own on the session's broker."""
    made = KafkaLog(topic_prefix, kafka_broker)
    yield made
    made.close()


@pytest.fixture
def local_log(tmp_path: Path, topic_prefix: str) -> Iterator[LocalLog]:
    """A fresh local log."""
    made = LocalLog(topic_prefix, tmp_path / "log.db")
    yield made
    made.close()


@pytest.fixture
def take() -> Callable[..., dict[TopicPartition, list[Record]]]:
    """Poll until so many records have come, and return them by partition."""

    def poll(transport: Transport, count: int, *, max_records: int = 5000) -> dict[TopicPartition, list[Record]]:
        taken: dict[TopicPartition, list[Record]] = {}
        deadline_s = time.monotonic() + PATIENCE_S
        while sum(map(len, taken.values())) < count:
            assert time.monotonic() < deadline_s, f"expected {count} records, got {taken}"
            batches = transport.poll(max_records=max_records, timeout_ms=200)
            assert sum(map(len, batches.values())) <= max_records
            for partition, records in batches.items():
                taken.setdefault(partition, []).extend(records)
        return taken

    return poll
