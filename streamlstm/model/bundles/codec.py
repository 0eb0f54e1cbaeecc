"""The file of a bundle: tensors in safetensors, one JSON manifest in its metadata, a digest over both.

Nothing in it executes. A reader refuses what it does not know and says what it met.
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as encode_tensors

from streamlstm.errors import BundleError
from streamlstm.model.bundles.whole_file import replace_file

__all__ = [
    "MODEL_FORMAT",
    "MODEL_FORMAT_2",
    "WINDOW_FORMAT",
    "bundle_format",
    "digest_of",
    "manifest_of",
    "metadata_of",
    "read_bundle",
    "write_bundle",
]

MODEL_FORMAT = "streamlstm.bundle/3"
"""A causal model: scores sample by sample."""
MODEL_FORMAT_2 = "streamlstm.bundle/2"
"""The same before branches and tails had names; read, no longer written."""
WINDOW_FORMAT = "streamlstm.window-bundle/1"
"""A whole-window model: scores recordings."""

_KEY = "streamlstm"


def write_bundle(path: str | Path, tensors: dict[str, NDArray[Any]], manifest: dict[str, Any]) -> None:
    """Write tensors and manifest; a file that was there is replaced in one step, or not at all.

    Raises: BundleError when the disk refuses.
    """
    metadata = {_KEY: msgspec.json.encode(manifest | {"digest": digest_of(tensors, manifest)}).decode()}
    replace_file(Path(path), encode_tensors(tensors, metadata=metadata))


def read_bundle(
    path: str | Path, *, expected: str, older: tuple[str, ...] = ()
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read tensors and manifest of a bundle in the format `expected`, or in one of those before it.

    Raises: BundleError when the file is missing, truncated, altered, foreign or of another format.
    """
    metadata, tensors = _read(path, with_tensors=True)
    manifest = _manifest(path, metadata)
    if manifest.get("format") not in (expected, *older):
        _refuse(path, manifest, expected, older)
    claimed = manifest.pop("digest", None)
    found = digest_of(tensors, manifest)
    if claimed != found:
        raise BundleError(
            f"{path}: the digest does not match: the manifest says {claimed}, the content has {found}; "
            "the file was altered"
        )
    return tensors, manifest


def bundle_format(path: str | Path) -> str:
    """Say which format a file claims to be, without verifying the rest of it.

    Raises: BundleError when it is no bundle.
    """
    metadata, _ = _read(path, with_tensors=False)
    return str(_manifest(path, metadata).get("format"))


def digest_of(tensors: dict[str, NDArray[Any]], manifest: dict[str, Any]) -> str:
    """Return the SHA-256 of every tensor's name, type, shape and bytes, then the manifest, in one fixed order."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        sha.update(f"{name}\0{tensor.dtype.str}\0{tensor.shape}\0".encode())
        sha.update(tensor.tobytes())
    sha.update(msgspec.json.encode(manifest, order="deterministic"))
    return sha.hexdigest()


def metadata_of(raw: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file from its bytes: the library reads it from a path only.

    A file begins with the length of its header (8 bytes, little-endian) and the header, which is JSON.
    Raises: msgspec.DecodeError when the header is truncated or altered.
    """
    length = int.from_bytes(raw[:8], "little")
    return msgspec.json.decode(raw[8 : 8 + length], type=_Header).metadata


def manifest_of(raw: bytes) -> dict[str, Any]:
    """Return the manifest in the bytes of a bundle that was verified."""
    return msgspec.json.decode(metadata_of(raw)[_KEY], type=dict[str, Any])


class _Header(msgspec.Struct):
    metadata: dict[str, str] = msgspec.field(name="__metadata__", default_factory=dict)


def _read(path: str | Path, *, with_tensors: bool) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    try:
        with safe_open(str(path), framework="numpy") as file:
            names = file.keys() if with_tensors else ()
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except OSError as error:
        reason = os.strerror(errno.EISDIR) if Path(path).is_dir() else error.strerror or error
        raise BundleError(f"{path}: cannot be read ({reason})") from error
    except SafetensorError as error:
        raise BundleError(
            f"{path}: expected a whole safetensors file, got one that is truncated or foreign ({error})"
        ) from error


def _manifest(path: str | Path, metadata: dict[str, str]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise BundleError(f"{path}: expected a streamlstm bundle, got a safetensors file without its manifest")
    try:
        return msgspec.json.decode(metadata[_KEY], type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BundleError(f"{path}: the manifest is not JSON ({error}); the file was altered") from error


def _refuse(path: str | Path, manifest: dict[str, Any], expected: str, older: tuple[str, ...]) -> NoReturn:
    found = manifest.get("format")
    if (expected, found) == (MODEL_FORMAT, WINDOW_FORMAT):
        arrangement = manifest.get("architecture", {}).get("arrangement")
        raise BundleError(
            f"{path}: expected a causal model, got a whole-window one ({arrangement}), which needs samples that come "
            "after the one it scores; score recordings with it (streamlstm score), or train without --arrangement"
        )
    if expected == WINDOW_FORMAT and found in (MODEL_FORMAT, MODEL_FORMAT_2):
        raise BundleError(f"{path}: expected a whole-window model, got a causal one")
    raise BundleError(
        f"{path}: this release reads {' and '.join((expected, *older))}, the file is {found!r} "
        f"(written by streamlstm {manifest.get('library', 'unknown')}); train again or use that release"
    )
