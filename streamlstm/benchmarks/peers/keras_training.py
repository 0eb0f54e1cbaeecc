"""Keras on TensorFlow in training: its LSTM layers and a dense head, compiled by train_on_batch's own graph."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from streamlstm.benchmarks.training_work import LEARNING_RATE, TrainingWork
from streamlstm.benchmarks.workloads import RecurrentNetwork
from streamlstm.kernels.cells import CellKind

__all__ = ["prepare", "training"]


def prepare() -> None:
    """Import it and hold it to one thread."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)


def training(network: RecurrentNetwork, work: TrainingWork) -> Sequence[_Training]:
    """Return the model with XLA and without, of LSTMs."""
    if work.cell is not CellKind.LSTM:
        return []
    return [_Training(network, work, is_xla=is_xla) for is_xla in (False, True)]


class _Training:
    """Batches are [B, T, C]; Keras has i, f, g, o as we do."""

    def __init__(self, network: RecurrentNetwork, work: TrainingWork, *, is_xla: bool) -> None:
        import keras
        import tensorflow

        shape = work.shape
        layers = [keras.layers.LSTM(shape.hidden, return_sequences=True) for _ in network.layers]
        head = keras.layers.Dense(shape.channels)
        model = keras.Sequential([keras.Input((work.steps, shape.channels), work.lanes), *layers, head])
        for layer, w in zip(layers, network.layers, strict=True):
            layer.set_weights([w.w_ih.T, w.w_hh.T, w.bias])
        head.set_weights([network.head_weight.T, network.head_bias])
        optimizer = keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8)
        optimizer.build(model.trainable_variables)
        series = np.ascontiguousarray(work.series().transpose(1, 0, 2))
        x, targets = tensorflow.constant(series[:, :-1]), tensorflow.constant(series[:, 1:])

        @tensorflow.function(jit_compile=is_xla)  # type: ignore[untyped-decorator]
        def update() -> Any:
            with tensorflow.GradientTape() as tape:
                loss = tensorflow.reduce_mean(tensorflow.square(model(x, training=True) - targets))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
            return loss

        self._update = update
        self._last: Any = None

    def update(self) -> None:
        self._last = self._update()

    def loss(self) -> float:
        return float(self._last)
