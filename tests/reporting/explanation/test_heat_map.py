"""Heat maps: a PNG that others can read, with the values where they belong."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.reporting.explanation.heat_map import as_png, heat_map, thinned


def read_png(png: bytes) -> tuple[dict[bytes, bytes], NDArray[np.uint8]]:
    """Read chunks, with their sums checked, and the indices of the palette."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = dict[bytes, bytes](), 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + content)
        chunks[kind] = content
        at += 12 + length
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colour, rest) == (8, 3, [0, 0, 0])
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert (lines[:, 0] == 0).all()
    return chunks, lines[:, 1:]


def test_values_are_opacities_of_two_colours() -> None:
    chunks, indices = read_png(as_png(np.array([[-1.0, -0.5, 0.0], [0.5, 1.0, np.nan]], np.float32)))
    opacity = np.frombuffer(chunks[b"tRNS"], np.uint8)[indices]
    assert opacity.tolist() == [[255, 129, 0], [129, 255, 0]]
    colours = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)[indices]
    assert (colours[0, 0] == colours[0, 1]).all() and (colours[1, 0] == colours[1, 1]).all()
    assert (colours[0, 0] != colours[1, 0]).any()


def test_what_lies_beyond_is_as_strong_as_can_be() -> None:
    _, indices = read_png(as_png(np.array([[-7.0, 7.0]], np.float32)))
    assert indices.tolist() == [[0, 254]]


def test_many_rows_become_means_of_stretches() -> None:
    values = np.arange(12, dtype=np.float32).reshape(6, 2)
    values[4, 0] = values[5, 0] = np.nan
    assert thinned(values, 6) is values
    np.testing.assert_array_equal(thinned(values, 3), [[1, 2], [5, 6], [np.nan, 10]])


@pytest.mark.parametrize("shape", [(1, 1), (20_000, 300)])
def test_a_map_is_bounded(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
    address = heat_map(values)
    _, indices = read_png(base64.b64decode(address.removeprefix("data:image/png;base64,")))
    assert indices.shape == (min(shape[1], 96), min(shape[0], 600))
    assert len(address) < 100_000
