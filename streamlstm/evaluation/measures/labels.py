"""Labels by row, and scores as ranks: what every measure begins with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.errors import DataError

__all__ = ["label_spans", "rankable", "spans_as_labels"]


def label_spans(labels: ArrayLike) -> NDArray[np.int64]:
    """Return the labelled events: the runs of non-zero labels, as inclusive (first, last) rows.

    Shapes: labels [T]; returns int64 [E, 2], in order.
    """
    marked = np.concatenate([[False], np.asarray(labels) != 0, [False]])
    edges = np.flatnonzero(marked[1:] != marked[:-1]).reshape(-1, 2)
    return np.stack([edges[:, 0], edges[:, 1] - 1], axis=1).astype(np.int64)


def spans_as_labels(spans: ArrayLike, rows: int) -> NDArray[np.bool_]:
    """Return the labels [rows] whose events lie at these inclusive (first, last) rows [E, 2]."""
    labels = np.zeros(rows, np.bool_)
    for first, last in np.asarray(spans, np.int64).reshape(-1, 2).tolist():
        labels[first : last + 1] = True
    return labels


def rankable(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores and labels as arrays of one length, in which a row without a score (NaN) has the lowest there is.

    Raises: DataError when the lengths differ.
    """
    ranked, marked = np.array(scores, np.float64), np.asarray(labels) != 0
    if ranked.ndim != 1 or ranked.shape != marked.shape:
        raise DataError(f"expected one score and one label for each row, got shapes {ranked.shape} and {marked.shape}")
    missing = np.isnan(ranked)
    if missing.any():
        ranked[missing] = -np.inf if missing.all() else ranked[~missing].min()
    return ranked, marked
