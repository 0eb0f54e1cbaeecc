"""A hall of pumps, once a second: load steps, vibration that follows speed, heat that follows load with a lag."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from streamlstm.simulation.telemetry import START_MS, Fault, Telemetry, drift

__all__ = ["simulate_pumps"]

_BEARING_LAG_S = 240.0
_SPIN_UP_S = 8.0


def simulate_pumps(
    seed: int, *, pumps: int = 3, clean_minutes: float = 240, live_minutes: float = 180
) -> list[Telemetry]:
    """Simulate vibration on two axes, bearing temperature, motor current and flow."""
    return [
        _pump(np.random.default_rng([seed, 3, pump]), pump, clean_minutes, live_minutes) for pump in range(1, pumps + 1)
    ]


def _lag(values: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """First-order lag of so many rows, starting at rest on the first value."""
    keep = np.exp(-1.0 / seconds)
    filtered, _ = lfilter([1 - keep], [1, -keep], values, zi=[keep * values[0]])
    return np.asarray(filtered)


def _pump(rng: np.random.Generator, pump: int, clean_minutes: float, live_minutes: float) -> Telemetry:
    live_from = int(clean_minutes * 60)
    rows = live_from + int(live_minutes * 60)
    steps: list[float] = []
    while len(steps) < rows:
        steps += [float(rng.choice([0.45, 0.6, 0.75, 0.9]))] * int(rng.integers(500, 1500))
    load = _lag(np.array(steps[:rows]), _SPIN_UP_S)
    flow = 40 * load * (1 + 0.01 * drift(rng, rows, correlation_rows=30)) + rng.normal(0, 0.15, rows)
    current = 4 + 14 * load**1.3 + rng.normal(0, 0.12, rows)
    rumble = 1 + 0.08 * drift(rng, rows, correlation_rows=40)
    vibration_x = (0.6 + 1.8 * load**2) * rumble + rng.normal(0, 0.05, rows)
    vibration_y = (0.4 + 1.3 * load**2) * rumble + rng.normal(0, 0.05, rows)
    heat = 34 + 26 * load
    faults = []
    at = live_from + int((rows - live_from) * 0.12) + int(rng.integers(0, 300))
    kinds = ("bearing wear", "cavitation", "blocked cooling")
    for number in range(3):
        kind = kinds[(pump - 1 + number) % 3]
        length = int(rng.integers(300, 600))
        span, ramp = slice(at, at + length), np.minimum(1.0, np.arange(length) / 60)
        if kind == "bearing wear":
            vibration_x[span] *= 1 + rng.uniform(0.5, 0.9) * ramp
            vibration_y[span] *= 1 + 0.3 * ramp
            heat[span] += 5 * ramp
        elif kind == "cavitation":
            vibration_x[span] += np.abs(rng.normal(0, 0.5, length)) * ramp
            vibration_y[span] += np.abs(rng.normal(0, 0.4, length)) * ramp
            flow[span] *= 1 - 0.12 * ramp
        else:
            heat[span] += rng.uniform(18, 26)
        faults.append(Fault(kind, at, at + length))
        at += length + int((rows - live_from) * 0.22)
    temperature = _lag(heat, _BEARING_LAG_S) + 0.3 * drift(rng, rows, correlation_rows=900) + rng.normal(0, 0.05, rows)
    values = np.stack([vibration_x, vibration_y, temperature, current, flow], axis=1)
    return Telemetry(
        stream_id=f"hall1/pump{pump}",
        channels=("vib_x", "vib_y", "bearing_temp", "current", "flow"),
        units=("mm/s", "mm/s", "degC", "A", "m3/h"),
        period_s=1.0,
        event_time_ms=START_MS + 1000 * np.arange(rows, dtype=np.int64),
        values=np.round(values, 2).astype(np.float32),
        live_from=live_from,
        faults=tuple(faults),
    )
