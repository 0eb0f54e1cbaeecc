"""Small sets in the benchmark's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tiny_models import TINY_CHANNELS, tiny_series

from streamlstm.evaluation.labelled.series import LabelledSeries
from streamlstm.evaluation.scored import ScoredSeries
from streamlstm.recordings.series import make_series

NAB = Path(__file__).parents[1] / "data" / "nab"
"""One real file in NAB's own layout."""
NAB_FILE = "realAWSCloudwatch/iio_us-east-1_i-a2eb1cd9_NetworkIn"
WARM_UP, ROWS = 600, 1000


def write_series(path: Path, seed: int, *, faults: tuple[tuple[int, int], ...] = ((700, 730),), **other: Any) -> None:
    """Write two coupled channels whose flow is 15 too high in each fault (first row, and the row after the last)."""
    values, label = tiny_series(seed, ROWS), np.zeros(ROWS, np.uint8)
    for first, stop in faults:
        values[first:stop, 0] += 15
        label[first:stop] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"values": values, "label": label, "train_len": WARM_UP, "period_s": 1.0, "channels": TINY_CHANNELS}
    np.savez(path, **{key: value for key, value in (arrays | other).items() if value is not None})


def write_sets(folder: Path) -> None:
    """Write the sets pumps, of two series, and smap, of one with two commands."""
    write_series(folder / "pumps" / "a.npz", 1)
    write_series(folder / "pumps" / "b.npz", 2, faults=((650, 660), (800, 830)))
    commands = np.zeros((ROWS, 3), np.float32)
    commands[:, 0] = tiny_series(3, ROWS)[:, 0]
    commands[700:730, 0] += 15
    names = ("telemetry", "command1", "command2")
    write_series(folder / "smap" / "c.npz", 3, values=commands, channels=names, period_s=0.0)


def labelled(
    judged_labels: NDArray[np.bool_], *, set_name: str = "pumps", warm_up: int = 20, period_s: float = 1.0
) -> LabelledSeries:
    """A series of two channels in which each row differs, with these labels after its warm-up."""
    rows = warm_up + len(judged_labels)
    series = make_series(
        "a.npz",
        "a",
        values=np.stack([np.arange(rows), -np.arange(rows)], axis=1),
        event_time_ms=1000 * np.arange(rows),
        channels=TINY_CHANNELS,
        rows=np.arange(rows),
        period_s=period_s,
        units=("l/min", "bar"),
    )
    return LabelledSeries(set_name, series, np.concatenate([np.zeros(warm_up, np.bool_), judged_labels]), warm_up)


def scored(score: NDArray[np.float64], *alerts: tuple[int, int]) -> ScoredSeries:
    """Scores with alerts (row of the opening, first row after it), of which the second channel is to blame."""
    under_alert = np.zeros(len(score), np.bool_)
    for opened, closed in alerts:
        under_alert[opened:closed] = True
    rows = np.arange(len(score), dtype=np.float32)
    return ScoredSeries(
        score=score,
        p_value=np.exp(-score),
        under_alert=under_alert,
        opened=np.array([opened for opened, _ in alerts], np.int64),
        closed=np.array([closed for _, closed in alerts], np.int64),
        expected=np.stack([rows, 2 * rows], axis=1),
        contribution=np.tile(np.array([0.25, 0.75], np.float32), (len(score), 1)),
        settled=np.full(len(score), np.nan),
    )
