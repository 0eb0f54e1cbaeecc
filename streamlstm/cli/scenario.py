"""What the demo shows: groups of streams that share a model, with their clean part, live part and known faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamlstm.cli.report import Episode, episodes_of
from streamlstm.errors import DataError
from streamlstm.simulation import Telemetry, load_ecg_excerpt, simulate_pumps, simulate_ward
from streamlstm.streaming.encoders import AlertRecord
from streamlstm.training.datasets import Series, make_series, read_series

__all__ = ["Group", "recorded_group", "simulated_groups"]

Remarks = Callable[[Sequence[AlertRecord]], list[str]]


@dataclass(frozen=True, slots=True)
class Group:
    """Streams under one model. Units: tolerance_ms is how long after an episode an alert still counts for it."""

    name: str
    title: str
    pattern: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    period_s: float
    training: Mapping[str, NDArray[np.float32]]
    live: tuple[Series, ...]
    episodes: Mapping[str, Sequence[Episode]]
    tolerance_ms: int
    samples_per_record: int = 1
    remarks: Remarks = lambda _: []
