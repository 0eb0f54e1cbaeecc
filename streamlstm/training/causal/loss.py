"""The training loss of the long head, and its gradient.

    e_t = y_t W' + b - x[t-k+1 .. t+p]              for every row and lane, masked
    loss = (mean of l(e) over the k reconstructed samples + mean of l(e) over the p forecast ones) / 2

    mse         l(e) = e^2, so 1.0 is what predicting every channel's mean gives
    huber       l(e) = e^2 up to delta, then delta (2 |e| - delta)
    gaussian    l(e) = e^2 / v + log v          v = exp(y_t V' + a) + 1e-4, a variance learned beside each output

Each mean is over what counts, so both heads weigh the same. What counts: observed values of the series, in rows past
the burn-in of the lane's sequence; of the past only samples that the state has seen, those of the sequence. With
`trim` the rows of the largest loss do not count either.
Sources: Huber, Robust Estimation of a Location Parameter (1964); Nix & Weigend, Estimating the mean and variance of the
target probability distribution (1994); Rousseeuw, Least Median of Squares Regression (1984) for trimming.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamlstm.training.causal.batch_sampler import Batch
from streamlstm.training.causal.padded_series import PaddedSeries
from streamlstm.training.options import Loss, TrainerOptions
from streamlstm.training.parameters import Parameters

__all__ = ["HeadLoss", "LossSums"]

_CHUNK_FLOATS = 1 << 18
"""Errors that are held at once: 1 MiB, so that the passes over them stay in the L2 cache."""
_LEAST_VARIANCE = np.float32(1e-4)
"""Of the gaussian loss: a hundredth of a channel's deviation, squared."""


class LossSums(NamedTuple):
    """Sums of l(e) and how many they are of. Sums of several batches add up."""

    reconstruction: float = 0.0
    reconstructed: int = 0
    forecast: float = 0.0
    forecasted: int = 0

    def plus(self, other: LossSums) -> LossSums:
        """Return the sums over both."""
        return LossSums(
            self.reconstruction + other.reconstruction,
            self.reconstructed + other.reconstructed,
            self.forecast + other.forecast,
            self.forecasted + other.forecasted,
        )

    @property
    def loss(self) -> float:
        """Mean of the two means."""
        return 0.5 * (self.reconstruction / max(self.reconstructed, 1) + self.forecast / max(self.forecasted, 1))


@dataclass(frozen=True, slots=True)
class _Counted:
    """Which errors of a batch count. Shapes: N = T * B rows; start, first int64 [N]; is_live, is_whole bool [N]."""

    start: NDArray[np.int64]
    """Number of the row's window."""
    first: NDArray[np.int64]
    """First column of the window that lies in the sequence."""
    is_live: NDArray[np.bool_]
    is_whole: NDArray[np.bool_]
    """Every value of the window counts."""
    reconstructed: int
    forecasted: int


