"""Beds of a ward: vital signs once a second, and an ECG as a sum of waves a beat.

Source: McSharry et al. 2003, "A dynamical model for generating synthetic electrocardiogram signals": each beat is five
Gaussian waves (P, Q, R, S, T) at fixed phases; the beat-to-beat interval follows breathing and a slow drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.simulation.telemetry import START_MS, Fault, Telemetry, drift

__all__ = ["simulate_ecg", "simulate_vitals"]

_ECG_HZ = 125
# Wave: (place in the beat as a share of the interval before it, height in mV, width in s)
_NORMAL = ((-0.20, 0.12, 0.025), (-0.035, -0.10, 0.010), (0.0, 1.05, 0.011), (0.035, -0.22, 0.012), (0.32, 0.30, 0.055))
_VENTRICULAR = ((-0.01, 1.30, 0.045), (0.11, -0.55, 0.050), (0.34, -0.35, 0.070))


def simulate_vitals(
    seed: int, *, beds: int = 3, clean_minutes: float = 120, live_minutes: float = 120
) -> list[Telemetry]:
    """Simulate heart rate, oxygen saturation, respiration and arterial pressure, rounded as monitors do."""
    return [
        _vitals(np.random.default_rng([seed, 1, bed]), bed, clean_minutes, live_minutes) for bed in range(1, beds + 1)
    ]


def _vitals(rng: np.random.Generator, bed: int, clean_minutes: float, live_minutes: float) -> Telemetry:
    live_from = int(clean_minutes * 60)
    rows = live_from + int(live_minutes * 60)
    effort = drift(rng, rows, correlation_rows=400)
    respiration = 15 + 1.5 * effort + 0.5 * drift(rng, rows, correlation_rows=30)
    breath = np.cumsum(respiration / 60)
    heart_rate = 72 + 5 * effort + 1.5 * drift(rng, rows, correlation_rows=20) + 1.2 * np.sin(2 * np.pi * breath)
    pressure = (
        88 + 4 * drift(rng, rows, correlation_rows=500) + 0.5 * (heart_rate - 72) + 1.0 * np.sin(2 * np.pi * breath)
    )
    saturation = 97 - 0.4 * effort + 0.4 * drift(rng, rows, correlation_rows=120)
    faults = []
    at = live_from + int((rows - live_from) * 0.15) + int(rng.integers(0, 120))
    kinds = ("desaturation", "bradycardia", "stuck sensor")
    for number in range(3):
        kind = kinds[(bed - 1 + number) % 3]
        length = int(rng.integers(60, 140))
        ramp = np.minimum(1.0, np.minimum(np.arange(length), np.arange(length)[::-1]) / 15)
        span = slice(at, at + length)
        if kind == "desaturation":
            saturation[span] -= rng.uniform(6, 12) * ramp
            heart_rate[span] += rng.uniform(8, 16) * ramp
            respiration[span] += 4 * ramp
        elif kind == "bradycardia":
            heart_rate[span] -= rng.uniform(22, 32) * ramp
            pressure[span] -= rng.uniform(10, 18) * ramp
        else:
            heart_rate[span] = heart_rate[at]
            pressure[span] = pressure[at]
        faults.append(Fault(kind, at, at + length))
        at += length + int((rows - live_from) * 0.25)
    values = np.stack(
        [np.round(heart_rate), np.round(np.minimum(saturation, 100), 1), np.round(respiration), np.round(pressure)],
        axis=1,
    )
    return Telemetry(
        stream_id=f"ward3/bed{bed}/vitals",
        channels=("hr", "spo2", "resp", "abp"),
        units=("1/min", "%", "1/min", "mmHg"),
        period_s=1.0,
        event_time_ms=START_MS + 1000 * np.arange(rows, dtype=np.int64),
        values=values.astype(np.float32),
        live_from=live_from,
        faults=tuple(faults),
    )


@dataclass(frozen=True, slots=True)
class _Beat:
    at_s: float
    interval_s: float
    is_ventricular: bool = False


def simulate_ecg(seed: int, *, beds: int = 2, clean_minutes: float = 5, live_minutes: float = 5) -> list[Telemetry]:
    """Simulate one ECG lead at 125 Hz: sinus rhythm with breathing, baseline wander and noise."""
    return [_ecg(np.random.default_rng([seed, 2, bed]), bed, clean_minutes, live_minutes) for bed in range(1, beds + 1)]


def _ecg(rng: np.random.Generator, bed: int, clean_minutes: float, live_minutes: float) -> Telemetry:
    clean_s, total_s = clean_minutes * 60, (clean_minutes + live_minutes) * 60
    live_s = live_minutes * 60
    run_at, pause_at, shift_at = (clean_s + share * live_s for share in (0.2, 0.5, 0.75))
    beats, faults = _rhythm(rng, total_s, run_at=run_at, pause_at=pause_at)
    time_s = np.arange(int(total_s * _ECG_HZ)) / _ECG_HZ
    signal = 0.05 * drift(rng, len(time_s), correlation_rows=2 * _ECG_HZ) + 0.06 * np.sin(2 * np.pi * 0.25 * time_s)
    for beat in beats:
        _draw(signal, beat)
    length_s = 12.0
    span = slice(int(shift_at * _ECG_HZ), int((shift_at + length_s) * _ECG_HZ))
    for beat in beats:
        if shift_at <= beat.at_s < shift_at + length_s:
            _add_wave(signal, beat.at_s + 0.18 * beat.interval_s, 0.35, 0.07)
    faults.append(("ST elevation", span.start, span.stop))
    signal += rng.normal(0, 0.012, len(signal))
    return Telemetry(
        stream_id=f"ward3/bed{bed}/ecg",
        channels=("lead_ii",),
        units=("mV",),
        period_s=1 / _ECG_HZ,
        event_time_ms=START_MS + np.round(1000 * time_s).astype(np.int64),
        values=np.round(signal, 3).astype(np.float32)[:, None],
        live_from=int(clean_s * _ECG_HZ),
        faults=tuple(Fault(name, start, end) for name, start, end in sorted(faults, key=lambda fault: fault[1])),
    )


def _rhythm(
    rng: np.random.Generator, total_s: float, *, run_at: float, pause_at: float
) -> tuple[list[_Beat], list[tuple[str, int, int]]]:
    """Return beats with one run of ventricular beats and one pause, and where these lie in rows."""
    beats: list[_Beat] = []
    faults: list[tuple[str, int, int]] = []
    slow = drift(rng, int(total_s * 2), correlation_rows=60)
    at, run_left = 0.5, int(rng.integers(4, 7))
    while at < total_s - 1:
        breathing = 0.03 * np.sin(2 * np.pi * 0.25 * at)
        interval = 0.82 + 0.03 * slow[int(at * 2)] + breathing + rng.normal(0, 0.008)
        is_ventricular = at >= run_at and run_left > 0
        if is_ventricular:
            interval *= 0.62
            run_left -= 1
            start = int((at - 0.1) * _ECG_HZ) if len(faults) == 0 else faults[0][1]
            faults[:1] = [("ventricular run", start, int((at + 0.6) * _ECG_HZ))]
        if at >= pause_at and not any(name == "pause" for name, _, _ in faults):
            faults.append(("pause", int(at * _ECG_HZ), int((at + 3.2) * _ECG_HZ)))
            at += 2.6
        beats.append(_Beat(at, interval, is_ventricular))
        at += interval
    return beats, faults


def _draw(signal: NDArray[np.float64], beat: _Beat) -> None:
    for place, height, width in _VENTRICULAR if beat.is_ventricular else _NORMAL:
        _add_wave(signal, beat.at_s + place * beat.interval_s, height, width)


def _add_wave(signal: NDArray[np.float64], center_s: float, height: float, width_s: float) -> None:
    first = max(int((center_s - 4 * width_s) * _ECG_HZ), 0)
    last = min(int((center_s + 4 * width_s) * _ECG_HZ) + 2, len(signal))
    time_s = np.arange(first, last) / _ECG_HZ
    signal[first:last] += height * np.exp(-0.5 * ((time_s - center_s) / width_s) ** 2)
