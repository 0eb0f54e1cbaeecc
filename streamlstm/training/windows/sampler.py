"""Which windows a batch holds: cut at another phase each epoch, in another order, some shortened, some with gaps.

What is left at the ends of a series is shorter than a window and is padded, as are windows that are shortened on
purpose. Some windows lose a channel, or single values.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streamlstm.model.windows.batch import Window, WindowBatch, gather_windows
from streamlstm.training.segments import Segment

__all__ = ["WindowSampler", "cut_windows", "gather", "with_gaps"]

_LEAST_SHARE = 0.5  # of a window that is left at a series' end: less is seen again at the next epoch's phase

_SHORTENED = 0.25  # of the windows: what is trained on full ones alone takes the end of a series for an anomaly

_WITHOUT_CHANNEL, _WITH_GAPS, _GAPS = 0.1, 0.1, 0.2
"""Shares of the windows that lose a channel, that lose single values, and of the values these lose: a network that has
never met a missing value takes the first one for an anomaly."""


class WindowSampler:
    """Draws windows of at most `rows` rows for ever.

    State: the windows of this epoch that wait, in order; `rng`, which is the owner's to save.
    """

    def __init__(self, parts: Sequence[Segment], rows: int, rng: np.random.Generator) -> None:
        self._parts = parts
        self._rows = rows
        self._rng = rng
        self._waiting: deque[Window] = deque()

    def draw(self) -> Window:
        """Return the next window; some are shortened."""
        rows, rng = self._rows, self._rng
        if not self._waiting:
            windows = cut_windows(self._parts, rows, lambda: int(rng.integers(rows)))
            self._waiting.extend(windows[index] for index in rng.permutation(len(windows)))
        window = self._waiting.popleft()
        if rng.random() < _SHORTENED:
            least = min(math.ceil(rows * _LEAST_SHARE), window.rows)
            window = window._replace(rows=int(rng.integers(least, window.rows + 1)))
        return window

    def export(self) -> dict[str, NDArray[np.int64]]:
        """Return the state as an array: `waiting` [N, 3]."""
        return {"waiting": np.array(self._waiting, np.int64).reshape(-1, 3)}

    def restore(self, arrays: Mapping[str, NDArray[np.int64]]) -> None:
        """Take over what `export` returned."""
        self._waiting = deque(Window(*row) for row in arrays["waiting"].tolist())


def cut_windows(parts: Sequence[Segment], rows: int, phase: Callable[[], int]) -> list[Window]:
    """Cut every part into windows after the first phase() rows of it; pieces below half a window are left out."""
    windows = []
    for index, part in enumerate(parts):
        count = len(part.x)
        edges = [0, *range(phase(), count, rows), count]
        pieces = [Window(index, a, b - a) for a, b in pairwise(edges)]
        least = min(math.ceil(rows * _LEAST_SHARE), max(piece.rows for piece in pieces))
        windows += [piece for piece in pieces if piece.rows >= max(least, 1)]
    return windows


def gather(parts: Sequence[Segment], windows: Sequence[Window]) -> WindowBatch:
    """Copy windows of these parts into one block."""
    return gather_windows([part.x for part in parts], [part.observed for part in parts], windows)


def with_gaps(batch: WindowBatch, rng: np.random.Generator) -> WindowBatch:
    """Return the batch with values that are missing in some windows."""
    _, count, channels = batch.x.shape
    kept = np.ones(batch.x.shape, np.float32)
    fate, lost = rng.random((count,)), rng.integers(0, channels, (count,))
    if channels > 1:
        chosen = np.flatnonzero(fate < _WITHOUT_CHANNEL)
        kept[:, chosen, lost[chosen]] = 0
    chosen = np.flatnonzero(fate >= 1 - _WITH_GAPS)
    kept[:, chosen] = rng.random((len(kept), len(chosen), channels)) >= _GAPS
    return replace(batch, x=batch.x * kept, observed=batch.observed * kept)
