"""Errors and scores of whole windows, written out row by row in float64; no line of it is shared with the package.

Only the fit of a tail beyond its last knot is asked of `fit_tail`, which has tests of its own.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scoring.calibration_oracle import clusters_of, knots_of, surprise

from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.tails import fit_tail

Floats = NDArray[np.float64]


class Network:
    """Expects of a value what it was and where in which window it lay: two windows that hold a row do not agree."""

    def __init__(self, rows: int) -> None:
        self.architecture = SimpleNamespace(rows=rows, hole=max(rows // 8, 1))

    def estimate(self, batch: Any) -> NDArray[np.float32]:
        """Estimate a block [T, B, C], its padding too."""
        return np.stack(
            [
                np.stack([self.expected(row, t, int(length)) for t, row in enumerate(batch.x[:, lane])])
                for lane, length in enumerate(batch.lengths)
            ],
            axis=1,
        )

    @staticmethod
    def expected(row: Any, t: int, length: int) -> Any:
        """Estimate row `t` of a window of `length` rows, given its values with 0 for what is missing."""
        return np.float32(0.6 * row + 0.3 * math.cos(1.7 * t) + 0.05 * length / (t + 2) + 0.1 * row.sum())


def estimates(network: Network, standardizer: Standardizer, values: Any) -> tuple[Floats, Floats, Any]:
    """Return squared errors [T, C], expected values [T, C] and what was observed of a part of a series."""
    rows, count = network.architecture.rows, len(values)
    z = (np.asarray(values, float) - standardizer.mean) / standardizer.scale
    seen = np.isfinite(z)
    x = np.where(seen, np.minimum(np.maximum(z, -20), 20), 0)
    ends = [end for end in range(rows, count, rows // 2) if end < count] + [count]
    squares, expected, held = np.zeros(x.shape), np.zeros(x.shape), np.zeros(count)
    for end in ends:
        begin = max(end - rows, 0)
        for t in range(begin, end):
            row = network.expected(x[t], t - begin, end - begin)
            squares[t] += np.where(seen[t], (x[t] - row) ** 2, 0)
            expected[t] += row
            held[t] += 1
    return squares / held[:, None], expected / held[:, None], seen


def statistic(squares: Floats, seen: Any, scales: Any, width: int) -> tuple[Floats, Floats]:
    """Return the statistic of every row [T], and the channels' shares in it [T, C]."""
    count, own = len(squares), np.zeros(squares.shape)
    for t in range(count):
        for c in np.flatnonzero(seen[t]):
            own[t, c] = min(squares[t, c] / float(scales[c]) ** 2, 400) / seen[t].sum()
    found = np.full(squares.shape, math.nan)
    for t in range(count):
        first = max(min(t - width // 2, count - width), 0)
        around = [row for row in range(first, min(first + width, count)) if seen[row].any()]
        if around:
            found[t] = sum(own[row] for row in around) / len(around)
    return found.sum(axis=1), found


def parts_of(network: Network, values: Any) -> list[slice]:
    """Return the parts without holes that are half a window long or longer."""
    a, parts, begin, last = network.architecture, list[slice](), None, -1
    for t in [*np.flatnonzero(np.isfinite(values).any(axis=1)).tolist(), None]:
        if begin is not None and (t is None or t - last > a.hole):
            if last + 1 - begin >= a.rows // 2:
                parts.append(slice(begin, last + 1))
            begin = None
        begin = t if begin is None else begin
        last = t
    return parts


def calibration(network: Network, standardizer: Standardizer, series: list[Any], width: int) -> Any:
    """Return scales, knots, fit, rows and cluster rows of clean series, every part of which is cut four times."""
    half, runs, rows = network.architecture.rows // 2, [], 0
    for values in series:
        for part in parts_of(network, values):
            own = values[part]
            rows += int(np.isfinite(own).any(axis=1).sum())
            step = min(half // 4, (len(own) - half) // 4)
            cuts = [own[3 * step :], own[2 * step : -step], own[step : -2 * step], own[: -3 * step]] if step else [own]
            runs += [estimates(network, standardizer, cut) for cut in cuts]
    scales = []
    for c in range(series[0].shape[1]):
        errors = [float(e) for squares, _, seen in runs for e in squares[seen[:, c], c]]
        scales.append(max(math.sqrt(sum(errors) / len(errors)), 0.01) if errors else 0.01)
    found = np.concatenate([statistic(squares, seen, scales, width)[0] for squares, _, seen in runs])
    found = found[np.isfinite(found)]
    knots, surprises = knots_of(found)
    tail = fit_tail(found, lightest=0.15)
    all_of_them = [surprise(knots, surprises, (tail.shape, tail.scale), float(value)) for value in found]
    return SimpleNamespace(
        scales=np.array(scales),
        statistics=knots,
        surprises=surprises,
        fit=np.array([tail.shape, tail.scale]),
        rows=rows,
        cluster_rows=clusters_of(all_of_them, width),
        width=width,
    )
