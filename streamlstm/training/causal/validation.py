"""The loss on the validation parts, state carried, the same rows each time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from streamlstm.kernels import TrainingScratch, state_size, unroll
from streamlstm.training.causal.loss import HeadLoss, LossSums
from streamlstm.training.causal.padded_series import BatchSampler, PaddedSeries, network_inputs
from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import Parameters, cell_weights
from streamlstm.training.segments import Segment

__all__ = ["Validator"]

_MOST_STRETCHES = 64
"""Spread over all parts: 65,536 rows tell two networks apart, and more would cost more than training."""


class Validator:
    """Measures parameters on the validation parts."""

    def __init__(self, validation: Sequence[Segment], o: TrainerOptions) -> None:
        self._options = o
        self._track = PaddedSeries(validation, reconstruct=o.reconstruct, forecast=o.forecast, segment=o.segment)
        self._loss = HeadLoss(self._track, o)
        stretches = self._track.cut(stretch=o.stretch, least=o.segment, phase=lambda: o.stretch)
        chosen = np.linspace(0, len(stretches) - 1, min(len(stretches), _MOST_STRETCHES)).round().astype(int)
        self._stretches = [stretches[index] for index in chosen]

    def measure(self, parameters: Parameters) -> float:
        """Return the loss; NaN when no row counts."""
        o, track = self._options, self._track
        waiting = [self._stretches]
        batch_size = max(len(self._stretches), 1)
        lanes = BatchSampler(
            track, batch=batch_size, segment=o.segment, refill=lambda: waiting.pop() if waiting else []
        )
        layers = cell_weights(o.cells, parameters)
        total, scratch = LossSums(), TrainingScratch()
        state = np.zeros((batch_size, state_size(layers)), np.float32)
        for batch in iter(lanes.advance, None):
            inputs = network_inputs(track.values[batch.rows], track.observed[batch.rows], has_mask=o.mask_inputs)
            trace = unroll(layers, inputs, state=state, scratch=scratch)
            state = trace.state
            total = total.plus(self._loss.measure(trace.y, parameters, batch))
        return total.loss if total.forecasted else math.nan
