"""What the demo shows: streams that share a model, with their clean part, live part and known faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.evaluation.episodes import Episode
from streamlstm.recordings.reading import Series, read_series
from streamlstm.recordings.series import make_series
from streamlstm.simulation import Fault, Telemetry, load_ecg_excerpt, simulate_ecg, simulate_pumps, simulate_vitals

__all__ = ["Scenario", "recorded_scenario", "simulated_scenarios"]

_SECOND_MS = 1000


@dataclass(frozen=True, slots=True)
class Scenario:
    """Streams under one model.

    Units: tolerance_ms is how long after an episode an alert still counts for it.
    """

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
    counts_beats: bool = False
    """Too many episodes for a row each: say how many were alerted on."""


def simulated_scenarios(seed: int) -> list[Scenario]:
    """Return the ward (vital signs, ECG, one recorded ECG) and the pump hall."""
    return [
        _scenario("vitals", "Ward 3, vital signs (simulated)", "*/*/vitals", simulate_vitals(seed), 10 * _SECOND_MS),
        _scenario("ecg", "Ward 3, ECG (simulated)", "*/*/ecg", simulate_ecg(seed), _SECOND_MS, samples_per_record=25),
        _scenario(
            "ecg-recorded",
            "Ward 3, bed 9, a real ECG (MIT-BIH 119)",
            "*/*/ecg-recorded",
            [load_ecg_excerpt()],
            _SECOND_MS,
            samples_per_record=72,
            counts_beats=True,
        ),
        _scenario("pumps", "Pump hall (simulated)", "hall1/*", simulate_pumps(seed), 60 * _SECOND_MS),
    ]


def recorded_scenario(file: str) -> Scenario:
    """Return one scenario of a recording: it trains on the rows before `train_len`, or on the first half."""
    series = read_series(file)
    first = series[0]
    training, live, episodes = {}, [], {}
    for one in series:
        if one.channels != first.channels:
            raise DataError(
                f"{file}: expected one set of channels, got {list(first.channels)} and {list(one.channels)}"
            )
        cut = one.train_len or len(one.values) // 2
        training[one.stream_id] = one.values[:cut]
        live.append(_part(one.stream_id, one.values[cut:], one.event_time_ms[cut:], one.channels, one.period_s))
        episodes[one.stream_id] = _labelled(file, one, cut)
    tolerance_ms = round(10 * first.period_s * 1000)
    counts_beats = max(map(len, episodes.values())) > 20
    return Scenario(
        "recorded",
        Path(file).name,
        "**",
        first.channels,
        (),
        first.period_s,
        training,
        tuple(live),
        episodes,
        tolerance_ms,
        samples_per_record=20,
        counts_beats=counts_beats,
    )


def _scenario(
    name: str,
    title: str,
    pattern: str,
    streams: Sequence[Telemetry],
    tolerance_ms: int,
    *,
    samples_per_record: int = 1,
    counts_beats: bool = False,
) -> Scenario:
    first = streams[0]
    return Scenario(
        name=name,
        title=title,
        pattern=pattern,
        channels=first.channels,
        units=first.units,
        period_s=first.period_s,
        training={one.stream_id: one.values[: one.live_from] for one in streams},
        live=tuple(
            _part(
                one.stream_id,
                one.values[one.live_from :],
                one.event_time_ms[one.live_from :],
                one.channels,
                one.period_s,
            )
            for one in streams
        ),
        episodes={one.stream_id: _episodes(one.event_time_ms, one.faults) for one in streams},
        tolerance_ms=tolerance_ms,
        samples_per_record=samples_per_record,
        counts_beats=counts_beats,
    )


def _episodes(event_time_ms: NDArray[np.int64], faults: Sequence[Fault]) -> list[Episode]:
    return [
        Episode(fault.name, int(event_time_ms[fault.start]), int(event_time_ms[min(fault.end, len(event_time_ms)) - 1]))
        for fault in faults
    ]


def _part(
    stream_id: str, values: NDArray[np.float32], time_ms: NDArray[np.int64], channels: tuple[str, ...], period_s: float
) -> Series:
    rows = np.arange(len(values))
    return make_series(
        stream_id, stream_id, values=values, event_time_ms=time_ms, channels=channels, rows=rows, period_s=period_s
    )


def _labelled(file: str, series: Series, cut: int) -> list[Episode]:
    """Return the labelled spans of an NPZ recording's live part; other files carry no labels."""
    if not file.endswith(".npz"):
        return []
    with np.load(file, allow_pickle=False) as held:
        if "label" not in held:
            return []
        label = held["label"] > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], label, [False]]).astype(np.int8)))
    spans = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if a >= cut]
    time_ms = series.event_time_ms
    return [Episode("labelled", int(time_ms[a]), int(time_ms[b - 1])) for a, b in spans]
