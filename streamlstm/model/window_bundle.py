"""The bundle of a whole-window model, in the file of `streamlstm.model.bundle_file`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamlstm import __version__
from streamlstm.errors import BundleError, ShapeError
from streamlstm.kernels import CELL_FIELDS, CellKind, CellWeights
from streamlstm.model.bundle_file import WINDOW_FORMAT, bundle_format, digest_of, read_bundle, write_bundle
from streamlstm.model.standardizer import Standardizer
from streamlstm.model.window_network import WindowArchitecture, WindowNetwork

__all__ = ["WindowBundle", "WindowCalibration", "is_window_bundle"]

_ARRAYS = ("scales", "statistics", "surprises", "fit")
_SCALARS = ("rows", "cluster_rows", "width")


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


@dataclass(frozen=True)
class WindowBundle:
    """A whole-window network with its standardizer and calibration, and where it comes from: fields as of ModelBundle.

    It scores recordings only: the estimate of a sample rests on samples that come after it.
    """

    network: WindowNetwork
    standardizer: Standardizer
    calibration: WindowCalibration
    channels: tuple[str, ...]
    period_s: float
    name: str = "model"
    version: int = 1
    units: tuple[str, ...] = ()
    created_at: str = ""
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name and version as scores and alerts carry them."""
        return f"{self.name}@{self.version}"

    @property
    def digest(self) -> str:
        """SHA-256 over tensors and manifest."""
        return digest_of(self._tensors(), self._manifest())

    def save(self, path: str | Path) -> None:
        """Write the bundle; a file that was there is replaced in one step, or not at all."""
        write_bundle(path, self._tensors(), self._manifest())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a bundle.

        Raises: BundleError when the file is missing, truncated, altered, foreign or of another format.
        """
        tensors, manifest = read_bundle(path, expected=WINDOW_FORMAT)
        try:
            architecture = WindowArchitecture(**manifest["architecture"])
            layers = []
            for name, cell, _ in architecture.layers:
                arrays = {part: tensors[key] for part in CELL_FIELDS if (key := f"{name}.{part}") in tensors}
                layers.append(CellWeights(CellKind(cell), **arrays))
            calibrated: dict[str, Any] = {name: tensors[f"calibration.{name}"] for name in _ARRAYS}
            return cls(
                network=WindowNetwork(architecture, tuple(layers), tensors["head.weight"], tensors["head.bias"]),
                standardizer=Standardizer(tensors["standardizer.mean"], tensors["standardizer.scale"]),
                calibration=WindowCalibration(**calibrated, **manifest["calibration"]),
                channels=tuple(manifest["channels"]),
                units=tuple(manifest["units"]),
                period_s=float(manifest["period_s"]),
                name=manifest["name"],
                version=manifest["version"],
                created_at=manifest["created_at"],
                training=manifest["training"],
            )
        except (KeyError, TypeError, ShapeError) as error:
            raise BundleError(f"{path}: the manifest and the tensors do not fit each other ({error})") from error

    def _tensors(self) -> dict[str, NDArray[Any]]:
        network = self.network
        tensors: dict[str, NDArray[Any]] = {
            "head.weight": network.head_weight,
            "head.bias": network.head_bias,
            "standardizer.mean": self.standardizer.mean,
            "standardizer.scale": self.standardizer.scale,
        }
        for (name, _, _), layer in zip(network.architecture.layers, network.layers, strict=True):
            tensors |= {f"{name}.{part}": a for part in CELL_FIELDS if (a := getattr(layer, part)) is not None}
        tensors |= {f"calibration.{name}": getattr(self.calibration, name) for name in _ARRAYS}
        return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}

    def _manifest(self) -> dict[str, Any]:
        return {
            "format": WINDOW_FORMAT,
            "library": __version__,
            "name": self.name,
            "version": self.version,
            "architecture": asdict(self.network.architecture),
            "channels": list(self.channels),
            "units": list(self.units),
            "period_s": self.period_s,
            "calibration": {name: getattr(self.calibration, name) for name in _SCALARS},
            "created_at": self.created_at,
            "training": self.training,
        }


def is_window_bundle(path: str | Path) -> bool:
    """Say whether a file claims to be a whole-window model. Raises: BundleError when it is no bundle."""
    return bundle_format(path) == WINDOW_FORMAT
