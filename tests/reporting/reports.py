"""Small trainings to report on, made without training: a random network, calibrated on the data's last part."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import CellKind, CellWeights
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.network import Architecture, Network
from streamlstm.model.standardizer import Standardizer
from streamlstm.reporting.page import TrainingReport
from streamlstm.scoring.calibration import CalibrationSeries, calibrate
from streamlstm.training.trainer import ValidationPoint

Series = Mapping[str, NDArray[np.float32]]


def waves(seed: int, rows: int, channels: int) -> NDArray[np.float32]:
    """Sines of a period of 40 rows with noise, a different size and level by channel, [T, C]."""
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * (np.arange(rows)[:, None] / 40 + np.linspace(0, 0.7, channels))
    level, size = np.linspace(20, -30, channels), np.linspace(1, 4, channels)
    return (level + size * (np.sin(phase) + rng.normal(0, 0.2, (rows, channels)))).astype(np.float32)


def points(count: int = 8, *, validation: float = 1.0) -> tuple[ValidationPoint, ...]:
    """A history that falls, and is lowest at the last but one point; no gradient was measured."""
    losses = [0.9 * 0.8**n for n in range(count)]
    checked = [loss * 1.1 + (0.05 if n == count - 1 else 0) for n, loss in enumerate(losses)]
    return tuple(
        ValidationPoint(25 * (n + 1), 1 + n // 3, loss, validation * check, 0.02 * (n + 1) / count, math.nan)
        for n, (loss, check) in enumerate(zip(losses, checked, strict=True))
    )


def make_report(series: Series, channels: tuple[str, ...], **changes: object) -> TrainingReport:
    """A report of a network whose head repeats a little of what the state holds."""
    rng = np.random.default_rng(3)
    count, hidden, forecast = len(channels), 12, 4
    architecture = Architecture(channels=count, hidden=hidden, forecast=forecast, reconstruct=8)
    sizes = ((4 * hidden, count), (4 * hidden, hidden), 4 * hidden)
    layer = CellWeights(CellKind.LSTM, *(rng.normal(0, 0.4, size).astype(np.float32) for size in sizes))
    head = rng.normal(0, 0.1, (architecture.head_outputs, hidden)).astype(np.float32)
    network = Network(architecture, (layer,), head, np.zeros(architecture.head_outputs, np.float32))
    cuts = {key: (int(len(v) * 0.6), int(len(v) * 0.8)) for key, v in series.items()}
    standardizer = Standardizer.fit(np.concatenate([v[: cuts[key][0]] for key, v in series.items()]))
    calibration = calibrate(
        network, standardizer, [CalibrationSeries(v, cuts[key][1]) for key, v in series.items()], period_rows=40
    )
    training = {"rows": 1, "streams": len(series), "fingerprint": "ab" * 32, "period_rows": 40, "updates": 200}
    bundle = ModelBundle(
        network=network,
        standardizer=standardizer,
        calibration=calibration,
        channels=channels,
        period_s=60.0,
        name="mill",
        version=3,
        units=tuple("°C" for _ in channels),
        created_at="2026-11-23T09:12:44+00:00",
        training=training | {"options": {"hidden": hidden, "cells": ["lstm"], "learning_rate": 0.02, "seed": 7}},
    )
    history = points()
    given: dict[str, object] = {
        "bundle": bundle,
        "history": history,
        "best_update": history[-2].update,
        "series": series,
        "cuts": cuts,
        "choices": ("reconstructs the last 8 rows (a fifth of the period)",),
        "seconds": 12.5,
        "sources": ("mill.npz",),
        "command": "streamlstm train mill.npz --out mill.safetensors",
    }
    return TrainingReport(**(given | changes))  # type: ignore[arg-type]
