"""The bytes of a partition's state: what goes in comes out, and what is written stays as it was."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save as encode_tensors

from streamlstm.errors import SnapshotError
from streamlstm.streaming.state_format import ModelState, decode_state, encode_state


def states() -> list[ModelState]:
    arrays = {"network": np.arange(6, dtype=np.float32).reshape(2, 3), "ages": np.array([4, 9])}
    fields = {"match": "hall/*", "label": "tiny@1", "digest": "ab", "path": "", "isa": "avx2"}
    return [
        ModelState(**fields, rank=0, streams=["b", "a"], alerts=msgspec.Raw(b'{"a":{}}'), arrays=arrays),
        ModelState(**fields, rank=1, streams=[], alerts=msgspec.Raw(b"{}"), arrays={"ages": np.arange(0)}),
    ]


def check(found: list[ModelState]) -> None:
    for one, other in zip(found, states(), strict=True):
        assert one.arrays.keys() == other.arrays.keys()
        for name, array in other.arrays.items():
            np.testing.assert_array_equal(one.arrays[name], array)
            assert one.arrays[name].dtype == array.dtype
        assert bytes(one.alerts) == bytes(other.alerts)
        for name in ("match", "rank", "label", "digest", "path", "isa", "streams"):
            assert getattr(one, name) == getattr(other, name)


def test_a_state_comes_back_as_it_was() -> None:
    found, counts = decode_state(encode_state(states(), {"records": 7}))
    check(found)
    assert counts == {"records": 7}


def test_what_is_written_is_left_as_it_was() -> None:
    given = states()
    assert encode_state(given, {}) == encode_state(given, {})
    check(given)


def test_arrays_of_the_eleventh_model_are_not_those_of_the_second() -> None:
    many = [msgspec.structs.replace(states()[1], rank=n, arrays={"ages": np.array([n])}) for n in range(12)]
    found, _ = decode_state(encode_state(many, {}))
    assert [one.arrays["ages"].tolist() for one in found] == [[n] for n in range(12)]


@pytest.mark.parametrize("metadata", [None, {"another": "{}"}, {"streamlstm": "{"}, {"streamlstm": "[]"}])
def test_a_safetensors_file_of_another_make_is_refused(metadata: dict[str, str] | None) -> None:
    with pytest.raises(SnapshotError, match=r"expected a whole streamlstm\.state/4, got bytes that are truncated"):
        decode_state(encode_tensors({"x": np.zeros(2)}, metadata=metadata))


def test_streams_and_alerts_are_no_part_of_the_header() -> None:
    """The header of a safetensors file has 100 MB at most, which ids of a few million streams are."""
    ids = [f"site-{n:07}/machine" for n in range(20_000)]
    one = msgspec.structs.replace(states()[0], streams=ids, alerts=msgspec.Raw(b'{"' + b"x" * 100_000 + b'":{}}'))
    payload = encode_state([one], {})
    assert int.from_bytes(payload[:8], "little") < 2_000
    (found,), _ = decode_state(payload)
    assert found.streams == ids and bytes(found.alerts) == bytes(one.alerts)


def test_a_stream_that_is_there_twice_is_refused() -> None:
    twice = msgspec.structs.replace(states()[0], streams=["a", "a"])
    with pytest.raises(SnapshotError, match="model tiny@1: expected each stream once, got some twice"):
        decode_state(encode_state([twice], {}))
