"""Only whole snapshots are ever returned, in both stores: whatever is cut short or altered, an older one stands in."""

from __future__ import annotations

import random

import pytest

from streamlstm.adapters.snapshots import CHUNK_BYTES, Generation, key_prefix, newest, pack
from streamlstm.errors import SnapshotError
from streamlstm.ports import Snapshot
from streamlstm.types import TopicPartition

PARTITION = TopicPartition("telemetry.ward", 3)
LARGE = random.Random(5).randbytes(2_000_003)


def prefix_of(log):
    return key_prefix(f"{log.prefix}/g", PARTITION)


def test_the_newest_of_many_is_returned_to_a_new_process(log):
    store = log.snapshots()
    assert store.load(PARTITION) is None
    for snapshot in (Snapshot(10, LARGE), Snapshot(20, b"small"), Snapshot(30, LARGE[:1_000_000]), Snapshot(25, b"")):
        store.save(PARTITION, snapshot)
        assert log.snapshots().load(PARTITION) == snapshot
    assert store.load(PARTITION) == Snapshot(25, b"")


def test_groups_and_partitions_do_not_see_each_other(log):
    store = log.snapshots()
    store.save(PARTITION, Snapshot(1, b"three"))
    store.save(TopicPartition("telemetry.ward", 33), Snapshot(2, b"thirty-three"))
    other = log.snapshots(group="g/telemetry.ward")
    assert other.load(PARTITION) is None
    assert store.load(TopicPartition("telemetry.ward", 0)) is None
    assert store.load(PARTITION) == Snapshot(1, b"three")


@pytest.mark.parametrize("kept", [1, 2])
def test_a_save_that_was_interrupted_leaves_the_one_before(log, kept):
    store = log.snapshots()
    store.save(PARTITION, Snapshot(10, b"first"))
    store.save(PARTITION, Snapshot(20, LARGE))
    pairs, _ = pack(prefix_of(log), Snapshot(30, LARGE[::-1]), Generation("b", 2))
    assert len(pairs) == 4
    log.put_snapshot_pairs(dict(pairs[:kept]))
    fresh = log.snapshots()
    assert fresh.load(PARTITION) == Snapshot(20, LARGE)
    fresh.save(PARTITION, Snapshot(40, b"after"))
    assert log.snapshots().load(PARTITION) == Snapshot(40, b"after")


def test_an_altered_chunk_is_never_returned(log):
    store = log.snapshots()
    store.save(PARTITION, Snapshot(10, b"first"))
    store.save(PARTITION, Snapshot(20, LARGE))
    chunk = bytearray(LARGE[CHUNK_BYTES : 2 * CHUNK_BYTES])
    chunk[77] ^= 1
    log.put_snapshot_pairs({prefix_of(log) + "b/1": bytes(chunk)})
    assert log.snapshots().load(PARTITION) == Snapshot(10, b"first")
    log.put_snapshot_pairs({prefix_of(log) + "a/0": b"f1rst"})
    damaged = log.snapshots()
    for _ in range(2):
        with pytest.raises(SnapshotError, match=r"expected a whole snapshot of .*/3/a/manifest or .*/3/b/manifest"):
            damaged.load(PARTITION)
    damaged.save(PARTITION, Snapshot(30, b"third"))  # whoever starts cold writes over it
    assert log.snapshots().load(PARTITION) == Snapshot(30, b"third")


def test_every_missing_pair_makes_a_snapshot_incomplete():
    prefix = key_prefix("app/1", PARTITION)
    assert prefix == "app%2F1/telemetry.ward/3/"
    pairs, generation = pack(prefix, Snapshot(7, b"abcdefgh"), None, chunk_bytes=3)
    assert generation == Generation("a", 1)
    assert [len(value) for _, value in pairs[:-1]] == [3, 3, 2]
    assert newest(prefix, dict(pairs)) == (Snapshot(7, b"abcdefgh"), generation)
    *chunks, manifest = pairs
    assert newest(prefix, dict(chunks)) is None  # the first save of all was interrupted
    for key, _ in chunks:
        with pytest.raises(SnapshotError, match="expected a whole snapshot"):
            newest(prefix, {at: value for at, value in pairs if at != key})
    for count in (b"1000000000", b"-1"):
        huge = manifest[1].replace(b'"chunks":3', b'"chunks":' + count)
        with pytest.raises(SnapshotError, match="expected a whole snapshot"):
            newest(prefix, {**dict(chunks), manifest[0]: huge})


def test_a_snapshot_of_another_format_is_refused_by_name():
    prefix = key_prefix("app", PARTITION)
    pairs = dict(pack(prefix, Snapshot(7, b"abc"), None)[0])
    manifest = prefix + "a/manifest"
    pairs[manifest] = pairs[manifest].replace(b'"format":1', b'"format":9')
    with pytest.raises(SnapshotError, match=r"a/manifest: expected format 1, got 9"):
        newest(prefix, pairs)


def test_generations_are_written_in_turn_and_numbered_in_order():
    prefix = key_prefix("app", PARTITION)
    newest_one, letters = None, []
    for number in range(1, 5):
        pairs, newest_one = pack(prefix, Snapshot(7, b"abc"), newest_one)
        assert newest_one.sequence == number
        assert {key for key, _ in pairs} == {f"{prefix}{newest_one.letter}/{part}" for part in ("0", "manifest")}
        letters.append(newest_one.letter)
    assert letters == ["a", "b", "a", "b"]


@pytest.mark.parametrize("manifest", [b"", b"{", b'{"format":1}', b"whole, and more"])
def test_a_manifest_that_cannot_be_understood_makes_a_snapshot_incomplete(manifest):
    prefix = key_prefix("app", PARTITION)
    older, generation = pack(prefix, Snapshot(6, b"older"), None)
    pairs, _ = pack(prefix, Snapshot(7, b"abc"), generation)
    key = prefix + "b/manifest"
    whole = dict(pairs)[key]
    if manifest == b"whole, and more":
        manifest = whole.replace(b"{", b'{"more":0,', 1)
    assert newest(prefix, dict([*older, *pairs])) == (Snapshot(7, b"abc"), Generation("b", 2))
    assert newest(prefix, dict([*older, *pairs]) | {key: manifest}) == (Snapshot(6, b"older"), generation)
