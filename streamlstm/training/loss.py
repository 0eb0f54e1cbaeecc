"""The training loss: mean squared error of both heads, and its gradient.

    e_t = y_t W' + b - x[t-k+1 .. t+p]              for every row and lane, masked
    loss = (mean of e^2 over the k reconstructed samples + mean of e^2 over the p forecast ones) / 2

Each mean is over what counts, so both heads weigh the same, and 1.0 is what predicting every channel's mean gives.
What counts: observed values of the series, in rows past the burn-in of the lane's stretch; of the past only samples
that the state has seen, those of the stretch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamlstm.training.windows import Batch, Track

__all__ = ["HeadGradients", "HeadLoss", "Squares"]

_CHUNK_FLOATS = 1 << 18
"""Errors that are held at once: 1 MiB, so that the passes over them stay in the L2 cache."""


class Squares(NamedTuple):
    """Sums of squared errors and how many they are of. Sums of several batches add up."""

    reconstruction: float = 0.0
    reconstructed: int = 0
    forecast: float = 0.0
    forecasted: int = 0

    def plus(self, other: Squares) -> Squares:
        """Return the sums over both."""
        return Squares(
            self.reconstruction + other.reconstruction,
            self.reconstructed + other.reconstructed,
            self.forecast + other.forecast,
            self.forecasted + other.forecasted,
        )

    @property
    def loss(self) -> float:
        """Mean of the two mean squared errors."""
        return 0.5 * (self.reconstruction / max(self.reconstructed, 1) + self.forecast / max(self.forecasted, 1))


class HeadGradients(NamedTuple):
    """Gradient of a batch's loss. Shapes: d_y [T, B, H]; d_weight [W, H]; d_bias [W]."""

    d_y: NDArray[np.float32]
    d_weight: NDArray[np.float32]
    d_bias: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Counted:
    """Which errors of a batch count. Shapes: N = T * B rows; start, first int64 [N]; is_live, is_whole bool [N]."""

    start: NDArray[np.int64]
    """Number of the row's window."""
    first: NDArray[np.int64]
    """First column of the window that lies in the stretch."""
    is_live: NDArray[np.bool_]
    is_whole: NDArray[np.bool_]
    """Every value of the window counts."""
    reconstructed: int
    forecasted: int


class HeadLoss:
    """The long head's loss against the windows of a track.

    W = C * (k + p) outputs: the last k samples, oldest first, then the next p.
    """

    def __init__(self, track: Track, *, reconstruct: int, forecast: int, burn_in: int) -> None:
        self._track = track
        self._reconstruct = reconstruct
        self._forecast = forecast
        self._burn_in = burn_in
        self._channels = track.values.shape[1]
        self._parts = reconstruct * self._channels  # columns before are reconstruction, from here on forecast
        self._width = self._parts + forecast * self._channels

    def measure(
        self, y: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32], batch: Batch
    ) -> Squares:
        """Return the squared errors of a batch.

        Shapes: y [T, B, H]; weight [W, H]; bias [W].
        """
        return self._run(y, weight, bias, batch, gradients=None)

    def differentiate(
        self, y: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32], batch: Batch
    ) -> tuple[Squares, HeadGradients]:
        """Return the squared errors of a batch and the gradient of its loss. Shapes: as for `measure`."""
        gradients = HeadGradients(np.empty_like(y), np.zeros_like(weight), np.zeros_like(bias))
        return self._run(y, weight, bias, batch, gradients=gradients), gradients

    def _run(
        self,
        y: NDArray[np.float32],
        weight: NDArray[np.float32],
        bias: NDArray[np.float32],
        batch: Batch,
        *,
        gradients: HeadGradients | None,
    ) -> Squares:
        counted = self._count(batch)
        rows = y.reshape(-1, y.shape[-1])
        d_rows = None if gradients is None else gradients.d_y.reshape(rows.shape)
        # d(loss)/d(e) = e / n: half the loss's weight meets the 2 of the square.
        share = np.empty(self._width, np.float32)
        share[: self._parts] = 1 / max(counted.reconstructed, 1)
        share[self._parts :] = 1 / max(counted.forecasted, 1)
        squares = np.zeros(self._width)
        step = max(_CHUNK_FLOATS // self._width, 1)
        for at in range(0, len(rows), step):
            chunk = slice(at, at + step)
            error = rows[chunk] @ weight.T
            error += bias
            error -= self._track.windows[counted.start[chunk]]
            self._mask(error, counted, chunk)
            squares += np.einsum("nw,nw->w", error, error)
            if gradients is not None and d_rows is not None:
                error *= share
                np.matmul(error, weight, out=d_rows[chunk])
                gradients.d_weight[...] += error.T @ rows[chunk]
                gradients.d_bias[...] += error.sum(axis=0)
        reconstruction, forecast = float(squares[: self._parts].sum()), float(squares[self._parts :].sum())
        return Squares(reconstruction, counted.reconstructed, forecast, counted.forecasted)

    def _count(self, batch: Batch) -> _Counted:
        rows, before = batch.rows, self._track.observed_before
        is_live = (rows >= batch.begin + self._burn_in) & (rows < batch.end)
        oldest = rows - self._reconstruct + 1
        past = np.where(is_live, before[rows + 1] - before[np.maximum(oldest, batch.begin)], 0)
        future = np.where(is_live, before[rows + 1 + self._forecast] - before[rows + 1], 0)
        return _Counted(
            start=oldest.ravel(),
            first=(np.maximum(batch.begin - oldest, 0) * self._channels).ravel(),
            is_live=is_live.ravel(),
            is_whole=(past + future == self._width).ravel(),
            reconstructed=int(past.sum()),
            forecasted=int(future.sum()),
        )

    def _mask(self, error: NDArray[np.float32], counted: _Counted, chunk: slice) -> None:
        """Set every error that does not count to zero."""
        is_live, is_whole = counted.is_live[chunk], counted.is_whole[chunk]
        if is_whole.all():
            return
        error[~is_live] = 0
        parts = np.flatnonzero(is_live & ~is_whole)
        counts = self._track.observed_windows[counted.start[chunk][parts]]
        counts *= np.arange(self._width) >= counted.first[chunk][parts, None]
        error[parts] *= counts
