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
    """Spans that are not learnt from, nor compared on."""

    alerts: bool = True
    """Those that this service has alerted on: from the alerts topic."""
    before_ms: Duration = duration("5m", key="before")
    """How much more before each alert."""
    after_ms: Duration = duration("5m", key="after")
    labels: FilePath | None = None
    """A CSV with the columns stream_id, start and end."""


class Retrain(Section):
    """The retraining job: which telemetry makes the next version of which model, and when that is better."""

    registry: FilePath
    """Folder of the published models; workers load REGISTRY/NAME/champion."""
    name: str = Field(pattern=NAME_PATTERN, max_length=100)
    match: Annotated[str, Field(min_length=1)] | None = None
    """Streams that are learnt from; by default those that `models` gives to REGISTRY/NAME/champion."""
    channels: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(default=None, min_length=1)
    """Of the first version; by default all that the telemetry names."""
    begin: Moment = Field(default="-7d", alias="from")
    """By the records' time stamps; a span counts back from `until`."""
    until: Moment = "now"
    max_rows: Count = 20_000_000
    """Most samples that are held in memory: 20 bytes each, and 4 a channel."""
    start: Literal["champion", "anew"] = "champion"
    """Train on from the champion's weights, or from none."""
    compare: Annotated[Share, Field(gt=0)] = 0.2
    """Share of the range, the latest, on which the old and the new model are compared, and which is not trained on."""
    margin: Share = 0.02
    """Share by which the new model's error must be lower."""
    leave_out: LeaveOut = LeaveOut()
    model: NetworkShape = NetworkShape()
    """Of a network that is trained anew; a champion that is trained on keeps its own."""
    training: TrainerSettings = TrainerSettings()
    keep: Count = 10
    """Versions that are kept, the newest; the champion and the previous one always are."""

    def range_ms(self, now_ms: int) -> tuple[int, int | None]:
        """Return where the range begins and ends, in ms since 1970; an end of None is that of the log.

        Raises: UsageError when it ends before it begins.
        """
        end_ms = _moment_ms(self.until, now_ms=now_ms)
        begin_ms = _moment_ms(self.begin, now_ms=end_ms)
        if begin_ms >= end_ms:
            raise UsageError(f"retrain.from: expected a time before {self.until} (retrain.until), got {self.begin}")
        return begin_ms, None if self.until == "now" else end_ms
