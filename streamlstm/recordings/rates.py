"""Channels sampled at different rates, laid on the rows of the fastest.

A sample of a slower channel stands in the first row at or after its own time, and the rows in between are missing
there: nothing is invented, and nothing is known before it was measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["distinct_names", "lay_frames"]


def lay_frames(values: NDArray[np.float32], column: NDArray[np.floating], per_frame: int) -> None:
    """Write a channel's samples to its rows. The caller has filled `values` with NaN.

    Shapes: values [frames * S], a view; column [frames * per_frame], per_frame <= S.
    """
    frames = len(column) // per_frame
    rows_a_frame = len(values) // frames
    with np.errstate(over="ignore"):
        if rows_a_frame == per_frame:
            values[:] = column
            return
        place = -(-np.arange(per_frame) * rows_a_frame // per_frame)
        rows = np.arange(frames)[:, None] * rows_a_frame + place
        values[rows.ravel()] = column


def distinct_names(names: Sequence[str | None]) -> tuple[str, ...]:
    """Return a name a channel: recorders often write `ECG` twice, so the second becomes `ECG_2`, and none `ch3`."""
    distinct: list[str] = []
    for index, name in enumerate(names):
        plain = (name or "").strip() or f"ch{index}"
        candidate, number = plain, 1
        while candidate in distinct:
            number += 1
            candidate = f"{plain}_{number}"
        distinct.append(candidate)
    return tuple(distinct)
