"""A model bundle: everything a worker needs of a model, in one safetensors file.

The tensors are the file's; its metadata holds one JSON manifest under the key `streamlstm`, with a digest over tensors
and manifest. Nothing in it executes. A reader refuses what it does not know and says what it met.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as encode_tensors

from streamlstm import __version__
from streamlstm.errors import BundleError, ShapeError
from streamlstm.kernels import CELL_FIELDS, CellKind, CellWeights
from streamlstm.model.calibration import Calibration
from streamlstm.model.network import Architecture, Network
from streamlstm.model.standardizer import Standardizer

__all__ = ["FORMAT", "ModelBundle"]

FORMAT = "streamlstm.bundle/2"
_KEY = "streamlstm"
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
        return _digest(self._tensors(), self._manifest())

    def save(self, path: str | Path) -> None:
        """Write the bundle; a file that was there is replaced in one step, or not at all."""
        tensors, manifest = self._tensors(), self._manifest()
        metadata = {_KEY: msgspec.json.encode(manifest | {"digest": _digest(tensors, manifest)}).decode()}
        target = Path(path)
        draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            draft.write_bytes(encode_tensors(tensors, metadata=metadata))
            draft.replace(target)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            raise BundleError(
                f"{target}: cannot be written ({error.strerror}); the file before it, if any, is as it was"
            ) from error

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a bundle.

        Raises: BundleError when the file is missing, truncated, altered, foreign or of another version.
        """
        try:
            with safe_open(str(path), framework="numpy") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except OSError as error:
            raise BundleError(f"{path}: cannot be read ({error.strerror or error})") from error
        except SafetensorError as error:
            raise BundleError(
                f"{path}: expected a whole safetensors file, got one that is truncated or foreign ({error})"
            ) from error
        manifest = _read_manifest(path, metadata)
        claimed = manifest.pop("digest", None)
        found = _digest(tensors, manifest)
        if claimed != found:
            raise BundleError(
                f"{path}: the digest does not match: the manifest says {claimed}, the content has {found}; "
                "the file was altered"
            )
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


def _read_manifest(path: str | Path, metadata: dict[str, str]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise BundleError(f"{path}: expected a streamlstm bundle, got a safetensors file without its manifest")
    try:
        manifest = msgspec.json.decode(metadata[_KEY], type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BundleError(f"{path}: the manifest is not JSON ({error}); the file was altered") from error
    if manifest.get("format") != FORMAT:
        raise BundleError(
            f"{path}: this release reads {FORMAT}, the file is {manifest.get('format')!r} "
            f"(written by streamlstm {manifest.get('library', 'unknown')}); train again or use that release"
        )
    return manifest


def _digest(tensors: dict[str, NDArray[Any]], manifest: dict[str, Any]) -> str:
    """Hash every tensor's name, type, shape and bytes, then the manifest, in one fixed order."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        sha.update(f"{name}\0{tensor.dtype.str}\0{tensor.shape}\0".encode())
        sha.update(tensor.tobytes())
    sha.update(msgspec.json.encode(manifest, order="deterministic"))
    return sha.hexdigest()
