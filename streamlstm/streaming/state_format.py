"""The bytes of a partition's state: one safetensors blob, its manifest in the metadata. Nothing in it executes.

    INDEX.NAME        an array of the model INDEX of the manifest
    INDEX/streams     its stream ids, a JSON array as uint8
    INDEX/alerts      its alerts, JSON as uint8

What grows with the number of streams is a tensor: the metadata of a safetensors file has 100 MB at most. In state/3,
which is read too, ids and alerts stood in the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as decode_tensors
from safetensors.numpy import save as encode_tensors

from streamlstm._version import __version__
from streamlstm.errors import SnapshotError
from streamlstm.model.bundles.codec import metadata_of
from streamlstm.scoring.silences import SilenceState

__all__ = ["FORMAT", "ModelState", "decode_silences", "decode_state", "encode_state"]

FORMAT = "streamlstm.state/4"
FORMAT_3 = "streamlstm.state/3"
_KEY = "streamlstm"
_SILENCES = "silences"


class ModelState(msgspec.Struct):
    """Streams of one model: ids in the order of the arrays' rows, and the alerts that are not idle.

    `match` is the pattern of the route they belong to, and `rank` says whose scores they have: 0 for the route's newest
    model, which knows every stream, 1 and up for older ones, of which some streams have not left yet. `path` is
    where the model was loaded from; `arrays` may hold the bundle itself (`bundle`, uint8).
    `isa` is the level of the instruction set whose bits the arrays are.
    """

    match: str
    rank: int
    label: str
    digest: str
    path: str
    isa: str
    streams: list[str] = []
    alerts: msgspec.Raw = msgspec.Raw(b"{}")
    arrays: dict[str, Any] = {}


class _Manifest(msgspec.Struct):
    format: str
    library: str
    models: list[ModelState]
    counts: dict[str, int] = {}


def encode_state(models: list[ModelState], counts: Mapping[str, int], silences: SilenceState | None = None) -> bytes:
    """Return the state as bytes."""
    tensors: dict[str, NDArray[Any]] = {}
    for index, model in enumerate(models):
        tensors |= {f"{index}.{name}": np.ascontiguousarray(array) for name, array in model.arrays.items()}
        tensors[f"{index}/streams"] = np.frombuffer(msgspec.json.encode(model.streams), np.uint8)
        tensors[f"{index}/alerts"] = np.frombuffer(bytes(model.alerts), np.uint8)
    if silences is not None:
        tensors[_SILENCES] = np.frombuffer(msgspec.json.encode(silences), np.uint8)
    entries = [
        msgspec.structs.replace(model, streams=[], alerts=msgspec.Raw(b"{}"), arrays={}) for model in models
    ]  # the tensors hold these
    manifest = _Manifest(FORMAT, __version__, entries, dict(counts))
    return encode_tensors(tensors, metadata={_KEY: msgspec.json.encode(manifest).decode()})


def decode_silences(payload: bytes) -> SilenceState | None:
    """Read the silences of a state that `decode_state` has read; None where it holds none.

    Raises: SnapshotError when they are not what they are called.
    """
    held = decode_tensors(payload).get(_SILENCES)
    try:
        return None if held is None else msgspec.json.decode(held.tobytes(), type=SilenceState)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"expected the silences of a partition, got others ({error})") from error


def decode_state(payload: bytes) -> tuple[list[ModelState], dict[str, int]]:
    """Read what `encode_state` returned.

    Raises: SnapshotError when the bytes are truncated, altered or of another version.
    """
    try:
        manifest_text = metadata_of(payload)[_KEY]
        tensors = decode_tensors(payload)
        claimed = msgspec.json.decode(manifest_text, type=dict[str, Any])
        if claimed.get("format") not in (FORMAT, FORMAT_3):
            raise SnapshotError(
                f"this release reads {FORMAT} and {FORMAT_3}, the snapshot is {claimed.get('format')!r} "
                f"(written by streamlstm {claimed.get('library', 'unknown')})"
            )
        manifest = msgspec.json.decode(manifest_text, type=_Manifest)
        if manifest.format == FORMAT:
            for index, model in enumerate(manifest.models):
                model.streams = msgspec.json.decode(tensors[f"{index}/streams"].tobytes(), type=list[str])
                model.alerts = msgspec.Raw(tensors[f"{index}/alerts"].tobytes())
    except (SafetensorError, msgspec.DecodeError, KeyError, UnicodeDecodeError) as error:
        raise SnapshotError(f"expected a whole {FORMAT}, got bytes that are truncated or altered ({error})") from error
    for index, model in enumerate(manifest.models):
        prefix = f"{index}."
        model.arrays = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        if len(set(model.streams)) != len(model.streams):
            raise SnapshotError(f"model {model.label}: expected each stream once, got some twice")
    return manifest.models, manifest.counts
