"""Small models in a second: a random LSTM whose head is fitted by least squares, calibrated on clean data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import CellKind, CellWeights, NetworkWeights, StateArena, advance
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.network import Architecture, Network
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.calibration import CalibrationSeries, calibrate

TINY_CHANNELS = ("flow", "pressure")


def tiny_series(seed: int, rows: int) -> NDArray[np.float32]:
    """Two coupled channels with a period of 40 samples and noise, [T, 2]."""
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * (np.arange(rows) / 40 + rng.uniform())
    flow = 50 + 8 * np.sin(phase) + rng.normal(0, 0.5, rows)
    pressure = 3 + 0.4 * np.sin(phase + 1.1) + 0.1 * np.sin(2 * phase) + rng.normal(0, 0.03, rows)
    return np.stack([flow, pressure], axis=1).astype(np.float32)


def tiny_model(
    *, weights: int = 12, hidden: int = 24, data: int = 1, version: int = 1, prototypes: int = 0
) -> ModelBundle:
    """Return a model; `weights` and `data` are seeds, `prototypes` how many windows its score knows."""
    return least_squares_model(
        tiny_series(data, 4000),
        weights=weights,
        hidden=hidden,
        version=version,
        period_rows=40,
        channels=TINY_CHANNELS,
        units=("l/min", "bar"),
        prototypes=prototypes,
    )


def least_squares_model(
    values: NDArray[np.float32],
    *,
    weights: int,
    hidden: int,
    period_rows: int,
    channels: tuple[str, ...],
    units: tuple[str, ...] = (),
    horizon: int = 4,
    version: int = 1,
    prototypes: int = 0,
) -> ModelBundle:
    """Return a random LSTM with a head fitted to the first half of the values [T, C], calibrated on the second."""
    rng, width = np.random.default_rng(weights), values.shape[1]
    architecture = Architecture(channels=width, hidden=hidden, forecast=horizon, reconstruct=8)
    layer = CellWeights(
        CellKind.LSTM,
        *(
            rng.normal(0, 0.4, shape).astype(np.float32)
            for shape in ((4 * hidden, width), (4 * hidden, hidden), 4 * hidden)
        ),
    )
    half = len(values) // 2
    standardizer = Standardizer.fit(values[:half])
    x = standardizer.apply(values)
    states = np.empty((len(x), hidden), np.float32)
    packed = NetworkWeights([layer])
    advance(packed, StateArena(packed, 1), np.zeros(len(x), np.int64), x, np.zeros(len(x), np.uint8), states)
    fit = np.arange(100, half)
    features = np.column_stack([states[fit], np.ones(len(fit))])
    targets = np.concatenate([x[fit + h] for h in range(horizon + 1)], axis=1)
    head = np.linalg.solve(features.T @ features + 0.1 * np.eye(hidden + 1), features.T @ targets).T
    weight, bias = np.ascontiguousarray(head[:, :-1], np.float32), np.ascontiguousarray(head[:, -1], np.float32)
    network = Network(architecture, (layer,), weight, bias)
    calibration = calibrate(
        network, standardizer, [CalibrationSeries(values, half)], period_rows=period_rows, prototypes=prototypes
    )
    return ModelBundle(
        network=network,
        standardizer=standardizer,
        calibration=calibration,
        channels=channels,
        period_s=1.0,
        name="tiny",
        version=version,
        units=units,
    )
