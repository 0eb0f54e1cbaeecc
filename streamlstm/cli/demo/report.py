"""What the demo prints of its verdicts: a table of faults for each group, and the false alarms."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from streamlstm.evaluation.episodes import GroupVerdict

__all__ = ["print_verdict"]


def print_verdict(group: GroupVerdict, console: Console, *, counts_only: bool = False) -> None:
    """Print a group's table, a row a fault (or only how many were found), then the false alarms."""
    if counts_only:
        console.print(f"[bold]{group.name}[/bold]")
        for stream in group.streams:
            covered = sum(verdict.is_covered for verdict in stream.verdicts)
            console.print(
                f"  {stream.stream_id}: {covered} of {len(stream.verdicts)} labelled beats or spans alerted on"
            )
    else:
        console.print(_table(group))
    false, days = sum(s.false_alarms for s in group.streams), sum(s.days for s in group.streams)
    rate = f"{group.false_alarms_per_stream_day:.1f} a stream-day"
    console.print(f"false alarms: {false} in {days:.2f} stream-days ({rate})\n")


def _table(group: GroupVerdict) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=group.name, title_justify="left", title_style="bold")
    for heading in ("stream", "fault", "found", "after"):
        table.add_column(heading, justify="right" if heading == "after" else "left")
    for stream in group.streams:
        for verdict in stream.verdicts:
            found = "[red]no[/red]" if verdict.delay_s is None else "[green]yes[/green]"
            after = "" if verdict.delay_s is None else f"{verdict.delay_s:.1f} s"
            table.add_row(stream.stream_id, verdict.episode.name, found, after)
    return table
