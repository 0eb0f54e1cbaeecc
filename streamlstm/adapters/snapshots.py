"""How a snapshot is cut into key-value pairs of bounded size, and put together again only when it is whole.

A partition has two generations, `a` and `b`, written in turn: a save that is interrupted spoils the older one and
leaves the last complete one as it was. Keys are GROUP/TOPIC/PARTITION/GENERATION/CHUNK (group and topic
percent-encoded, so that `/` stays the separator); the pair with CHUNK = `manifest` is written last and carries what the
chunks must add up to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from streamlstm.errors import SnapshotError
from streamlstm.ports import Snapshot
from streamlstm.types import TopicPartition

__all__ = ["CHUNK_BYTES", "Generation", "generation_prefix", "key_prefix", "newest", "pack"]

CHUNK_BYTES = 900_000
"""Kafka refuses records above 1,048,588 bytes unless told otherwise; this leaves room for key, headers and batch."""

_FORMAT = 1


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the chunks of one generation add up to. `sequence` grows by one with each save."""

    format: int
    sequence: int
    offset: int
    chunks: int
    size: int
    sha256: str


class Generation(NamedTuple):
    """The generation that holds a complete snapshot."""

    letter: str
    """`a` or `b`."""
    sequence: int
    """How many saves there have been, up to its own."""


def key_prefix(group: str, partition: TopicPartition) -> str:
    """Return the prefix that every key of a partition's snapshots begins with."""
    return f"{quote(group, safe='')}/{quote(partition.topic, safe='')}/{partition.partition}/"


def generation_prefix(prefix: str, after: Generation | None) -> str:
    """Return the prefix of the generation to write next: the one that the newest complete snapshot does not occupy."""
    return f"{prefix}{'b' if after is not None and after.letter == 'a' else 'a'}/"


def pack(
    prefix: str, snapshot: Snapshot, after: Generation | None, *, chunk_bytes: int = CHUNK_BYTES
) -> tuple[list[tuple[str, bytes]], Generation]:
    """Cut a snapshot into pairs, in the order in which they must be written; also return their generation."""
    target = generation_prefix(prefix, after)
    payload = memoryview(snapshot.payload)
    chunks = [bytes(payload[at : at + chunk_bytes]) for at in range(0, len(payload), chunk_bytes)]
    manifest = _Manifest(
        format=_FORMAT,
        sequence=1 if after is None else after.sequence + 1,
        offset=snapshot.offset,
        chunks=len(chunks),
        size=len(payload),
        sha256=hashlib.sha256(payload).hexdigest(),
    )
    pairs = [(f"{target}{index}", chunk) for index, chunk in enumerate(chunks)]
    pairs.append((f"{target}manifest", msgspec.json.encode(manifest)))
    return pairs, Generation(target[-2], manifest.sequence)


def newest(prefix: str, pairs: Mapping[str, bytes]) -> tuple[Snapshot, Generation] | None:
    """Return the newest snapshot whose chunks are all there and add up; None when none was ever finished.

    A manifest is written last, and a save leaves the other generation alone: where there are manifests and no whole
    generation, something else than an interrupted save has changed the pairs.
    Raises: SnapshotError when it has, or when a manifest was written by another version of the format.
    """
    whole = [found for letter in "ab" if (found := _assemble(prefix, letter, pairs)) is not None]
    manifests = [key for letter in "ab" if (key := f"{prefix}{letter}/manifest") in pairs]
    if manifests and not whole:
        raise SnapshotError(
            f"expected a whole snapshot of {' or '.join(manifests)}, got chunks that do not add up to it"
        )
    return max(whole, key=lambda found: found[1].sequence, default=None)


def _assemble(prefix: str, letter: str, pairs: Mapping[str, bytes]) -> tuple[Snapshot, Generation] | None:
    key = f"{prefix}{letter}/manifest"
    raw = pairs.get(key)
    if raw is None:
        return None
    try:
        manifest = msgspec.json.decode(raw, type=_Manifest)
    except msgspec.DecodeError:
        return None
    if manifest.format != _FORMAT:
        raise SnapshotError(
            f"snapshot {key}: expected format {_FORMAT}, got {manifest.format}; "
            "it was written by another version of streamlstm: run that version, or choose another app.id"
        )
    if not 0 <= manifest.chunks <= len(pairs):
        return None
    chunks = [pairs.get(f"{prefix}{letter}/{index}") for index in range(manifest.chunks)]
    payload = b"".join(chunk for chunk in chunks if chunk is not None)
    # A chunk that is missing, cut short or left over from another save changes the digest.
    if len(payload) != manifest.size or hashlib.sha256(payload).hexdigest() != manifest.sha256:
        return None
    return Snapshot(manifest.offset, payload), Generation(letter, manifest.sequence)
