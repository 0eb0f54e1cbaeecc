"""Parts of series as training takes them: standardised, gaps carried forward, and what was observed kept beside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError, ShapeError
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.forward import INPUT_LIMIT

__all__ = ["Segment", "fingerprint_of", "standardized_segment"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of one series, in time order.

    Shapes: x float32 [T, C], standardised, a missing value carried forward from the one before; observed bool [T, C],
    False where it was missing.
    """

    x: NDArray[np.float32]
    observed: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.x.ndim != 2 or self.x.dtype != np.float32:
            raise ShapeError(f"x: expected float32 [T, C], got {self.x.dtype} {list(self.x.shape)}")
        if self.observed.shape != self.x.shape or self.observed.dtype != np.bool_:
            raise ShapeError(
                f"observed: expected bool {list(self.x.shape)} like x, got {self.observed.dtype} "
                f"{list(self.observed.shape)}"
            )
        if not np.isfinite(self.x).all():
            row = int(np.argmax(~np.isfinite(self.x).all(axis=1)))
            raise DataError(f"x: row {row}: expected finite numbers; carry missing values forward first")


def standardized_segment(standardizer: Standardizer, values: NDArray[np.float32]) -> Segment:
    """Standardise and carry the last observed value forward, as scoring does."""
    x = np.clip(standardizer.apply(values), -INPUT_LIMIT, INPUT_LIMIT)
    observed = np.isfinite(x)
    last = np.maximum.accumulate(np.where(observed, np.arange(len(x))[:, None], -1), axis=0)
    carried = np.take_along_axis(x, np.maximum(last, 0), axis=0)
    return Segment(np.where(last >= 0, carried, 0.0).astype(np.float32), observed)


def fingerprint_of(parts: Iterable[Segment]) -> str:
    """Return a hash of what the parts hold, and of where each begins."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(f"{part.x.shape}\0".encode() + part.x.tobytes() + part.observed.tobytes())
    return sha.hexdigest()
