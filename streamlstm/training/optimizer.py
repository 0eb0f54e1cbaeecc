"""AdamW, SGD with momentum, and clipping of the gradient's norm.

Sources: Loshchilov & Hutter, Decoupled Weight Decay Regularization (2019); Sutskever et al., On the importance of
initialization and momentum (2013); both in PyTorch's form:

    adamw   w <- w (1 - rate decay)     m <- b1 m + (1 - b1) g      v <- b2 v + (1 - b2) g^2
            w <- w - rate / (1 - b1^n) * m / (sqrt(v / (1 - b2^n)) + eps)
    sgd     m <- momentum m + g + decay w       w <- w - rate m
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["SGD", "AdamW", "Optimizer", "clip_gradients"]

_Arrays = Mapping[str, NDArray[np.float32]]

_NORM_FLOOR = 1e-6  # PyTorch's, so that clipped gradients agree with it


class Optimizer:
    """Updates named arrays in place, and needs a gradient of each.

    State: `updates` made, and `moments`, one value for each of the parameters laid end to end, zero at the start.
    """

    def __init__(self, parameters: _Arrays, *, moments: Sequence[str], weight_decay: float) -> None:
        self.updates = 0
        self._parameters = dict(parameters)
        self._weight_decay = weight_decay
        ends = np.cumsum([0, *(array.size for array in parameters.values())])
        self._places = [slice(begin, end) for begin, end in pairwise(ends.tolist())]
        self._gradient, self._step = (np.empty(ends[-1], np.float32) for _ in range(2))
        self.moments = {name: np.zeros(ends[-1], np.float32) for name in moments}

    def update(self, gradients: _Arrays, *, learning_rate: float) -> None:
        """Make one update."""
        self.updates += 1
        np.concatenate([gradients[name].reshape(-1) for name in self._parameters], out=self._gradient)
        self._advance(learning_rate)
        for place, parameter in zip(self._places, self._parameters.values(), strict=True):
            parameter -= self._step[place].reshape(parameter.shape)

    def _advance(self, learning_rate: float) -> None:
        """Set the step from the gradient, which may be overwritten."""
        raise NotImplementedError


class AdamW(Optimizer):
    """Adam with decoupled weight decay."""

    def __init__(
        self,
        parameters: _Arrays,
        *,
        weight_decay: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, moments=("first", "second"), weight_decay=weight_decay)
        self._betas = betas
        self._eps = eps

    def _advance(self, learning_rate: float) -> None:
        first, second, gradient, step = *self.moments.values(), self._gradient, self._step
        beta1, beta2 = self._betas
        if self._weight_decay:
            for parameter in self._parameters.values():
                parameter *= 1 - learning_rate * self._weight_decay
        np.multiply(gradient, 1 - beta1, out=step)
        first *= beta1
        first += step
        gradient *= gradient
        gradient *= 1 - beta2
        second *= beta2
        second += gradient
        np.sqrt(second, out=gradient)
        gradient *= 1 / math.sqrt(1 - beta2**self.updates)
        gradient += self._eps
        np.divide(first, gradient, out=step)
        step *= learning_rate / (1 - beta1**self.updates)


class SGD(Optimizer):
    """Gradient descent with momentum; the decay is part of the gradient."""

    def __init__(self, parameters: _Arrays, *, momentum: float = 0.9, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, moments=("velocity",), weight_decay=weight_decay)
        self._momentum = momentum

    def _advance(self, learning_rate: float) -> None:
        velocity = self.moments["velocity"]
        for place, parameter in zip(self._places, self._parameters.values(), strict=True):
            self._gradient[place] += self._weight_decay * parameter.reshape(-1)
        velocity *= self._momentum
        velocity += self._gradient
        np.multiply(velocity, learning_rate, out=self._step)


def clip_gradients(gradients: _Arrays, max_norm: float) -> float:
    """Scale all gradients in place so that their joint Euclidean norm is at most `max_norm`; return the norm before.

    Gradients in float32 whose squares are summed in float64.
    """
    norm = math.sqrt(sum(float(np.square(gradient, dtype=np.float64).sum()) for gradient in gradients.values()))
    factor = max_norm / (norm + _NORM_FLOOR)
    if factor < 1:
        for gradient in gradients.values():
            gradient *= np.float32(factor)
    return norm
