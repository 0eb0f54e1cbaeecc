"""The real ECG that the package ships: an excerpt of record 119 of the MIT-BIH Arrhythmia Database.

Licence and citation stand in `data/mitdb-119.txt`, beside the file.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from streamlstm.simulation.telemetry import START_MS, Fault, Telemetry

__all__ = ["load_ecg_excerpt"]


def load_ecg_excerpt(stream_id: str = "ward3/bed9/ecg-recorded") -> Telemetry:
    """Load the excerpt: five minutes to train on, then ten whose labelled beats are the faults."""
    with (files(__package__) / "data" / "mitdb-119.npz").open("rb") as file, np.load(file, allow_pickle=False) as held:
        values = held["values"].astype(np.float32) * np.float32(held["millivolts"])
        hz, live_from, channels = float(held["hz"]), int(held["live_from"]), tuple(map(str, held["channels"]))
        starts, ends = held["beat_starts"], held["beat_ends"]
    return Telemetry(
        stream_id=stream_id,
        channels=channels,
        units=("mV",) * len(channels),
        period_s=1 / hz,
        event_time_ms=START_MS + np.round(1000 / hz * np.arange(len(values))).astype(np.int64),
        values=values,
        live_from=live_from,
        faults=tuple(Fault("labelled beat", int(a), int(b)) for a, b in zip(starts, ends, strict=True)),
    )
