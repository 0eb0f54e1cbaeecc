"""Reading a range of a Kafka cluster by time stamp: partitions assigned by hand, no group, nothing committed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition

from streamlstm.adapters.kafka_python.connection import REQUEST_TIMEOUT_MS, connect_consumer, errors
from streamlstm.adapters.kafka_python.settings import KafkaSettings
from streamlstm.adapters.kafka_python.topics import records_before
from streamlstm.adapters.time_range import is_within
from streamlstm.errors import StreamLstmError, TransportError
from streamlstm.types import Record

__all__ = ["KafkaHistory"]


class KafkaHistory:
    """Read ranges of topics, all partitions at a time. Every call connects on its own."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    def topics(self) -> Sequence[str]:
        """Return the names of the topics there are. Raises: UnreachableError."""
        consumer = connect_consumer(self._settings, group_id=None)
        try:
            with errors("list the topics"):
                return sorted(consumer.topics())
        finally:
            consumer.close()

    def read(self, topics: Sequence[str], *, begin_ms: int | None, end_ms: int | None) -> Iterator[Record]:
        """Yield the records between two time stamps, up to the end offsets at the time of the call (read committed).

        Raises: TransportError when a topic does not exist; UnreachableError when nothing comes for too long.
        """
        consumer = connect_consumer(
            self._settings,
            group_id=None,
            # Records that are deleted while they are waited for are gone; those after them are read.
            auto_offset_reset="earliest",
        )
        try:
            with errors(f"find the range to read in {', '.join(topics)}"):
                places = [place for topic in topics for place in self._places(consumer, topic)]
                oldest = consumer.beginning_offsets(places, timeout_ms=REQUEST_TIMEOUT_MS)
                ends = consumer.end_offsets(places, timeout_ms=REQUEST_TIMEOUT_MS)
                starts = oldest if begin_ms is None else _first_since(consumer, begin_ms, ends)
                consumer.assign(places)
                for place in places:
                    consumer.seek(place, max(starts[place], oldest[place]))
        except StreamLstmError:
            consumer.close()
            raise
        records = records_before(consumer, ends)
        return (record for record in records if is_within(record, begin_ms, end_ms))

    def close(self) -> None:
        """Release everything: each read closes its own connection at its end."""

    def _places(self, consumer: KafkaConsumer, topic: str) -> list[KafkaPartition]:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise TransportError(f"there is no topic {topic!r} at {self._settings.bootstrap_servers}")
        return [KafkaPartition(topic, number) for number in sorted(numbers)]


def _first_since(consumer: KafkaConsumer, time_ms: int, ends: dict[KafkaPartition, int]) -> dict[KafkaPartition, int]:
    """Return by partition the offset of the first record at `time_ms` or later; its end when there is none."""
    found = consumer.offsets_for_times(dict.fromkeys(ends, max(time_ms, 0)), timeout_ms=REQUEST_TIMEOUT_MS)
    return {
        place: end if found.get(place) is None else min(int(found[place].offset), end) for place, end in ends.items()
    }
