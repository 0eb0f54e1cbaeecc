"""NPZ: an array `values`, and what is known of it."""

from __future__ import annotations

import zipfile
import zlib
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.recordings.series import Series, make_series
from streamlstm.recordings.times import regular_times

__all__ = ["read_npz"]

_KEYS = ("values", "channels", "units", "period_s", "train_len")


def read_npz(source: str, file: IO[bytes], stream_id: str) -> Series:
    """Read `values` [T, C] (or [T]) and, if they are there, `channels`, `units`, `period_s` and `train_len`.

    Such a file has no time stamps: row t is t * period_s after 1970, or t seconds where the period is unknown.
    Raises: DataError for what is no NPZ file of plain arrays; nothing in it is unpickled.
    """
    if not zipfile.is_zipfile(file):
        raise DataError(f"{source}: expected an NPZ file (a zip archive of arrays), got other bytes, or a part of one")
    file.seek(0)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            held = {key: arrays[key] for key in _KEYS if key in arrays.files}
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, MemoryError) as error:
        cause = str(error).partition("\n")[0]
        raise DataError(f"{source}: expected an NPZ file of plain arrays, got: {cause}") from None
    if strange := [key for key, array in held.items() if not isinstance(array, np.ndarray)]:
        raise DataError(f"{source}: expected an NPZ file of plain arrays, got other bytes as {', '.join(strange)}")
    if "values" not in held:
        raise DataError(f"{source}: expected an array `values` [T, C]")
    values = held["values"]
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or values.dtype.kind not in "fiu" or values.size == 0:
        raise DataError(f"{source}: values: expected numbers [T, C], got {values.dtype} {list(values.shape)}")
    rows, width = values.shape
    channels = (
        tuple(map(str, held["channels"].ravel())) if "channels" in held else tuple(f"ch{c}" for c in range(width))
    )
    if len(channels) != width or len(set(channels)) != width:
        raise DataError(f"{source}: channels: expected {width} different names, got {list(channels)}")
    units = tuple(map(str, held["units"].ravel())) if "units" in held else ()
    if len(units) not in (0, width):
        raise DataError(f"{source}: units: expected {width}, one a channel, got {list(units)}")
    period_s = _number(source, "period_s", held, 0.0)
    if not 0 <= period_s < 1e9:
        raise DataError(f"{source}: period_s: expected seconds, or 0 for unknown, got {period_s}")
    train_len = _number(source, "train_len", held, -1.0)
    if "train_len" in held and not (0 < train_len <= rows and train_len.is_integer()):
        raise DataError(f"{source}: train_len: expected a row count from 1 to {rows}, got {train_len:g}")
    return make_series(
        source,
        stream_id,
        values=values,
        event_time_ms=regular_times(rows, period_s or 1.0),
        channels=channels,
        rows=np.arange(rows, dtype=np.int64),
        period_s=period_s or 1.0,
        train_len=int(train_len) if "train_len" in held else None,
        units=units,
    )


def _number(source: str, key: str, held: dict[str, NDArray[Any]], default: float) -> float:
    if key not in held:
        return default
    array = held[key]
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise DataError(f"{source}: {key}: expected one number, got {array.dtype} {list(array.shape)}")
    return float(array.ravel()[0])
