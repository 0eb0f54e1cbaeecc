"""Recorded telemetry published as records, in the order of its event time and at a chosen speed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm.ports import Publisher
from streamlstm.recordings.series import Series
from streamlstm.streaming.encoders import rfc3339

__all__ = ["publish_series"]


def publish_series(
    publisher: Publisher, topic: str, series: Sequence[Series], *, speed: float = 0.0, samples_per_record: int = 1
) -> Iterator[tuple[int, int]]:
    """Publish series merged by event time; yield (samples published, of) now and then.

    Units: speed in event seconds a second; 0 is as fast as possible.
    """
    publisher.ensure_topic(topic)
    frames = [frame for one in series for frame in _frames(one, samples_per_record)]
    frames.sort(key=lambda frame: frame[0])
    total = sum(len(one.values) for one in series)
    began, first_ms, done = time.monotonic(), frames[0][0] if frames else 0, 0
    for number, (due_ms, key, value, samples) in enumerate(frames):
        if speed > 0:
            wait_s = (due_ms - first_ms) / 1000 / speed - (time.monotonic() - began)
            if wait_s > 0:
                publisher.flush()
                time.sleep(wait_s)
        publisher.publish(topic, key=key, value=value)
        done += samples
        if number % 1000 == 999:
            publisher.flush()
            yield done, total
    publisher.flush()
    yield done, total


def _frames(series: Series, samples_per_record: int) -> Iterator[tuple[int, bytes, bytes, int]]:
    """Yield (time of the last sample, key, record, samples): single samples, or packed frames."""
    encode = msgspec.json.Encoder().encode
    key, channels = series.stream_id.encode(), series.channels
    times = rfc3339(series.event_time_ms)
    due = series.event_time_ms.tolist()
    values = _with_nulls(series.values)
    for begin in range(0, len(times), samples_per_record):
        end = min(begin + samples_per_record, len(times))
        record: dict[str, object]
        if samples_per_record == 1:
            row = dict(zip(channels, values[begin], strict=True))
            record = {"stream_id": series.stream_id, "ts": times[begin], "values": row}
        else:
            columns = {name: [row[c] for row in values[begin:end]] for c, name in enumerate(channels)}
            record = {"stream_id": series.stream_id, "ts": times[begin:end], "values": columns}
        yield due[end - 1], key, encode(record), end - begin


def _with_nulls(values: NDArray[np.float32]) -> list[list[float | None]]:
    """Return rows with NaN as None, and each number as short as float32 allows (0.1, not 0.10000000149)."""
    shortest = np.array([float(str(v)) for v in values.ravel()]).reshape(values.shape)
    return [[None if v != v else v for v in row] for row in shortest.tolist()]
