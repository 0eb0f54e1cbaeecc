"""What every simulation returns, and the slow random movements that all of them share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

__all__ = ["START_MS", "Fault", "Telemetry", "drift"]

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: event time of the first sample."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One known fault: rows [start, end)."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Telemetry:
    """One stream. Rows before `live_from` are clean and for training; faults lie behind it.

    Shapes: event_time_ms int64 [T]; values float32 [T, C].
    """

    stream_id: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    period_s: float
    event_time_ms: NDArray[np.int64]
    values: NDArray[np.float32]
    live_from: int
    faults: tuple[Fault, ...]


def drift(rng: np.random.Generator, rows: int, *, correlation_rows: float) -> NDArray[np.float64]:
    """Return a stationary first-order autoregression of deviation 1, correlated over so many rows."""
    keep = np.exp(-1.0 / correlation_rows)
    noise = rng.normal(0.0, np.sqrt(1.0 - keep**2), rows)
    noise[0] = rng.normal()
    return np.asarray(lfilter([1.0], [1.0, -keep], noise))
