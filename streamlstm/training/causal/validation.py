"""The loss on the validation parts, state carried, the same rows each time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from streamlstm.kernels import TrainingScratch, state_size, unroll
from streamlstm.training.causal.batch_sampler import BatchSampler
from streamlstm.training.causal.loss import HeadLoss, LossSums
from streamlstm.training.causal.padded_series import PaddedSeries, network_inputs
from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import Parameters, cell_weights
from streamlstm.training.segments import Segment

__all__ = ["Validator"]

_MOST_SEQUENCES = 64
"""Spread over all parts: 65,536 rows tell two networks apart, and more would cost more than training."""


class Validator:
    """Measures parameters on the validation parts."""

    def __init__(self, validation: Sequence[Segment], o: TrainerOptions) -> None:
        self._options = o
        self._series = PaddedSeries(validation, reconstruct=o.reconstruct, forecast=o.forecast, bptt_steps=o.bptt_steps)
        self._loss = HeadLoss(self._series, o)
        sequences = self._series.cut(rows=o.reset_every, least=o.bptt_steps, phase=lambda: o.reset_every)
        chosen = np.linspace(0, len(sequences) - 1, min(len(sequences), _MOST_SEQUENCES)).round().astype(int)
        self._sequences = [sequences[index] for index in chosen]

    def measure(self, parameters: Parameters) -> float:
        """Return the loss; NaN when no row counts."""
        o, series = self._options, self._series
        waiting = [self._sequences]
        batch_size = max(len(self._sequences), 1)
        sampler = BatchSampler(
            series, batch=batch_size, bptt_steps=o.bptt_steps, refill=lambda: waiting.pop() if waiting else []
        )
        layers = cell_weights(o.cells, parameters)
        total, scratch = LossSums(), TrainingScratch()
        state = np.zeros((batch_size, state_size(layers)), np.float32)
        for batch in iter(sampler.advance, None):
            inputs = network_inputs(series.values[batch.rows], series.observed[batch.rows], has_mask=o.mask_inputs)
            trace = unroll(layers, inputs, state=state, scratch=scratch)
            state = trace.state
            total = total.plus(self._loss.measure(trace.y, parameters, batch))
        return total.loss if total.forecasted else math.nan
