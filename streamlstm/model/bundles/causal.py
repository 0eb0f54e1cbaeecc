"""A model bundle: everything a worker needs of a causal model, in one file (`streamlstm.model.bundles.codec`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from streamlstm.kernels import CellWeights
from streamlstm.model.bundles.base import BundleBase, Tensors, layer_of
from streamlstm.model.bundles.codec import MODEL_FORMAT
from streamlstm.model.calibration import Calibration
from streamlstm.model.network import Architecture, Network

__all__ = ["ModelBundle"]


@dataclass(frozen=True, kw_only=True)
class ModelBundle(BundleBase):
    """A network with its standardizer and calibration, and where it comes from."""

    FORMAT: ClassVar[str] = MODEL_FORMAT
    SCALARS: ClassVar[tuple[str, ...]] = ("rows", "cluster_rows", "burn_in", "warm_up", "horizon")
    STORED_AS: ClassVar[Mapping[str, str]] = {"burn_in": "settle"}

    network: Network
    calibration: Calibration

    @classmethod
    def _own(cls, tensors: Tensors, manifest: dict[str, Any]) -> dict[str, Any]:
        architecture = Architecture(**manifest["architecture"])
        layers = tuple(layer_of(tensors, f"layers.{i}", cell) for i, cell in enumerate(architecture.cells))
        arrays: dict[str, Any] = {
            f.name: tensors[f"calibration.{f.name}"] for f in fields(Calibration) if f.name not in cls.SCALARS
        }
        fields_of = {stored: name for name, stored in cls.STORED_AS.items()}
        scalars = {fields_of.get(stored, stored): value for stored, value in manifest["calibration"].items()}
        return {
            "network": Network(architecture, layers, tensors["head.weight"], tensors["head.bias"]),
            "calibration": Calibration(**arrays, **scalars),
        }

    def _parts(self) -> tuple[Network, Calibration, Iterable[tuple[str, CellWeights]]]:
        return self.network, self.calibration, ((f"layers.{i}", one) for i, one in enumerate(self.network.layers))
