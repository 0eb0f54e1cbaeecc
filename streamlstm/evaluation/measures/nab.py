"""The scorer of the Numenta Anomaly Benchmark (NAB), by its own rules.

* The first 15 % of a file, 750 rows at most, are probation and not scored.
* A detection in a window of n rows, k rows before its end (k = 1 at the last row), is worth g(-k / n) / g(-1) with
  g(x) = 2 / (1 + exp(5 x)) - 1: 1 at the first row and almost nothing at the last. Of a window only the best counts.
* A detection d rows after the end of a window of n rows is worth A_FP g(d / (n - 1)), beyond three such lengths, and
  where no window came before, -A_FP. Each of them counts.
* A window without a detection costs A_FN.
* Raw scores of files add up. 100 (raw - null) / (perfect - null) is the score of a corpus: null is that of a detector
  that detects nothing, perfect is one for each window.

Which rows are detections is said in two ways. NAB's own protocol takes, for each profile, the threshold over all files
that gives the highest score: it is chosen on the labels, an upper bound of what any service reaches. The other way is
the detector's own alerts, each a detection at the row at which it opened.

Where NAB has no answer: a row without a score (NaN) is never a detection; the length behind a window of one row, where
NAB divides by zero, is one row.

Source: Lavin and Ahmad, Evaluating real-time anomaly detection algorithms, arXiv:1510.03336; numenta/NAB 1.1,
nab/sweeper.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.errors import DataError

__all__ = ["PROFILES", "NabFile", "NabProfile", "Swept", "nab_raw", "nab_score", "nab_sweep", "probation_rows"]

_PROBATION = 0.15
_LONGEST_PROBATION = 750
_PAST = 3.0
"""Lengths of a window behind its end from which on a false positive costs all."""


@dataclass(frozen=True, slots=True)
class NabProfile:
    """What a false positive and a missed window cost, where a perfect detection is worth 1."""

    name: str
    false_positive: float
    missed: float


PROFILES = (
    NabProfile("standard", 0.11, 1.0),
    NabProfile("reward_low_FP", 0.22, 1.0),
    NabProfile("reward_low_FN", 0.11, 2.0),
)


def probation_rows(rows: int) -> int:
    """Return how many rows at the start of a file are not scored."""
    return min(int(_PROBATION * rows), _LONGEST_PROBATION)


class NabFile:
    """One labelled file: what a detection at each row is worth before costs, and in which window it lies."""

    def __init__(self, rows: int, windows: ArrayLike) -> None:
        """Take the file's rows and its windows [W, 2], inclusive rows in order.

        Raises: DataError when windows overlap, are out of order or leave the file.
        """
        spans = np.asarray(windows, np.int64).reshape(-1, 2)
        edges = spans.ravel()
        if len(edges) and (
            edges[0] < 0 or edges[-1] >= rows or (np.diff(edges) < np.tile([0, 1], len(spans))[:-1]).any()
        ):
            raise DataError(f"expected windows in order within rows 0 to {rows - 1}, got {spans.tolist()}")
        self.rows = rows
        self.windows = len(spans)
        self.worth = np.full(rows, -1.0)
        self.window = np.full(rows, -1)
        for number, (first, last) in enumerate(spans.tolist()):
            length = last - first + 1
            self.worth[first : last + 1] = _g(np.arange(-length, 0) / length) / _g(np.array(-1.0))
            self.window[first : last + 1] = number
            # To the end of the file: windows that come later write over it.
            lengths = np.arange(1, rows - last) / max(length - 1, 1)
            self.worth[last + 1 :] = np.where(lengths > _PAST, -1.0, _g(lengths))
        self.first_scored = probation_rows(rows)

    def gains(self, order: NDArray[np.int64], profile: NabProfile) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the scored ones of these rows and what each adds to the raw score as a detection after those before.

        Raw scores count from that of no detections.
        """
        scored = order[order >= self.first_scored]
        window = self.window[scored]
        gains = profile.false_positive * self.worth[scored]
        for number in range(self.windows):
            inside = np.flatnonzero(window == number)
            best = np.maximum.accumulate(np.append(-profile.missed, self.worth[scored[inside]]))
            gains[inside] = np.diff(best)
        return scored, gains

    def null(self, profile: NabProfile) -> float:
        """Return the raw score of no detections: a window that ends in probation costs nothing."""
        return -profile.missed * len(np.unique(self.window[self.first_scored :][self.window[self.first_scored :] >= 0]))


@dataclass(frozen=True, slots=True)
class Swept:
    """The best score of a corpus over all thresholds; detections are scores >= threshold, inf: there are none."""

    score: float
    threshold: float


def nab_raw(file: NabFile, detections: ArrayLike, profile: NabProfile) -> float:
    """Return the raw score of detections at these rows, as NAB publishes it for each file."""
    return float(file.null(profile) + file.gains(np.asarray(detections, np.int64), profile)[1].sum())


def nab_score(files: Sequence[NabFile], detections: Sequence[ArrayLike], profile: NabProfile) -> float:
    """Return the score of given detections, the rows of each file: 100 at best, perhaps below 0; NaN without windows.

    An alert is a detection at the row at which it opened.
    """
    raws = [nab_raw(file, rows, profile) for file, rows in zip(files, detections, strict=True)]
    return _normalised(sum(raws), files, profile)


def nab_sweep(files: Sequence[NabFile], scores: Sequence[ArrayLike], profile: NabProfile) -> Swept:
    """Return the best score over all thresholds, one for all files; the highest threshold of equals.

    Shapes: scores, one array [rows] a file.
    """
    levels, gains = [np.zeros(0)], [np.zeros(0)]
    for file, given in zip(files, scores, strict=True):
        ranked = np.asarray(given, np.float64)
        if ranked.shape != (file.rows,):
            raise DataError(f"expected one score for each of {file.rows} rows, got shape {ranked.shape}")
        order = np.argsort(-ranked, kind="stable")  # NaN comes last
        rows, gain = file.gains(order[: len(order) - np.isnan(ranked).sum()], profile)
        levels.append(ranked[rows])
        gains.append(gain)
    level, gain = np.concatenate(levels), np.concatenate(gains)
    order = np.argsort(-level, kind="stable")
    level, total = level[order], np.cumsum(gain[order])
    last = np.flatnonzero(np.append(level[1:] != level[:-1], True)) if len(level) else np.zeros(0, np.int64)
    best, threshold = 0.0, np.inf
    if len(last) and (highest := total[last].max()) > 0:
        best, threshold = float(highest), float(level[last[np.argmax(total[last])]])
    null = sum(file.null(profile) for file in files)
    return Swept(_normalised(null + best, files, profile), threshold)


def _g(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 2.0 / (1.0 + np.exp(5.0 * np.minimum(x, _PAST))) - 1.0


def _normalised(raw: float, files: Sequence[NabFile], profile: NabProfile) -> float:
    windows, null = sum(file.windows for file in files), sum(file.null(profile) for file in files)
    return 100.0 * (raw - null) / (windows - null) if windows else float("nan")
