"""The local log: topics, records, group offsets and snapshots in one SQLite file; the transport without a broker."""

from streamlstm.adapters.local_log.history import LocalHistory
from streamlstm.adapters.local_log.snapshots import LocalSnapshots
from streamlstm.adapters.local_log.topics import LocalPublisher, LocalReader
from streamlstm.adapters.local_log.transport import LocalTransport, check

__all__ = ["LocalHistory", "LocalPublisher", "LocalReader", "LocalSnapshots", "LocalTransport", "check"]
