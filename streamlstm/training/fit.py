"""`train`: from recorded values to a model bundle.

1. Each stream is split by time: training, then validation, then calibration. Nothing is fitted on what comes after it.
2. The standardizer is fitted on the training parts alone.
3. The network is trained on them with carried state, and stops early on the validation parts.
4. Residual scales and tails are calibrated on the third parts, which neither has seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.errors import DataError
from streamlstm.model.bundle import ModelBundle
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.calibration import CalibrationSeries, calibrate
from streamlstm.scoring.forward import INPUT_LIMIT
from streamlstm.training.options import choose_cells, choose_options
from streamlstm.training.periods import detect_period
from streamlstm.training.trainer import Progress, fit_network
from streamlstm.training.windows import Segment

__all__ = ["train"]

_TRAINING, _VALIDATION = 0.6, 0.8
_LEAST_ROWS = 100


def train(
    values: ArrayLike | Mapping[str, ArrayLike],
    *,
    period_s: float = 0.0,
    channels: Sequence[str] | None = None,
    units: Sequence[str] = (),
    name: str = "model",
    version: int = 1,
    seed: int = 1,
    hidden: int | None = None,
    cell: str | Sequence[str] = "lstm",
    layers: int | None = None,
    projection: int = 0,
    forecast: int | None = None,
    reconstruct: int | None = None,
    max_updates: int | None = None,
    created_at: str = "",
    on_progress: Callable[[Progress], None] | None = None,
    on_choice: Callable[[str], None] | None = None,
) -> ModelBundle:
    """Train one model on one stream or on many.

    Shapes: values float [T, C], NaN = missing, or {stream id: such an array}; rows in time order, `period_s` apart.
    Units: period_s in seconds, 0 = unknown. `cell` is lstm, peephole, gru, gru_reset_before or rnn, one for all layers
    or one for each, comma separated; `projection` is of the LSTM kinds, 0 = none. What is not given is chosen from
    the data, and each choice said to `on_choice`.
    State: the arguments alone decide the result: the same seed gives the same bundle, bit for bit, on one machine.
    Raises: DataError when there are too few rows, or no numbers at all.
    """
    say = on_choice or (lambda _: None)
    series = _series(values)
    count = next(iter(series.values())).shape[1]
    names = tuple(channels) if channels else tuple(f"ch{c}" for c in range(count))
    _check(series, names, say)
    cuts = {key: (int(len(v) * _TRAINING), int(len(v) * _VALIDATION)) for key, v in series.items()}
    training_values = np.concatenate([v[: cuts[key][0]] for key, v in series.items()])
    standardizer = Standardizer.fit(training_values)
    longest = max(series.values(), key=len)
    period_rows = detect_period(longest[: int(len(longest) * _VALIDATION)])
    asked = {
        "hidden": hidden,
        "cells": choose_cells(cell, layers),
        "projection": projection,
        "forecast": forecast,
        "reconstruct": reconstruct,
        "max_updates": max_updates,
        "seed": seed,
    }
    options, said = choose_options(
        rows=len(training_values),
        channels=count,
        period_rows=period_rows,
        given={key: value for key, value in asked.items() if value is not None},
    )
    say(f"period of {period_rows} rows" if period_rows else "no period found")
    for sentence in said:
        say(sentence)
    training, validation = [], []
    for key, v in series.items():
        first, second = cuts[key]
        segment = _segment(standardizer, v[:second])
        training.append(Segment(segment.x[:first], segment.observed[:first]))
        validation.append(Segment(segment.x[first:], segment.observed[first:]))
    fit = fit_network(training, validation, options, progress=on_progress)
    calibration = calibrate(
        fit.network,
        standardizer,
        [CalibrationSeries(v, cuts[key][1]) for key, v in series.items()],
        period_rows=period_rows,
    )
    return ModelBundle(
        network=fit.network,
        standardizer=standardizer,
        calibration=calibration,
        channels=names,
        units=tuple(units),
        period_s=float(period_s),
        name=name,
        version=version,
        created_at=created_at,
        training={
            "rows": sum(map(len, series.values())),
            "streams": len(series),
            "fingerprint": _fingerprint(series),
            "period_rows": period_rows,
            "updates": fit.updates,
            "validation_loss": fit.best_validation_loss,
            "options": asdict(options),
        },
    )


def _series(values: ArrayLike | Mapping[str, ArrayLike]) -> dict[str, NDArray[np.float32]]:
    given = values if isinstance(values, Mapping) else {"stream": values}
    series = {}
    for key, one in given.items():
        array = np.ascontiguousarray(one, np.float32)
        if array.ndim == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] == 0:
            raise DataError(f"{key}: expected values [T, C], got an array of shape {list(array.shape)}")
        series[key] = np.where(np.isfinite(array), array, np.float32(np.nan))
    if not series:
        raise DataError("expected at least one stream, got none")
    return series


def _check(series: Mapping[str, NDArray[np.float32]], channels: Sequence[str], say: Callable[[str], None]) -> None:
    for key, values in series.items():
        if len(values) < _LEAST_ROWS:
            raise DataError(
                f"{key}: expected at least {_LEAST_ROWS} rows to train, validate and calibrate on, got {len(values)}"
            )
        if values.shape[1] != len(channels):
            raise DataError(f"{key}: expected {len(channels)} channels {list(channels)}, got {values.shape[1]}")
    varies = np.zeros(len(channels), bool)
    for values in series.values():
        observed = np.isfinite(values)
        highest = np.where(observed, values, -np.inf).max(axis=0)
        lowest = np.where(observed, values, np.inf).min(axis=0)
        varies |= highest > lowest
    if not any(np.isfinite(values).any() for values in series.values()):
        raise DataError(f"expected numbers in at least one channel, got none: {list(channels)} are all missing")
    if not varies.all():
        constant = [name for name, moves in zip(channels, varies, strict=True) if not moves]
        say(f"constant or missing in training, so any change will stand out: {', '.join(constant)}")


def _segment(standardizer: Standardizer, values: NDArray[np.float32]) -> Segment:
    """Standardise and carry the last observed value forward, as scoring does."""
    x = np.clip(standardizer.apply(values), -INPUT_LIMIT, INPUT_LIMIT)
    observed = np.isfinite(x)
    last = np.maximum.accumulate(np.where(observed, np.arange(len(x))[:, None], -1), axis=0)
    carried = np.take_along_axis(x, np.maximum(last, 0), axis=0)
    return Segment(np.where(last >= 0, carried, 0.0).astype(np.float32), observed)


def _fingerprint(series: Mapping[str, NDArray[np.float32]]) -> str:
    sha = hashlib.sha256()
    for key, values in series.items():
        sha.update(f"{key}\0{values.shape}\0".encode())
        sha.update(values.tobytes())
    return sha.hexdigest()
