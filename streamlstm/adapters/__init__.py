"""The outside: logs (Kafka, one local file), snapshot stores. Each satisfies `streamlstm.ports`."""
