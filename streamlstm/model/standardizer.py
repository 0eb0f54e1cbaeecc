"""Raw units to dimensionless ones: (x - mean) / scale by channel, fitted on training data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import ShapeError

__all__ = ["Standardizer"]

_ROUNDING = 1e-6
"""A float32 carries 1.2e-7 of its value. A deviation below eight times that is rounding, and dividing by it would make
signals of it: the channel counts as constant."""
_CONSTANT_SHARE = 0.01
"""Scale of a constant channel, as a share of its value: there is no spread to measure, and one percent is what an
operator would call a change. A channel that is constantly zero has no size of its own; its scale is 1."""
_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class Standardizer:
    """Mean and scale of every channel.

    Shapes: mean, scale float32 [C]; scale > 0, in the channel's own unit.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    def __post_init__(self) -> None:
        for name, array in (("mean", self.mean), ("scale", self.scale)):
            if array.ndim != 1 or array.shape != self.mean.shape or array.dtype != np.float32:
                raise ShapeError(f"{name}: expected float32 [C] like the mean, got {array.dtype} {list(array.shape)}")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise ShapeError("expected finite means and positive, finite scales")

    @classmethod
    def fit(cls, values: NDArray[Any]) -> Self:
        """Return mean and standard deviation of the observed samples of every channel, summed in float64.

        Shapes: values float [T, C]; what is not finite is missing. A channel without a sample gets mean 0 and scale 1.
        """
        if values.ndim != 2:
            raise ShapeError(f"values: expected [T, C], got {list(values.shape)}")
        mean = np.zeros(values.shape[1])
        scale = np.ones(values.shape[1])
        for channel in range(values.shape[1]):
            column = values[:, channel].astype(np.float64)
            column = column[np.isfinite(column)]
            if not len(column):
                continue
            mean[channel] = center = column.mean()
            deviation = np.sqrt(np.square(column - center).mean())
            if deviation > _ROUNDING * abs(center):
                scale[channel] = deviation
            elif center != 0:
                scale[channel] = _CONSTANT_SHARE * abs(center)
        return cls(mean.astype(np.float32), scale.clip(_SMALLEST, _LARGEST).astype(np.float32))

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (values - mean) / scale; NaN stays NaN, and what overflows is infinite.

        Shapes: values float32 [..., C].
        """
        with np.errstate(over="ignore"):
            standardized: NDArray[np.float32] = (values - self.mean) / self.scale
        return standardized
