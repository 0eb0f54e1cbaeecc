"""A training run on disk, to go on from after a stop or a kill, to the same bits as if it had never stopped.

One safetensors file with a digest, as a bundle is, written anew at every validation. It holds all that the next update
depends on: parameters, the best ones, moments, the lanes and their states, and the states of the random generators.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import BundleError, DataError
from streamlstm.model.bundles.codec import read_bundle, write_bundle
from streamlstm.training.trainable import TrainingIdentity

__all__ = ["TrainingCheckpoint"]

_FORMAT = "streamlstm.checkpoint/1"


@dataclass(frozen=True, slots=True)
class TrainingCheckpoint:
    """Where a training has come to; arrays are by group (`parameters`, `best`, …) and name."""

    identity: TrainingIdentity
    arrays: dict[str, dict[str, NDArray[Any]]]
    generators: dict[str, dict[str, Any]]
    """States of random generators: `bit_generator.state`."""
    progress: dict[str, Any]
    """Numbers, and lists of them."""

    def save(self, path: Path) -> None:
        """Write the file; one that was there is replaced in one step, or not at all.

        Raises: DataError when the disk refuses.
        """
        tensors = {
            f"{group}/{name}": np.ascontiguousarray(array)
            for group, arrays in self.arrays.items()
            for name, array in arrays.items()
        }
        manifest = {
            "format": _FORMAT,
            **self.identity._asdict(),
            # As text: the generators' whole numbers have 128 bits, and a loss may be no number.
            "generators": {name: json.dumps(state) for name, state in self.generators.items()},
            "progress": json.dumps(self.progress),
        }
        try:
            write_bundle(path, tensors, manifest)
        except BundleError as error:
            raise DataError(f"checkpoint {error}") from error

    @classmethod
    def load(cls, path: Path, *, identity: TrainingIdentity) -> TrainingCheckpoint:
        """Read a checkpoint of the training that is named. One of 0.2.0 does not say what it was validated on.

        Raises: DataError when it cannot be read, or is of another training.
        """
        try:
            tensors, manifest = read_bundle(path, expected=_FORMAT)
        except BundleError as error:
            raise DataError(f"checkpoint {error}; delete it to begin anew") from error
        if TrainingIdentity(manifest["training"], manifest.get("validation", identity.validation)) != identity:
            raise DataError(
                f"checkpoint {path}: expected one of this training, got one of other data or options; "
                "train as before to go on with it, or delete it to begin anew"
            )
        arrays: dict[str, dict[str, NDArray[Any]]] = {}
        for key, tensor in tensors.items():
            group, _, name = key.partition("/")
            arrays.setdefault(group, {})[name] = tensor
        generators = {name: json.loads(state) for name, state in manifest["generators"].items()}
        return cls(identity, arrays, generators, json.loads(manifest["progress"]))
