"""What a retraining came to: one line of JSON for whoever started it, `streamlstm.retrain/1`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

__all__ = ["Decision", "Exclusions", "FalseAlarms", "Losses", "Outcome", "decide", "written"]

_LAST_MS = 253_402_300_799_000
"""The last second of the year 9999: an alert that is open excludes all that lies behind it, and has no date."""


class Exclusions(msgspec.Struct, frozen=True):
    """What was not trained on: spans by what named them, the rows they covered, and rows of pieces too short."""

    alerts: int = 0
    labels: int = 0
    rows: int = 0
    short_rows: int = 0


class Losses(msgspec.Struct, frozen=True):
    """Mean squared errors of the forecast one sample ahead on the compared part, in units of one standardizer.

    `channels` holds (old, new) by channel. None: there was no such model, or nothing was observed.
    """

    old: float | None = None
    new: float | None = None
    channels: dict[str, tuple[float | None, float | None]] = {}
    values: int = 0


class FalseAlarms(msgspec.Struct, frozen=True):
    """Alerts a stream and day on the compared part, each model at its own threshold."""

    old: float | None = None
    new: float | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The summary. `old`, `new`: the champion before, and the version that was published; times are event times."""

    schema: str = "streamlstm.retrain/1"
    model: str
    published: bool
    why: str
    old: int | None
    new: int | None
    from_: str
    compared_from: str
    until: str
    streams: int
    records: int
    rows: int
    training_rows: int
    duplicates: int
    rejected: dict[str, int]
    left_out: Exclusions
    losses: Losses
    false_alarms_per_stream_day: FalseAlarms
    dry_run: bool
    seconds: float


class Decision(NamedTuple):
    """Whether the new model is published, and why."""

    is_published: bool
    why: str


def decide(old: float | None, new: float | None, *, margin: float, champion: str | None) -> Decision:
    """Say whether the new model is published, and why: its loss must be lower by the share `margin`.

    `champion` is the label of the model in use; None when there is none yet.
    """
    if new is None:
        return Decision(False, "nothing was observed on the compared part, so the new model cannot be judged")
    if champion is None:
        return Decision(True, f"there was no champion yet; loss {new:.4g} on the compared part")
    if old is None:
        return Decision(False, f"{champion} could not be measured on the compared part")
    if old == 0:
        return Decision(False, f"{champion} has no error on the compared part, and nothing is better")
    gain = 1 - new / old
    compared = f"loss {new:.4g} against {old:.4g} of {champion}: {abs(gain):.1%} {'lower' if gain >= 0 else 'higher'}"
    if gain >= margin:
        return Decision(True, f"{compared}, at least {margin:.1%} was required")
    return Decision(False, f"{compared}, and at least {margin:.1%} lower was required")


def written(time_ms: int) -> str:
    """Return an event time as RFC 3339 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(min(time_ms, _LAST_MS) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
