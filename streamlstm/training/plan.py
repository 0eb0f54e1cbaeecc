"""What training starts from: data checked and split by time, and the options that nobody gave chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.errors import DataError, UsageError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.network import Architecture
from streamlstm.model.standardizer import Standardizer
from streamlstm.training.choices import choose_options
from streamlstm.training.options import TrainerOptions, choose_cells
from streamlstm.training.periods import detect_period

__all__ = ["Plan", "fingerprint", "make_plan"]

_TRAINING, _VALIDATION = 0.6, 0.8
_LEAST_ROWS = 100
_FIXED = ("hidden", "cells", "projection", "mask_inputs", "forecast", "reconstruct")


@dataclass(frozen=True)
class Plan:
    """What training starts from: data split by time, options, and why they were chosen.

    Shapes: series float32 [T, C] by stream, NaN = missing; cuts by stream, the first row of validation and of
    calibration. `start` is the bundle whose weights are taken over.
    """

    series: dict[str, NDArray[np.float32]]
    cuts: dict[str, tuple[int, int]]
    channels: tuple[str, ...]
    standardizer: Standardizer
    period_rows: int
    options: TrainerOptions
    choices: tuple[str, ...]
    start: ModelBundle | None = None

    @property
    def architecture(self) -> Architecture:
        """The network that will be trained."""
        o = self.options
        return Architecture(
            len(self.channels), o.hidden, o.cells, o.forecast, o.reconstruct, o.projection, o.mask_inputs
        )


def make_plan(
    values: ArrayLike | Mapping[str, ArrayLike],
    *,
    channels: Sequence[str] | None = None,
    start: ModelBundle | None = None,
    cell: str | Sequence[str] | None = None,
    layers: int | None = None,
    **options: Any,
) -> Plan:
    """Check and split the data, and choose the options that are not given.

    `cell` is lstm, peephole, gru, gru_reset_before or rnn, one for all layers or one for each, comma separated;
    `options` are fields of TrainerOptions, None where one is to be chosen. With `start` its architecture is kept.
    Raises: DataError when there are too few rows, or no numbers at all; UsageError for options that cannot be.
    """
    said: list[str] = []
    series = _series(values)
    count = next(iter(series.values())).shape[1]
    names = tuple(channels) if channels else start.channels if start else tuple(f"ch{c}" for c in range(count))
    _check(series, names, said.append)
    cuts = {key: (int(len(v) * _TRAINING), int(len(v) * _VALIDATION)) for key, v in series.items()}
    training_values = np.concatenate([v[: cuts[key][0]] for key, v in series.items()])
    longest = max(series.values(), key=len)
    period_rows = detect_period(longest[: int(len(longest) * _VALIDATION)])
    given = {key: value for key, value in options.items() if value is not None}
    unknown = sorted(set(given) - {field.name for field in fields(TrainerOptions)})
    if unknown:
        raise UsageError(f"{unknown[0]}: not an option of the trainer")
    if cell is not None or layers is not None:
        given["cells"] = choose_cells(cell or "lstm", layers)
    if start is not None:
        given = _like(start, names, given)
    chosen, reasons = choose_options(
        rows=len(training_values), channels=count, period_rows=period_rows, given=given, is_tuned=start is not None
    )
    said.append(f"period of {period_rows} rows" if period_rows else "no period found")
    return Plan(
        series=series,
        cuts=cuts,
        channels=names,
        standardizer=start.standardizer if start else Standardizer.fit(training_values),
        period_rows=period_rows,
        options=chosen,
        choices=(*said, *reasons),
        start=start,
    )


def fingerprint(series: Mapping[str, NDArray[np.float32]]) -> str:
    """Return a hash of the data that a model was trained on, streams and values."""
    sha = hashlib.sha256()
    for key, values in series.items():
        sha.update(f"{key}\0{values.shape}\0".encode())
        sha.update(values.tobytes())
    return sha.hexdigest()


def _like(start: ModelBundle, names: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
    """Take the architecture of the bundle that is fine-tuned; options that contradict it are refused."""
    if names != start.channels:
        raise DataError(f"expected the channels of {start.label} {list(start.channels)}, got {list(names)}")
    a = start.network.architecture
    fixed = {name: getattr(a, name) for name in _FIXED}
    for name in _FIXED:
        if name in given and given[name] != fixed[name]:
            raise UsageError(f"{name}: expected {fixed[name]!r} as {start.label} has, got {given[name]!r}")
    return given | fixed


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
