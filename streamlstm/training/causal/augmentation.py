"""Training data made more varied than it is: what the network sees, and what it is compared with.

jitter and channel_drop change the inputs alone: the network must tell the signal from what the sensors add or lose.
scale and time_warp change inputs and targets: a sequence that is somewhat larger, or somewhat faster, is normal too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from streamlstm.training.causal.batch_sampler import Batch
from streamlstm.training.causal.padded_series import PaddedSeries, TrainingSequence
from streamlstm.training.options import TrainerOptions
from streamlstm.training.segments import Segment

__all__ = ["Augmentation"]

_KNOTS = 4
"""Points along a sequence between which its speed changes linearly."""
_LEAST_SPEED = 0.5


class Augmentation:
    """What the lanes of training see.

    With scale or time warp `series` are its own, one a lane: each sequence that a lane takes is copied
    there and changed. So windows stay views, and memory is that of the lanes' sequences, however long the series are.
    State: which channels each lane goes without, and the copies.
    """

    def __init__(self, source: PaddedSeries, o: TrainerOptions, rng: np.random.Generator) -> None:
        self._options, self._rng, self._source = o, rng, source
        channels = source.values.shape[1]
        self._dropped = np.zeros((o.batch, channels), np.bool_)
        self._copies = bool(o.scale or o.time_warp)
        self.series = source
        if self._copies:
            # Of the longest sequence, and what its windows reach beyond.
            rows = o.reset_every + 3 * o.bptt_steps + o.forecast
            blank = Segment(np.zeros((rows, channels), np.float32), np.zeros((rows, channels), np.bool_))
            self.series = PaddedSeries(
                [blank] * o.batch, reconstruct=o.reconstruct, forecast=o.forecast, bptt_steps=o.bptt_steps
            )

    def place(self, lane: int, sequence: TrainingSequence) -> TrainingSequence:
        """Draw what becomes of a sequence; return where in `series` the lane runs."""
        o, rng = self._options, self._rng
        if o.channel_drop:
            self._dropped[lane] = rng.random(self._dropped.shape[1]) < o.channel_drop
        if not self._copies:
            return sequence
        rows = min(sequence.end, sequence.until + o.bptt_steps + o.forecast) - sequence.begin
        values = self._source.values[sequence.begin : sequence.begin + rows]
        observed = self._source.observed[sequence.begin : sequence.begin + rows]
        if o.time_warp:
            played = _warped(rows, o.time_warp, rng)
            values, observed = _interpolated(values, played), observed[np.rint(played).astype(np.int64)]
        if o.scale:
            values = values * (1 + np.float32(o.scale) * rng.standard_normal(values.shape[1], np.float32))
        self.series.write(lane, values, observed)
        at = self.series.spans[lane][0]
        return TrainingSequence(at, at + sequence.until - sequence.begin, at + rows)

    def inputs(self, batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what the network sees of a batch: values and which were observed, 1 or 0. Shapes: [T, B, C].

        A channel that is dropped stands at its mean, and was not observed.
        """
        o, values, observed = self._options, self.series.values[batch.rows], self.series.observed[batch.rows]
        if o.jitter:
            values += np.float32(o.jitter) * self._rng.standard_normal(values.shape, np.float32)
        if o.channel_drop:
            kept = ~self._dropped
            values *= kept
            observed *= kept
        return values, observed

    def export(self) -> dict[str, NDArray[np.generic]]:
        """Return the state as arrays."""
        copies = {"values": self.series.values, "observed": self.series.observed} if self._copies else {}
        return {"dropped": self._dropped, **copies}

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take over what `export` returned."""
        self._dropped[...] = arrays["dropped"]
        if self._copies:
            for lane, (begin, end) in enumerate(self.series.spans):
                rows = slice(begin, end)
                self.series.write(lane, arrays["values"][rows], arrays["observed"][rows])  # type: ignore[arg-type]


def _warped(rows: int, deviation: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the row, a fraction, that is played at each time: from the first to the last, at a speed that changes."""
    knots = np.maximum(1 + deviation * rng.standard_normal(_KNOTS), _LEAST_SPEED)
    speed = np.interp(np.arange(rows - 1), np.linspace(0, max(rows - 2, 1), _KNOTS), knots)
    played: NDArray[np.float64] = np.concatenate(([0.0], np.cumsum(speed)))
    played *= (rows - 1) / max(played[-1], 1.0)
    return np.minimum(played, rows - 1, out=played)


def _interpolated(values: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return rows at fractional positions. Shapes: values [T, C]; at [N]."""
    low = at.astype(np.int64)
    high = np.minimum(low + 1, len(values) - 1)
    share = (at - low).astype(np.float32)[:, None]
    return values[low] * (1 - share) + values[high] * share
