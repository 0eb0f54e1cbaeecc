"""Heat maps as pictures that lie in the page: rows of units over time, one colour below nothing and one above.

A value is a colour's opacity, so a map reads on white paper and on black alike. The file is a PNG with a palette.
Source: ISO/IEC 15948 (PNG).
"""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from streamlstm.reporting.explanation.time_axis import stretches

__all__ = ["as_png", "heat_map", "thinned"]

_ABOVE, _BELOW = (22, 128, 190), (222, 110, 20)
_STEPS = 127
_MOST_COLUMNS, _MOST_ROWS = 600, 96


def heat_map(values: NDArray[np.float32]) -> str:
    """Return the picture of values from -1 to 1 as a data URI; NaN is empty.

    Shapes: values [T, units], time to the right and the first unit at the top.
    """
    png = as_png(thinned(thinned(values, _MOST_COLUMNS).T, _MOST_ROWS))
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def thinned(values: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """Return means over at most so many stretches of rows; of NaN alone NaN."""
    starts = stretches(len(values), most)
    if len(starts) == len(values):
        return values
    held = np.isfinite(values)
    sums = np.add.reduceat(np.where(held, values, 0.0), starts, axis=0)
    counts = np.add.reduceat(held.astype(np.float32), starts, axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(np.float32)


def as_png(values: NDArray[np.float32]) -> bytes:
    """Return a PNG of values from -1 to 1 [rows, columns]: index 127 of the palette is 0, and empty."""
    held = np.where(np.isfinite(values), np.clip(values, -1, 1), 0.0)
    indices = (np.rint(held * _STEPS) + _STEPS).astype(np.uint8)
    lines = b"".join(b"\0" + row.tobytes() for row in indices)
    levels = np.arange(-_STEPS, _STEPS + 1)
    colours = b"".join(bytes(_BELOW if level < 0 else _ABOVE) for level in levels)
    opacity = np.rint(np.abs(levels) * 255 / _STEPS).astype(np.uint8).tobytes()
    header = struct.pack(">IIBBBBB", indices.shape[1], indices.shape[0], 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", colours), (b"tRNS", opacity), (b"IDAT", zlib.compress(lines, 9)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, (*chunks, (b"IEND", b""))))


def _chunk(pair: tuple[bytes, bytes]) -> bytes:
    kind, content = pair
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
