"""What a retraining reads of the log: the samples of the range, and the spans that must not be learnt as normal."""

from __future__ import annotations

import logging
import time
from fnmatch import fnmatchcase

from streamlstm.errors import DataError, TransportError
from streamlstm.jobs.retraining.exclusions import alerted_spans
from streamlstm.jobs.retraining.options import RetrainingOptions, SourceTopics
from streamlstm.jobs.retraining.outcome import written
from streamlstm.jobs.retraining.telemetry import Collector, TelemetryRange
from streamlstm.ports import HistoryReader
from streamlstm.recordings.labels import Span

__all__ = ["read_alerted_spans", "read_telemetry"]

_log = logging.getLogger(__name__)

_LOG_EVERY_S = 5.0


def read_telemetry(
    options: RetrainingOptions, reader: HistoryReader, *, channels: tuple[str, ...] | None
) -> TelemetryRange:
    """Read the samples of the range; `channels` None: all that are named there.

    Raises: TransportError when no topic is one of the sources'; DataError when there is no sample, or there are more
    than `max_rows`.
    """
    collector = Collector(channels=channels, is_wanted=options.is_wanted, max_rows=options.max_rows)
    logged_at = time.monotonic()
    for topics, source in _topics(options, reader):
        records = reader.read(topics, begin_ms=options.begin_ms, end_ms=options.end_ms)
        for count in collector.read(records, source.decoder):
            if time.monotonic() - logged_at >= _LOG_EVERY_S:
                logged_at = time.monotonic()
                _log.info("read %s records, %s samples", f"{count:,}", f"{collector.rows:,}")
    telemetry = collector.finish()
    if not telemetry.rows:
        until = "the end" if options.end_ms is None else written(options.end_ms)
        raise DataError(
            f"expected samples of {options.name}'s streams between {written(options.begin_ms)} and {until}, got none "
            f"in {telemetry.records:,} records; check retrain.from and retrain.match, and how long the topics keep "
            "their records"
        )
    return telemetry


def read_alerted_spans(options: RetrainingOptions, reader: HistoryReader) -> list[Span]:
    """Read the whole alerts topic: an alert that is open may have been written long before the range."""
    topic = options.alerts_topic
    if topic is None or topic not in reader.topics():
        return []
    return alerted_spans(reader.read([topic], begin_ms=None, end_ms=None), options.margins)


def _topics(options: RetrainingOptions, reader: HistoryReader) -> list[tuple[list[str], SourceTopics]]:
    """Return the topics that are there, each under the first source that it matches."""
    there = [topic for topic in reader.topics() if topic not in options.own_topics]
    found: list[tuple[list[str], SourceTopics]] = []
    taken: set[str] = set()
    for source in options.sources:
        topics = [t for t in there if t not in taken and any(fnmatchcase(t, p) for p in source.patterns)]
        taken.update(topics)
        if topics:
            found.append((topics, source))
    if not found:
        wanted = ", ".join(pattern for source in options.sources for pattern in source.patterns)
        raise TransportError(f"there is no topic that matches {wanted}; topics there: {', '.join(there) or 'none'}")
    return found
