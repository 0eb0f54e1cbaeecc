"""The long head for layers that have learned already, by least squares on their outputs.

A bundle keeps only the end of the head that it was trained with. Fine-tuning wants the rest again, and random values
would teach the layers nonsense in the first updates.
"""

from __future__ import annotations

import numpy as np

from streamlstm.kernels import state_size, unroll
from streamlstm.training.causal.batch_sampler import BatchSampler
from streamlstm.training.causal.padded_series import PaddedSeries, TrainingSequence, network_inputs
from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import Parameters, cell_weights

__all__ = ["fit_long_head"]

_RIDGE = 1e-3
"""Of the mean square of an output: outputs that say nearly the same are not set against each other."""
_MOST_UPDATES = 32


def fit_long_head(parameters: Parameters, series: PaddedSeries, o: TrainerOptions) -> None:
    """Set head.weight and head.bias to the ridge solution over up to 32 batches of the series."""
    sequences = series.cut(rows=o.reset_every, least=o.bptt_steps, phase=lambda: o.reset_every)
    waiting: list[list[TrainingSequence]] = [sequences]
    sampler = BatchSampler(
        series, batch=o.batch, bptt_steps=o.bptt_steps, refill=lambda: waiting.pop() if waiting else []
    )
    layers = cell_weights(o.cells, parameters)
    state = np.zeros((o.batch, state_size(layers)), np.float32)
    outputs = layers[-1].output_size + 1
    squares, products = np.zeros((outputs, outputs)), np.zeros((outputs, len(parameters["head.bias"])))
    for _, batch in zip(range(_MOST_UPDATES), iter(sampler.advance, None), strict=False):
        state[batch.fresh] = 0
        trace = unroll(
            layers,
            network_inputs(series.values[batch.rows], series.observed[batch.rows], has_mask=o.mask_inputs),
            state=state,
        )
        state = trace.state
        seen = (batch.rows >= batch.begin + max(o.burn_in, o.reconstruct)) & (batch.rows < batch.end - o.forecast)
        y = np.column_stack([trace.y[seen], np.ones(int(seen.sum()), np.float32)]).astype(np.float64)
        squares += y.T @ y
        products += y.T @ series.windows[batch.rows[seen] - o.reconstruct + 1]
    ridge = _RIDGE * max(np.trace(squares) / outputs, 1e-12)
    solution = np.linalg.solve(squares + ridge * np.eye(outputs), products)
    parameters["head.weight"][...] = solution[:-1].T
    parameters["head.bias"][...] = solution[-1]
