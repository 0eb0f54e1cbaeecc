"""The bundle of a whole-window model, in the file of `streamlstm.model.bundles.codec`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels import CellWeights
from streamlstm.kernels.faces import check_array
from streamlstm.model.bundles.base import BundleBase, Tensors, layer_of
from streamlstm.model.bundles.codec import WINDOW_FORMAT, bundle_format
from streamlstm.model.bundles.manifest import Manifest, WindowCalibrationEntry
from streamlstm.model.calibration import Tail
from streamlstm.model.windows.network import WindowArchitecture, WindowNetwork

__all__ = ["WindowBundle", "WindowCalibration", "is_window_bundle"]

_ARRAYS = ("scales", "statistics", "surprises", "fit")
_NUMBERS = ("rows", "cluster_rows", "width")
"""Fields of the calibration: those that are tensors of the file, and those that stand in its manifest."""


@dataclass(frozen=True, slots=True)
class WindowCalibration:
    """What turns a whole-window network's errors into scores.

    Shapes: scales float32 [C], root mean square of the errors by channel; statistics, surprises float64 [K], fit
    float64 [2] (shape, scale), the tail of the mean squared, scaled error of `width` rows.
    Units: rows were calibrated on; cluster_rows is how many in a row pass a high level together.
    """

    scales: NDArray[np.float32]
    statistics: NDArray[np.float64]
    surprises: NDArray[np.float64]
    fit: NDArray[np.float64]
    rows: int
    cluster_rows: float
    width: int

    def __post_init__(self) -> None:
        check_array("scales", self.scales, np.float32, (None,))
        if not (self.scales > 0).all():
            raise ShapeError("scales: expected numbers above 0")
        check_array("fit", self.fit, np.float64, (2,))
        _ = self.tail  # refuses knots that fall

    @property
    def tail(self) -> Tail:
        """The tail of the statistic."""
        return Tail(self.statistics, self.surprises, *self.fit.tolist())


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class WindowBundle(BundleBase):
    """A whole-window network with its standardizer and calibration, and where it comes from.

    It scores recordings only: the estimate of a sample rests on samples that come after it.
    """

    FORMAT: ClassVar[str] = WINDOW_FORMAT

    network: WindowNetwork
    calibration: WindowCalibration

    @classmethod
    def _own(cls, tensors: Tensors, manifest: Manifest, written_as: str) -> dict[str, Any]:
        architecture = msgspec.convert(manifest.architecture, WindowArchitecture)
        entry = msgspec.convert(manifest.calibration, WindowCalibrationEntry)
        layers = tuple(layer_of(tensors, name, cell) for name, cell, _ in architecture.layers)
        arrays: dict[str, Any] = {name: tensors[f"calibration.{name}"] for name in _ARRAYS}
        check_array("calibration.scales", arrays["scales"], np.float32, (architecture.channels,))
        return {
            "network": WindowNetwork(architecture, layers, tensors["head.weight"], tensors["head.bias"]),
            "calibration": WindowCalibration(
                **arrays, rows=entry.rows, cluster_rows=entry.cluster_rows, width=entry.width
            ),
        }

    def _network(self) -> tuple[WindowNetwork, Iterable[tuple[str, CellWeights]]]:
        names = (name for name, _, _ in self.network.architecture.layers)
        return self.network, zip(names, self.network.layers, strict=True)

    def _calibration(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        c = self.calibration
        return {name: getattr(c, name) for name in _ARRAYS}, {name: getattr(c, name) for name in _NUMBERS}


def is_window_bundle(path: str | Path) -> bool:
    """Say whether a file claims to be a whole-window model. Raises: BundleError when it is no bundle."""
    return bundle_format(path) == WINDOW_FORMAT
