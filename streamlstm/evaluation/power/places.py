"""Where faults are injected: places spread evenly over the calibration parts, each with one channel or with all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.scoring.period_rows import LONGEST_PERIOD_ROWS

__all__ = ["Place", "choose_places", "followed_rows", "wave_period"]

_LEAST_FOLLOWED = 128
_PERIODS_FOLLOWED = 2
_LEAST_PLACES = 8


@dataclass(frozen=True, slots=True)
class Place:
    """A row of a stream, and the channels that faults are injected in there, one at a time."""

    stream_id: str
    row: int
    channels: tuple[int, ...]


def wave_period(period_rows: int) -> int:
    """Return the period where it is that of a wave, such as a heartbeat; 0 where there is none, or it is a day's."""
    return period_rows if period_rows <= LONGEST_PERIOD_ROWS else 0


def followed_rows(period_rows: int) -> int:
    """Return how many rows a fault is followed for: two periods of a wave, 128 rows at least."""
    return max(_PERIODS_FOLLOWED * wave_period(period_rows), _LEAST_FOLLOWED)


def choose_places(
    series: Mapping[str, NDArray[np.float32]],
    starts: Mapping[str, int],
    *,
    followed: int,
    pairs: int,
    rng: np.random.Generator,
) -> list[Place]:
    """Choose places for about `pairs` pairs of a place and a channel; none where no stream is long enough.

    Each lies at a random row of its own share of the rows that faults may begin at: those from the stream's start on
    that have `followed` rows, itself the first. Where the channels are too many for all of them at 8 places, each place
    has the next few.
    Shapes: series float32 [T, C] by stream.
    """
    room = {key: max(len(values) - followed + 1 - starts[key], 0) for key, values in series.items()}
    total, channels = sum(room.values()), next(iter(series.values())).shape[1]
    together = min(channels, max(pairs // _LEAST_PLACES, 1))
    count = min(max(pairs // together, 1), total)
    keys, ends = list(room), np.cumsum(list(room.values()))
    places = []
    for n in range(count):
        at = int(rng.integers(n * total // count, (n + 1) * total // count))
        stream = int(np.searchsorted(ends, at, side="right"))
        row = starts[keys[stream]] + at - int(ends[stream] - room[keys[stream]])
        places.append(Place(keys[stream], row, tuple((n * together + c) % channels for c in range(together))))
    return places
