"""The transport to Apache Kafka through kafka-python; nothing outside this folder imports `kafka`."""

from streamlstm.adapters.kafka_python.administration import OutputTopic, check
from streamlstm.adapters.kafka_python.history import KafkaHistory
from streamlstm.adapters.kafka_python.settings import KafkaSettings
from streamlstm.adapters.kafka_python.snapshots import KafkaSnapshots
from streamlstm.adapters.kafka_python.topics import KafkaPublisher, KafkaReader
from streamlstm.adapters.kafka_python.transport import KafkaTransport

__all__ = [
    "KafkaHistory",
    "KafkaPublisher",
    "KafkaReader",
    "KafkaSettings",
    "KafkaSnapshots",
    "KafkaTransport",
    "OutputTopic",
    "check",
]
