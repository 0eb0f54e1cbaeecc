"""A model as it was loaded: what identifies it, where it came from, and its bytes.

A model is identified by the digest that its file claims, which `ModelBundle.load` verifies. A digest computed anew may
differ from it: another release of the library writes another manifest of the same model.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from streamlstm.errors import BundleError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.codec import manifest_of
from streamlstm.model.bundles.registry import find

__all__ = ["LoadedModel", "Stamp", "find_model", "load_model", "model_of", "read_model", "stamp_of"]

_ATTEMPTS = 3


class Stamp(NamedTuple):
    """What changes when a link is switched or a file replaced."""

    target: str
    inode: int
    size: int
    modified_ns: int


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A bundle, the digest of its file, the file's bytes, the path it was asked for by and what that led to.

    `is_versioned`: the file is a version in a registry, which stays; any other file may be overwritten.
    """

    bundle: ModelBundle
    digest: str
    raw: bytes
    path: Path | None = None
    stamp: Stamp | None = None
    is_versioned: bool = False

    @property
    def label(self) -> str:
        """Name and version."""
        return self.bundle.label


def stamp_of(path: str | Path) -> Stamp | None:
    """Return what the path leads to now; None when that cannot be looked at."""
    try:
        target = Path(path).resolve()
        found = target.stat()
    except OSError:
        return None
    return Stamp(str(target), found.st_ino, found.st_size, found.st_mtime_ns)


def load_model(path: str | Path) -> LoadedModel:
    """Load and verify the bundle at a path, also while it is being replaced.

    Raises: BundleError.
    """
    for _ in range(_ATTEMPTS):
        before = stamp_of(path)
        bundle = ModelBundle.load(path)
        try:
            raw = Path(path).read_bytes()
        except OSError as error:
            raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
        if stamp_of(path) == before:
            digest = _claimed(raw)
            is_versioned = find(_folder(path), digest) is not None
            return LoadedModel(bundle, digest, raw, Path(path), before, is_versioned)
    raise BundleError(f"{path}: changed while it was being read, {_ATTEMPTS} times; replace it in one step (mv)")


def model_of(bundle: ModelBundle) -> LoadedModel:
    """Return a bundle that was made in this process as if it had been loaded."""
    with tempfile.TemporaryDirectory(prefix="streamlstm-") as folder:
        file = Path(folder) / "model.safetensors"
        bundle.save(file)
        raw = file.read_bytes()
    return LoadedModel(bundle, _claimed(raw), raw)


def read_model(raw: bytes) -> LoadedModel:
    """Load and verify a bundle from its bytes. Raises: BundleError."""
    with tempfile.TemporaryDirectory(prefix="streamlstm-") as folder:
        file = Path(folder) / "model.safetensors"
        file.write_bytes(raw)
        return LoadedModel(ModelBundle.load(file), _claimed(raw), raw)


def find_model(path: str | Path, digest: str) -> LoadedModel | None:
    """Return the model of that digest: what the path leads to, or a version beside it; None when it is neither.

    Raises: BundleError when the version's file is broken.
    """
    try:
        if (model := load_model(path)).digest == digest:
            return model
    except BundleError:  # what the path leads to is of no concern here
        pass
    version = find(_folder(path), digest)
    return None if version is None else load_model(version)


def _folder(path: str | Path) -> Path:
    return Path(path).parent


def _claimed(raw: bytes) -> str:
    """Return the digest in the manifest of a file that was verified."""
    return str(manifest_of(raw)["digest"])
