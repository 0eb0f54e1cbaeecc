"""Windows of series, cut and laid side by side in one block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Window", "WindowBatch", "gather_windows", "without_holes"]


class Window(NamedTuple):
    """`rows` rows of one of several series, from `begin` on."""

    series: int
    begin: int
    rows: int


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """Windows of different length in one block.

    Shapes: x float32 [T, B, C] standardised; observed float32 [T, B, C], 1 where x is a measured value, 0 elsewhere and
    in the padding; lengths int64 [B], 1 .. T.
    """

    x: NDArray[np.float32]
    observed: NDArray[np.float32]
    lengths: NDArray[np.int64]


def gather_windows(
    x: Sequence[NDArray[np.float32]], observed: Sequence[NDArray[np.bool_]], windows: Sequence[Window]
) -> WindowBatch:
    """Copy windows into a block as long as the longest of them; what is missing and the padding are zero.

    Shapes: x, observed [T, C] by series.
    """
    lengths = np.array([window.rows for window in windows], np.int64)
    shape = (int(lengths.max()), len(windows), x[0].shape[1])
    block, mask = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for lane, (series, begin, rows) in enumerate(windows):
        seen = observed[series][begin : begin + rows]
        mask[:rows, lane] = seen
        block[:rows, lane] = np.where(seen, x[series][begin : begin + rows], np.float32(0))
    return WindowBatch(block, mask, lengths)


def without_holes(observed: NDArray[np.bool_], *, hole: int) -> list[tuple[int, int]]:
    """Return first row and row after the last of each part of a series between stretches of nothing.

    A stretch of `hole` rows or more without a value parts a series; a shorter one is in a window, as missing.
    Shapes: observed [T, C].
    """
    seen = np.flatnonzero(observed.any(axis=1))
    if not len(seen):
        return []
    breaks = np.flatnonzero(np.diff(seen) > hole)
    begins, ends = seen[np.concatenate([[0], breaks + 1])], seen[np.concatenate([breaks, [len(seen) - 1]])] + 1
    return list(zip(begins.tolist(), ends.tolist(), strict=True))
