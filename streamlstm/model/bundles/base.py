"""What every bundle holds beside its network and calibration, and how it goes into its file and out of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm._version import __version__
from streamlstm.errors import BundleError, ShapeError, UsageError
from streamlstm.kernels import CELL_FIELDS, CellKind, CellWeights
from streamlstm.model.bundles.codec import digest_of, read_bundle, write_bundle
from streamlstm.model.bundles.manifest import Manifest
from streamlstm.model.channels import ChannelDeclaration, ChannelRules, check_declarations
from streamlstm.model.display import Displayed, Facts, counted, first_few, one_line, shown_period
from streamlstm.model.standardizer import Standardizer

__all__ = ["BundleBase", "Tensors", "layer_of", "tensors_of"]

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BundleBase(Displayed):
    """A value that is not changed any more. Bundles are equal where their digests are.

    Units: period_s in seconds, 0 = unknown; created_at RFC 3339.
    `training` holds what was said of the training: data fingerprint, sizes, losses, seed, options; `declared` what was
    declared of channels, by name.
    """

    FORMAT: ClassVar[str]
    OLDER_FORMATS: ClassVar[tuple[str, ...]] = ()
    """Formats of earlier releases, which are read too."""

    standardizer: Standardizer
    channels: tuple[str, ...]
    period_s: float
    name: str = "model"
    version: int = 1
    units: tuple[str, ...] = ()
    created_at: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    declared: Mapping[str, ChannelDeclaration] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name and version as scores and alerts carry them, e.g. `vitals@7`."""
        return f"{self.name}@{self.version}"

    @property
    def period_rows(self) -> int:
        """Samples of the period that was found in the training data; 0 = none, or another program does not say."""
        rows = self.training.get("period_rows")
        return rows if isinstance(rows, int) and rows > 0 else 0

    @cached_property
    def channel_rules(self) -> ChannelRules:
        """What is declared of all channels, as kernels take it."""
        return ChannelRules.of(self.declared, self.channels, self.standardizer)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over tensors and manifest, which name the format too: bundles of two kinds never share one."""
        return digest_of(self._tensors(), self._manifest())

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, BundleBase) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def save(self, path: str | Path) -> None:
        """Write the bundle; a file that was there is replaced in one step, or not at all."""
        write_bundle(path, self._tensors(), self._manifest())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a bundle.

        Raises: BundleError when the file is missing, truncated, altered, foreign or of another format.
        """
        tensors, entries = read_bundle(path, expected=cls.FORMAT, older=cls.OLDER_FORMATS)
        try:
            manifest = msgspec.convert(entries, Manifest)
            _need_finite(tensors)
            bundle = cls(
                **cls._own(tensors, manifest, entries["format"]),
                standardizer=Standardizer(tensors["standardizer.mean"], tensors["standardizer.scale"]),
                channels=manifest.channels,
                period_s=manifest.period_s,
                units=manifest.units,
                name=manifest.name,
                version=manifest.version,
                created_at=manifest.created_at,
                training=manifest.training,
                declared=manifest.declarations,
            )
            check_declarations(bundle.declared, bundle.channels)
            _need_channels(bundle)
        except KeyError as error:
            raise BundleError(f"{path}: expected a tensor or an entry {error}, got none; train again") from error
        except (ShapeError, UsageError, msgspec.ValidationError) as error:
            raise BundleError(
                f"{path}: the manifest and the tensors do not fit each other ({error}); train again"
            ) from error
        return bundle

    @classmethod
    @abstractmethod
    def _own(cls, tensors: Tensors, manifest: Manifest, written_as: str) -> dict[str, Any]:
        """Return network and calibration, read from a file of the format `written_as`."""

    @abstractmethod
    def _network(self) -> tuple[Any, Iterable[tuple[str, CellWeights]]]:
        """Return the network, and the layers by their names."""

    @abstractmethod
    def _calibration(self) -> tuple[Mapping[str, NDArray[Any]], dict[str, Any]]:
        """Return the calibration's arrays by their names, and what stands in the manifest of it."""

    def _facts(self) -> Facts:
        network, _ = self._network()
        return Facts(
            f"{type(self).__name__} {one_line(self.label)}",
            (
                (("network", network.architecture.summary),),
                (("channels", first_few(self.channels)), ("period", shown_period(self.period_s))),
                (("trained on", _trained_on(self.training)), ("digest", f"{self.digest[:16]}…")),
            ),
        )

    def _tensors(self) -> Tensors:
        network, layers = self._network()
        tensors: Tensors = {
            "head.weight": network.head_weight,
            "head.bias": network.head_bias,
            "standardizer.mean": self.standardizer.mean,
            "standardizer.scale": self.standardizer.scale,
        }
        for name, layer in layers:
            tensors |= {f"{name}.{part}": array for part, array in tensors_of(layer).items()}
        tensors |= {f"calibration.{name}": array for name, array in self._calibration()[0].items()}
        return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}

    def _manifest(self) -> dict[str, Any]:
        network, _ = self._network()
        declared = {name: asdict(one) for name, one in self.declared.items() if one != ChannelDeclaration()}
        return {
            "format": self.FORMAT,
            "library": __version__,
            "name": self.name,
            "version": self.version,
            "architecture": asdict(network.architecture),
            "channels": list(self.channels),
            "units": list(self.units),
            "period_s": self.period_s,
            "calibration": self._calibration()[1],
            "created_at": self.created_at,
            "training": self.training,
        } | ({"declarations": declared} if declared else {})


def _trained_on(training: Mapping[str, Any]) -> str:
    """Return how much data a bundle says it has seen; other programs may write that as they like."""
    rows, streams = training.get("rows"), training.get("streams")
    if not isinstance(rows, int) or not isinstance(streams, int):
        return "unknown data"
    return f"{counted(rows, 'row')} of {counted(streams, 'stream')}"


def _need_finite(tensors: Tensors) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise ShapeError(f"{name}: expected finite numbers")


def _need_channels(bundle: BundleBase) -> None:
    """Raise ShapeError unless network, standardizer and names have the same channels."""
    network, _ = bundle._network()
    counts = {
        "network": network.architecture.channels,
        "standardizer": len(bundle.standardizer.mean),
        "names": len(bundle.channels),
    }
    if len(set(counts.values())) != 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ShapeError(f"channels: expected as many everywhere, got {told}")


def tensors_of(layer: CellWeights) -> Tensors:
    """Return the arrays that a layer has, by field."""
    return {part: array for part in CELL_FIELDS if (array := getattr(layer, part)) is not None}


def layer_of(tensors: Tensors, name: str, cell: str) -> CellWeights:
    """Return a layer from the tensors whose names begin with its own."""
    given = {part: tensors[key] for part in CELL_FIELDS if (key := f"{name}.{part}") in tensors}
    needed = {part: tensors[f"{name}.{part}"] for part in ("w_ih", "w_hh", "bias")}
    return CellWeights(CellKind(cell), **given | needed)
