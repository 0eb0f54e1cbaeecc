"""The section `retrain`: what `streamlstm retrain` reads, trains and publishes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, WithJsonSchema

from streamlstm.config.section import Section
from streamlstm.config.trainer import NetworkShape, TrainerSettings
from streamlstm.config.values import NAME_PATTERN, Count, Duration, FilePath, Share, duration
from streamlstm.config.values import milliseconds as duration_ms
from streamlstm.errors import UsageError

__all__ = ["LeaveOut", "Retrain"]

_BACK = re.compile(r"-\s*(?P<span>\S.*)")


def _moment(value: str) -> str:
    _moment_ms(value, now_ms=0)
    return value


def _moment_ms(value: str, *, now_ms: int) -> int:
    """Return a time in ms since 1970; `-7d` counts back from `now_ms`."""
    if value == "now":
        return now_ms
    try:
        if match := _BACK.fullmatch(value):
            return now_ms - duration_ms(match["span"])
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("expected a time such as 2026-11-21T01:20:30Z, a span back such as -7d, or now")
    return round(moment.astimezone(UTC).timestamp() * 1000)


Moment: TypeAlias = Annotated[
    str,
    AfterValidator(_moment),
    WithJsonSchema({"type": "string", "examples": ["-7d", "2026-11-21T01:20:30Z", "now"]}, mode="validation"),
]


class LeaveOut(Section):
    """Spans that are excluded from training and from the comparison."""

    alerts: bool = True
    """Exclude what this service has alerted on, as its alerts topic says."""
    before_ms: Duration = duration("5m", key="before")
    """How much more to exclude before each alert."""
    after_ms: Duration = duration("5m", key="after")
    """How much more to exclude after each alert."""
    labels: FilePath | None = None
    """A CSV file of spans to exclude, with the columns stream_id, start and end."""


class Retrain(Section):
    """The retraining job: which telemetry makes the next version of which model, and when that is better."""

    registry: FilePath
    """The folder of published models; workers load REGISTRY/NAME/champion."""
    name: str = Field(pattern=NAME_PATTERN, max_length=100)
    match: Annotated[str, Field(min_length=1)] | None = None
    """Streams to learn from; by default those that `models` routes to REGISTRY/NAME/champion."""
    channels: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(default=None, min_length=1)
    """Channels of the first version; by default all that the telemetry names."""
    begin: Moment = Field(default="-7d", alias="from")
    """Where the range begins, by the records' time stamps; a span such as -7d counts back from `until`."""
    until: Moment = "now"
    max_rows: Count = 20_000_000
    """The most samples to hold in memory: 20 bytes each, and 4 for each channel."""
    start: Literal["champion", "anew"] = "champion"
    """Continue from the champion's weights, or start anew."""
    compare: Annotated[Share, Field(gt=0)] = 0.2
    """The latest share of the range: the old and the new model are compared on it, and neither is trained on it."""
    margin: Share = 0.02
    """The share by which the new model's error must be lower."""
    leave_out: LeaveOut = LeaveOut()
    model: NetworkShape = NetworkShape()
    """Sizes of a network that is trained anew; one that continues from the champion keeps the champion's."""
    training: TrainerSettings = TrainerSettings()
    keep: Count = 10
    """How many of the newest versions to keep; the champion and the previous one are always kept."""

    def range_ms(self, now_ms: int) -> tuple[int, int | None]:
        """Return where the range begins and ends, in ms since 1970; an end of None is that of the log.

        Raises: UsageError when it ends before it begins.
        """
        end_ms = _moment_ms(self.until, now_ms=now_ms)
        begin_ms = _moment_ms(self.begin, now_ms=end_ms)
        if begin_ms >= end_ms:
            raise UsageError(f"retrain.from: expected a time before {self.until} (retrain.until), got {self.begin}")
        return begin_ms, None if self.until == "now" else end_ms
