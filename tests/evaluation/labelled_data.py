"""Small sets in the benchmark's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tiny_models import TINY_CHANNELS, tiny_series

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
