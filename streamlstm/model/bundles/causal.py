"""A model bundle: everything a worker needs of a causal model, in one file (`streamlstm.model.bundles.codec`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from numpy.typing import NDArray

from streamlstm.kernels import CellWeights
from streamlstm.model.bundles.base import BundleBase, Tensors, layer_of
from streamlstm.model.bundles.codec import MODEL_FORMAT, MODEL_FORMAT_2
from streamlstm.model.bundles.manifest import Manifest
from streamlstm.model.bundles.stored_calibration import read_calibration, read_calibration_2, stored
from streamlstm.model.calibration import Calibration
from streamlstm.model.network import Architecture, Network

__all__ = ["ModelBundle"]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ModelBundle(BundleBase):
    """A network with its standardizer and calibration, and where it comes from."""

    FORMAT: ClassVar[str] = MODEL_FORMAT
    OLDER_FORMATS: ClassVar[tuple[str, ...]] = (MODEL_FORMAT_2,)

    network: Network
    calibration: Calibration

    @classmethod
    def _own(cls, tensors: Tensors, manifest: Manifest, written_as: str) -> dict[str, Any]:
        architecture = msgspec.convert(manifest.architecture, Architecture)
        layers = tuple(layer_of(tensors, f"layers.{i}", cell) for i, cell in enumerate(architecture.cells))
        read = read_calibration_2 if written_as == MODEL_FORMAT_2 else read_calibration
        prefix = "calibration."
        arrays = {name.removeprefix(prefix): tensors[name] for name in tensors if name.startswith(prefix)}
        return {
            "network": Network(architecture, layers, tensors["head.weight"], tensors["head.bias"]),
            "calibration": read(arrays, manifest.calibration),
        }

    def _network(self) -> tuple[Network, Iterable[tuple[str, CellWeights]]]:
        return self.network, ((f"layers.{i}", one) for i, one in enumerate(self.network.layers))

    def _calibration(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        return stored(self.calibration)
