"""What training starts from: data that is checked and split by time, and options, given or chosen."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.errors import DataError
from streamlstm.model.bundles.base import BundleBase
from streamlstm.model.standardizer import Standardizer
from streamlstm.training.options import TrainerOptions
from streamlstm.training.periods import detect_period
from streamlstm.training.trainable import Trainable

__all__ = ["BundleLabels", "Plan", "SplitData", "fingerprint", "split_data"]

N = TypeVar("N")
B_co = TypeVar("B_co", bound=BundleBase, covariant=True)

_TRAINING, _VALIDATION = 0.6, 0.8
_LEAST_ROWS = 100


@dataclass(frozen=True)
class SplitData:
    """Data that is checked and split by time.

    Shapes: series float32 [T, C] by stream, NaN = missing; cuts by stream, the first row of validation and of
    calibration; training_values [N, C], the training parts of all streams. `period_rows` is 0 where none was found,
    `notes` are sentences about the data.
    """

    series: dict[str, NDArray[np.float32]]
    cuts: dict[str, tuple[int, int]]
    channels: tuple[str, ...]
    period_rows: int
    training_values: NDArray[np.float32]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class BundleLabels:
    """What a bundle is called and says of its channels and its time. Units: period_s in seconds, 0 = unknown."""

    period_s: float = 0.0
    units: tuple[str, ...] = ()
    name: str = "model"
    version: int = 1
    created_at: str = ""


@dataclass(frozen=True)
class Plan(ABC, Generic[N, B_co]):
    """What training a network of kind N to a bundle of kind B starts from: split data, options, and why those.

    Shapes: series float32 [T, C] by stream, NaN = missing; cuts by stream, the first row of validation and of
    calibration.
    """

    BUNDLE: ClassVar[type[BundleBase]]
    """The kind of bundle."""

    series: dict[str, NDArray[np.float32]]
    cuts: dict[str, tuple[int, int]]
    channels: tuple[str, ...]
    standardizer: Standardizer
    period_rows: int
    options: TrainerOptions
    choices: tuple[str, ...]

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the options that apply, as a bundle keeps them."""

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what tells this plan from others of the same data."""

    @abstractmethod
    def trainable(self, *, frozen: Sequence[str] = ()) -> Trainable[N]:
        """Return the network in training, its data standardised; the rows that are to calibrate are not looked at."""

    @abstractmethod
    def bundle(self, network: N, labels: BundleLabels, training: dict[str, Any]) -> B_co:
        """Calibrate the network on the last parts; `training` is what the bundle says of its training."""

    def metadata(self, *, updates: int, validation_loss: float, frozen: Sequence[str]) -> dict[str, Any]:
        """Return what a bundle says of its training."""
        return {
            "rows": sum(map(len, self.series.values())),
            "streams": len(self.series),
            "fingerprint": fingerprint(self.series),
            "period_rows": self.period_rows,
            "updates": updates,
            "validation_loss": validation_loss,
            "options": self.settings,
        }


def split_data(values: ArrayLike | Mapping[str, ArrayLike], *, channels: Sequence[str] | None) -> SplitData:
    """Check the data and split it by time.

    Shapes: values float [T, C], or {stream id: such an array}; rows in time order.
    Raises: DataError when there are too few rows, or no numbers at all.
    """
    series = _series(values)
    count = next(iter(series.values())).shape[1]
    names = tuple(channels) if channels else tuple(f"ch{c}" for c in range(count))
    notes = _check(series, names)
    cuts = {key: (int(len(v) * _TRAINING), int(len(v) * _VALIDATION)) for key, v in series.items()}
    longest = max(series.values(), key=len)
    period_rows = detect_period(longest[: int(len(longest) * _VALIDATION)])
    return SplitData(
        series=series,
        cuts=cuts,
        channels=names,
        period_rows=period_rows,
        training_values=np.concatenate([v[: cuts[key][0]] for key, v in series.items()]),
        notes=(*notes, f"period of {period_rows} rows" if period_rows else "no period found"),
    )


def fingerprint(series: Mapping[str, NDArray[np.float32]]) -> str:
    """Return a hash of the data that a model was trained on, streams and values."""
    sha = hashlib.sha256()
    for key, values in series.items():
        sha.update(f"{key}\0{values.shape}\0".encode())
        sha.update(values.tobytes())
    return sha.hexdigest()


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


def _check(series: Mapping[str, NDArray[np.float32]], channels: Sequence[str]) -> list[str]:
    """Refuse what cannot be trained on; return sentences about what is odd."""
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
    if varies.all():
        return []
    constant = [name for name, moves in zip(channels, varies, strict=True) if not moves]
    return [f"constant or missing in training, so any change will stand out: {', '.join(constant)}"]
