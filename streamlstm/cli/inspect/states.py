"""What the state in a local log holds: groups, offsets, snapshots."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec

from streamlstm.adapters.local_log import LocalSnapshots
from streamlstm.adapters.local_log.database import Database
from streamlstm.cli.console.output import print_result
from streamlstm.errors import DataError
from streamlstm.scoring.alert_tracker import AlertTracker
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.streaming.state_format import decode_state
from streamlstm.types import TopicPartition

__all__ = ["print_states"]


def print_states(file: Path) -> None:
    """Print where each group stands, and its snapshots."""
    print_result(f"local log   {file}, {file.stat().st_size / 1024:,.0f} KiB")
    with closing(Database(file)) as database:
        commits = database.commits()
        if not commits:
            print_result("no group has committed an offset yet")
        for group, place, committed in commits:
            partition = database.partition(place)
            where = f"committed {committed} of {partition.oldest} to {partition.end}"
            print_result(f"group {group}, {place.topic}-{place.partition}: {where}")
            _print_snapshot(file, group, place)


def _print_snapshot(file: Path, group: str, place: TopicPartition) -> None:
    with closing(LocalSnapshots(file, group=group)) as snapshots:
        snapshot = snapshots.load(place)
    if snapshot is None:
        print_result("  no snapshot")
        return
    models, counts = decode_state(snapshot.payload)
    print_result(f"  snapshot at offset {snapshot.offset}, {len(snapshot.payload) / 1024:,.0f} KiB")
    for model in models:
        tracker = AlertTracker(AlertPolicy(), model=model.label, channels=())
        try:
            tracker.import_state(bytes(model.alerts))
        except msgspec.DecodeError as error:
            raise DataError(
                f"{file}: {model.label}: expected the alerts of this release, got others ({error})"
            ) from error
        open_alerts = f"{len(tracker.open_alerts):,} open alerts, {tracker.owing:,} streams owe openings"
        print_result(f"  {model.label}: {len(model.streams):,} streams, {open_alerts}, digest {model.digest[:16]}")
    for name, count in sorted(counts.items()):
        print_result(f"  {name:<28} {count:,}")
