"""Values by name, sample by sample, to one array in a model's channel order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.streaming.decoding.json_strict import Values

__all__ = ["to_columns"]


def to_columns(
    values: Sequence[Values], channels: Sequence[str]
) -> tuple[NDArray[np.float32], list[tuple[int, tuple[str, ...]]]]:
    """Return the values as columns, and the rows that name channels the model does not have.

    What is missing, or no finite float32, is NaN. An array of another length than the model's channels says nothing
    about which channel is which: its row is all NaN and listed, with its length in place of a name.

    Shapes: float32 [N, C]; the list holds (row, names).
    """
    try:
        array = _of_complete_rows(values, channels)
        unknown: list[tuple[int, tuple[str, ...]]] = []
    except (KeyError, IndexError, TypeError):
        array, unknown = _row_by_row(values, channels)
    array[np.isinf(array)] = np.nan
    return array, unknown


def _of_complete_rows(values: Sequence[Values], channels: Sequence[str]) -> NDArray[np.float32]:
    """Build the array when every row is a mapping of exactly the channels. Raises: KeyError, TypeError otherwise."""
    width = len(channels)
    if any(len(row) != width for row in values):
        raise KeyError
    row_of: Callable[[Any], Sequence[float | None]] = itemgetter(*channels)
    rows = map(row_of, values)
    flat = rows if width == 1 else chain.from_iterable(rows)
    with np.errstate(over="ignore"):
        # NumPy reads None as NaN.
        return np.fromiter(flat, np.float32, count=width * len(values)).reshape(len(values), width)


def _row_by_row(
    values: Sequence[Values], channels: Sequence[str]
) -> tuple[NDArray[np.float32], list[tuple[int, tuple[str, ...]]]]:
    known = {channel: index for index, channel in enumerate(channels)}
    array = np.full((len(values), len(channels)), np.nan, np.float32)
    unknown: list[tuple[int, tuple[str, ...]]] = []
    with np.errstate(over="ignore"):
        for row, sample in enumerate(values):
            if isinstance(sample, dict):
                strangers = tuple(name for name in sample if name not in known)
                for name, value in sample.items():
                    if value is not None and name in known:
                        array[row, known[name]] = value
            elif len(sample) == len(channels):
                strangers = ()
                array[row] = sample
            else:
                strangers = (f"an array of {len(sample)} values",)
            if strangers:
                unknown.append((row, strangers))
    return array, unknown
