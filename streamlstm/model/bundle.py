"""A model bundle: everything a worker needs of a causal model, in one file (`streamlstm.model.bundle_file`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamlstm import __version__
from streamlstm.errors import BundleError, ShapeError
from streamlstm.kernels import CELL_FIELDS, CellKind, CellWeights
from streamlstm.model.bundle_file import MODEL_FORMAT as FORMAT
from streamlstm.model.bundle_file import digest_of, read_bundle, write_bundle
from streamlstm.model.calibration import Calibration
from streamlstm.model.network import Architecture, Network
from streamlstm.model.standardizer import Standardizer

__all__ = ["FORMAT", "ModelBundle"]

_SCALARS = ("rows", "cluster_rows", "settle", "warm_up", "horizon")


@dataclass(frozen=True)
class ModelBundle:
    """A network with its standardizer and calibration, and where it comes from.

    Units: period_s in seconds, 0 = unknown; created_at RFC 3339. `training` holds what was said of the training: data
    fingerprint, sizes, losses, seed, options.
    """

    network: Network
    standardizer: Standardizer
    calibration: Calibration
    channels: tuple[str, ...]
    period_s: float
    name: str = "model"
    version: int = 1
    units: tuple[str, ...] = ()
    created_at: str = ""
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name and version as scores and alerts carry them, e.g. `vitals@7`."""
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

        Raises: BundleError when the file is missing, truncated, altered, foreign or of another version.
        """
        tensors, manifest = read_bundle(path, expected=FORMAT)
        try:
            return cls._assemble(manifest, tensors)
        except (KeyError, TypeError, ShapeError) as error:
            raise BundleError(f"{path}: the manifest and the tensors do not fit each other ({error})") from error

    @classmethod
    def _assemble(cls, manifest: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Self:
        architecture = Architecture(**manifest["architecture"])
        layers = []
        for index, cell in enumerate(architecture.cells):
            named = {name: f"layers.{index}.{name}" for name in CELL_FIELDS}
            layers.append(
                CellWeights(CellKind(cell), **{n: tensors[key] for n, key in named.items() if key in tensors})
            )
        arrays: dict[str, Any] = {
            f.name: tensors[f"calibration.{f.name}"] for f in fields(Calibration) if f.name not in _SCALARS
        }
        return cls(
            network=Network(architecture, tuple(layers), tensors["head.weight"], tensors["head.bias"]),
            standardizer=Standardizer(tensors["standardizer.mean"], tensors["standardizer.scale"]),
            calibration=Calibration(**arrays, **manifest["calibration"]),
            channels=tuple(manifest["channels"]),
            units=tuple(manifest["units"]),
            period_s=float(manifest["period_s"]),
            name=manifest["name"],
            version=manifest["version"],
            created_at=manifest["created_at"],
            training=manifest["training"],
        )

    def _tensors(self) -> dict[str, NDArray[Any]]:
        tensors: dict[str, NDArray[Any]] = {
            "head.weight": self.network.head_weight,
            "head.bias": self.network.head_bias,
            "standardizer.mean": self.standardizer.mean,
            "standardizer.scale": self.standardizer.scale,
        }
        for index, layer in enumerate(self.network.layers):
            for part in CELL_FIELDS:
                if (array := getattr(layer, part)) is not None:
                    tensors[f"layers.{index}.{part}"] = array
        for f in fields(Calibration):
            if f.name not in _SCALARS:
                tensors[f"calibration.{f.name}"] = getattr(self.calibration, f.name)
        return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}

    def _manifest(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
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