class HeadLoss:
    """The loss against the windows of padded series.

    W = C * (k + p) outputs: the last k samples, oldest first, then the next p. `parameters` hold head.weight [W, R] and
    head.bias [W]; for gaussian also spread.weight and spread.bias, shaped alike.
    """

    def __init__(self, series: PaddedSeries, o: TrainerOptions) -> None:
        self._series = series
        self._reconstruct = o.reconstruct
        self._forecast = o.forecast
        self._burn_in = o.burn_in
        self._trim = o.trim
        self._kind: Loss = o.loss
        self._delta = np.float32(o.huber_delta)
        self._channels = series.values.shape[1]
        self._parts = o.reconstruct * self._channels  # columns before are reconstruction, from here on forecast
        self._width = self._parts + o.forecast * self._channels

    def measure(self, y: NDArray[np.float32], parameters: Parameters, batch: Batch) -> LossSums:
        """Return the loss of a batch. Shapes: y [T, B, R]."""
        counted = self._count_trimmed(y, parameters, batch)
        return self._run(y, parameters, counted)

    def differentiate(
        self, y: NDArray[np.float32], parameters: Parameters, batch: Batch
    ) -> tuple[LossSums, NDArray[np.float32], Parameters]:
        """Return the loss of a batch, its gradient by y [T, B, R], and its gradients by the head's parameters."""
        counted = self._count_trimmed(y, parameters, batch)
        d_y = np.zeros_like(y)
        gradients = {name: np.zeros_like(parameters[name]) for name in parameters if name.startswith(_HEADS)}
        return self._run(y, parameters, counted, d_y=d_y, gradients=gradients), d_y, gradients

    def _run(
        self,
        y: NDArray[np.float32],
        parameters: Parameters,
        counted: _Counted,
        *,
        d_y: NDArray[np.float32] | None = None,
        gradients: Parameters | None = None,
        row_losses: NDArray[np.float64] | None = None,
    ) -> LossSums:
        """Go over the rows in chunks; fill what is given: gradients, or the loss of each row."""
        rows = y.reshape(-1, y.shape[-1])
        d_rows = None if d_y is None else d_y.reshape(rows.shape)
        share = self._share(counted)
        sums = np.zeros(self._width)
        step = max(_CHUNK_FLOATS // self._width, 1)
        for at in range(0, len(rows), step):
            chunk = slice(at, at + step)
            error = rows[chunk] @ parameters["head.weight"].T
            error += parameters["head.bias"]
            error -= self._series.windows[counted.start[chunk]]
            self._mask(error, counted, chunk)
            if self._kind == "mse":
                sums += np.einsum("nw,nw->w", error, error)
                if row_losses is not None:
                    row_losses[chunk] = np.square(error) @ share
            else:
                losses, error, d_spread = self._differentiated(rows[chunk], error, parameters, counted, chunk)
                sums += losses.sum(axis=0, dtype=np.float64)
                if row_losses is not None:
                    row_losses[chunk] = losses @ share
                if gradients is not None and d_rows is not None and d_spread is not None:
                    _propagate("spread", d_spread * share, rows[chunk], parameters, gradients, d_rows[chunk])
            if gradients is not None and d_rows is not None:
                error *= share  # d(loss)/d(e) = e / n: half the loss's weight meets the 2 of the square
                _propagate("head", error, rows[chunk], parameters, gradients, d_rows[chunk])
        reconstruction, forecast = float(sums[: self._parts].sum()), float(sums[self._parts :].sum())
        return LossSums(reconstruction, counted.reconstructed, forecast, counted.forecasted)

    def _differentiated(
        self,
        rows: NDArray[np.float32],
        error: NDArray[np.float32],
        parameters: Parameters,
        counted: _Counted,
        chunk: slice,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
        """Return l(e), half its derivative by e, and for gaussian half its derivative by the log variance."""
        if self._kind == "huber":
            bounded = np.clip(error, -self._delta, self._delta)
            return bounded * (2 * error - bounded), bounded, None
        power = np.exp(rows @ parameters["spread.weight"].T + parameters["spread.bias"])
        variance = power + _LEAST_VARIANCE
        scaled = error / variance
        losses = scaled * error + np.log(variance)
        d_spread = 0.5 * (1 - scaled * error) * power / variance
        self._mask(losses, counted, chunk)
        self._mask(d_spread, counted, chunk)
        return losses, scaled, d_spread

    def _share(self, counted: _Counted) -> NDArray[np.float32]:
        """Return the weight of an error in the loss, by column."""
        share = np.empty(self._width, np.float32)
        share[: self._parts] = 1 / max(counted.reconstructed, 1)
        share[self._parts :] = 1 / max(counted.forecasted, 1)
        return share

    def _count_trimmed(self, y: NDArray[np.float32], parameters: Parameters, batch: Batch) -> _Counted:
        rows = batch.rows
        is_live = (rows >= batch.begin + self._burn_in) & (rows < batch.end)
        counted = self._count(batch, is_live)
        live = np.flatnonzero(counted.is_live)
        kept = len(live) - int(self._trim * len(live))
        if not 0 < kept < len(live):
            return counted
        losses = np.zeros(rows.size)
        self._run(y, parameters, counted, row_losses=losses)
        most = np.partition(losses[live], kept - 1)[kept - 1]
        return self._count(batch, is_live & (losses <= most).reshape(rows.shape))

    def _count(self, batch: Batch, is_live: NDArray[np.bool_]) -> _Counted:
        rows, before = batch.rows, self._series.observed_before
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

    def _mask(self, of_errors: NDArray[np.float32], counted: _Counted, chunk: slice) -> None:
        """Set to zero what belongs to errors that do not count."""
        is_live, is_whole = counted.is_live[chunk], counted.is_whole[chunk]
        if is_whole.all():
            return
        of_errors[~is_live] = 0
        parts = np.flatnonzero(is_live & ~is_whole)
        counts = self._series.observed_windows[counted.start[chunk][parts]]
        counts *= np.arange(self._width) >= counted.first[chunk][parts, None]
        of_errors[parts] *= counts


_HEADS = ("head.", "spread.")


def _propagate(
    name: str,
    d_outputs: NDArray[np.float32],
    rows: NDArray[np.float32],
    parameters: Parameters,
    gradients: Parameters,
    d_rows: NDArray[np.float32],
) -> None:
    """Add the gradients by a head's parameters and by its inputs. Shapes: d_outputs [N, W]; rows, d_rows [N, R]."""
    d_rows += d_outputs @ parameters[f"{name}.weight"]
    gradients[f"{name}.weight"] += d_outputs.T @ rows
    gradients[f"{name}.bias"] += np.ones(len(d_outputs), np.float32) @ d_outputs  # ten times as fast as a sum
