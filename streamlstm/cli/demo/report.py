"""Alerts held against what was known to be wrong: which faults were found, after how long, how many false alarms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich import box
from rich.console import Console
from rich.table import Table

from streamlstm.streaming.encoders import AlertRecord

__all__ = ["Episode", "Outcome", "StreamOutcome", "Verdict", "judge", "print_outcome"]


@dataclass(frozen=True, slots=True)
class Episode:
    """One known fault. Units: ms of event time."""

    name: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class _Span:
    detected_ms: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """One episode: how long after its start an alert opened in it (None: none did), and whether one was open."""

    episode: Episode
    delay_s: float | None
    is_covered: bool


@dataclass(frozen=True, slots=True)
class StreamOutcome:
    """One stream: what became of each episode, and alerts that met none."""

    stream_id: str
    verdicts: tuple[Verdict, ...]
    false_alarms: int
    alerts: int
    days: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """All streams of one group."""

    name: str
    streams: tuple[StreamOutcome, ...]

    @property
    def false_alarms_per_stream_day(self) -> float:
        """False alarms over the time watched."""
        days = sum(stream.days for stream in self.streams)
        return sum(stream.false_alarms for stream in self.streams) / days if days > 0 else 0.0


def _spans_of(alerts: Iterable[AlertRecord], stream_id: str, *, end_ms: int) -> list[_Span]:
    """Reduce an alert's revisions to one span; an alert that is still open lasts to the end."""
    spans: dict[str, _Span] = {}
    for alert in alerts:
        if alert.stream_id == stream_id:
            end = _ms(alert.resolved_at) if alert.resolved_at else end_ms
            spans[alert.alert_id] = _Span(_ms(alert.detected_at), _ms(alert.started_at), end)
    return sorted(spans.values(), key=lambda span: span.detected_ms)


def judge(
    stream_id: str,
    alerts: Iterable[AlertRecord],
    episodes: Sequence[Episode],
    *,
    begin_ms: int,
    end_ms: int,
    tolerance_ms: int,
) -> StreamOutcome:
    """Hold one stream's alerts against its known episodes.

    An episode is found by an alert that opens inside [start, end + tolerance]; an alert that touches no episode is
    false.
    """
    spans = _spans_of(alerts, stream_id, end_ms=end_ms)
    verdicts = []
    for episode in episodes:
        last_ms = episode.end_ms + tolerance_ms
        opened = [s.detected_ms for s in spans if episode.start_ms <= s.detected_ms <= last_ms]
        covered = any(s.detected_ms <= last_ms and episode.start_ms <= s.end_ms for s in spans)
        delay_s = (opened[0] - episode.start_ms) / 1000 if opened else None
        verdicts.append(Verdict(episode, delay_s, covered))
    false = sum(
        1
        for span in spans
        if not any(e.start_ms <= span.end_ms and span.start_ms <= e.end_ms + tolerance_ms for e in episodes)
    )
    return StreamOutcome(stream_id, tuple(verdicts), false, len(spans), (end_ms - begin_ms) / 86_400_000)


def print_outcome(outcome: Outcome, console: Console, *, counts_only: bool = False) -> None:
    """Print a group's table, a row a fault (or only how many were found), then the false alarms."""
    if counts_only:
        console.print(f"[bold]{outcome.name}[/bold]")
        for stream in outcome.streams:
            covered = sum(verdict.is_covered for verdict in stream.verdicts)
            console.print(
                f"  {stream.stream_id}: {covered} of {len(stream.verdicts)} labelled beats or spans alerted on"
            )
    else:
        console.print(_table(outcome))
    false, days = sum(s.false_alarms for s in outcome.streams), sum(s.days for s in outcome.streams)
    rate = f"{outcome.false_alarms_per_stream_day:.1f} a stream-day"
    console.print(f"false alarms: {false} in {days:.2f} stream-days ({rate})\n")


def _table(outcome: Outcome) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=outcome.name, title_justify="left", title_style="bold")
    for heading in ("stream", "fault", "found", "after"):
        table.add_column(heading, justify="right" if heading == "after" else "left")
    for stream in outcome.streams:
        for verdict in stream.verdicts:
            found = "[red]no[/red]" if verdict.delay_s is None else "[green]yes[/green]"
            after = "" if verdict.delay_s is None else f"{verdict.delay_s:.1f} s"
            table.add_row(stream.stream_id, verdict.episode.name, found, after)
    return table


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
