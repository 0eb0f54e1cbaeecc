"""`replay`: recorded telemetry published to the configured log, at a chosen speed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray

from streamlstm.cli.app import app
from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.console.progress import ProgressBar
from streamlstm.cli.run import SetOption
from streamlstm.config import load_config
from streamlstm.errors import UsageError
from streamlstm.ports import Publisher
from streamlstm.recordings.reading import Series, TimeUnit, read_series
from streamlstm.streaming.encoders import rfc3339
from streamlstm.wiring.transports import open_publisher

__all__ = ["publish_series", "replay"]

_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""What Kafka takes as the name of a topic."""


@app.command(epilog="Example: streamlstm replay ward.csv --to deploy/streamlstm.yaml --speed 60")
def replay(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A recording, a folder or a pattern (docs/data.md).")],
    to: Annotated[
        Path, typer.Option("--to", metavar="CONFIG", help="The configuration that names the log and the topic.")
    ],
    topic: Annotated[str | None, typer.Option(help="The topic; by default the first source's.")] = None,
    ts_unit: Annotated[TimeUnit, typer.Option(help="The unit of numeric time stamps.")] = "s",
    speed: Annotated[
        float, typer.Option(min=0, help="How many times as fast as real time; 0 is as fast as possible.")
    ] = 1.0,
    samples_per_record: Annotated[
        int, typer.Option(min=1, help="Samples in each record; more than one makes packed frames.")
    ] = 1,
    overrides: SetOption = None,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Publish recorded telemetry in the order of event time."""
    configure_logging(log_format)
    config = load_config(to, overrides or ())
    target = config.sources[0].topics[0] if topic is None else topic
    if not _TOPIC_NAME.fullmatch(target):
        whose = "the first source's pattern " if topic is None else ""
        raise UsageError(f"--topic: expected a name of letters, digits, '.', '_' and '-', got {whose}{target!r}")
    series = read_series(file, ts_unit=ts_unit)
    publisher = open_publisher(config)
    try:
        with ProgressBar("replay") as progress:
            for done, total in publish_series(
                publisher, target, series, speed=speed, samples_per_record=samples_per_record
            ):
                progress.update(done, total, f"to {target}")
    finally:
        publisher.close()


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
