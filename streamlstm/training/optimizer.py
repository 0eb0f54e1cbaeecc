"""AdamW, clipping of the gradient's norm, and the schedule of the learning rate.

Source: Loshchilov & Hutter, Decoupled Weight Decay Regularization (2019), in PyTorch's form:

    w <- w (1 - rate * decay)
    m <- b1 m + (1 - b1) g          v <- b2 v + (1 - b2) g^2
    w <- w - rate / (1 - b1^n) * m / (sqrt(v / (1 - b2^n)) + eps)
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["AdamW", "clip_gradients", "cosine_rate"]

_NORM_FLOOR = 1e-6  # PyTorch's, so that clipped gradients agree with it


class AdamW:
    """Updates named arrays in place.

    State: one first and one second moment for each array, zero at the start, and the number of updates made.
    """

    def __init__(
        self,
        parameters: Mapping[str, NDArray[np.float32]],
        *,
        weight_decay: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.updates = 0
        self._parameters = dict(parameters)
        self._weight_decay = weight_decay
        self._betas = betas
        self._eps = eps
        self._first = {name: np.zeros_like(array) for name, array in parameters.items()}
        self._second = {name: np.zeros_like(array) for name, array in parameters.items()}

    def update(self, gradients: Mapping[str, NDArray[np.float32]], *, learning_rate: float) -> None:
        """Make one update; every parameter needs its gradient."""
        self.updates += 1
        beta1, beta2 = self._betas
        rate = learning_rate / (1 - beta1**self.updates)
        correction = 1 / math.sqrt(1 - beta2**self.updates)
        for name, parameter in self._parameters.items():
            gradient, first, second = gradients[name], self._first[name], self._second[name]
            first *= beta1
            first += (1 - beta1) * gradient
            second *= beta2
            second += (1 - beta2) * np.square(gradient)
            parameter *= 1 - learning_rate * self._weight_decay
            parameter -= rate * first / (np.sqrt(second) * correction + self._eps)


def clip_gradients(gradients: Mapping[str, NDArray[np.float32]], max_norm: float) -> float:
    """Scale all gradients in place so that their joint Euclidean norm is at most `max_norm`; return the norm before.

    Gradients in float32 whose squares are summed in float64.
    """
    norm = math.sqrt(sum(float(np.square(gradient, dtype=np.float64).sum()) for gradient in gradients.values()))
    factor = max_norm / (norm + _NORM_FLOOR)
    if factor < 1:
        for gradient in gradients.values():
            gradient *= np.float32(factor)
    return norm


def cosine_rate(update: int, *, peak: float, warm_up: int, of: int) -> float:
    """Return the rate of update 1 .. of: linear up to the peak, then half a cosine down to a hundredth of it."""
    if update <= warm_up:
        return peak * update / warm_up
    done = (update - warm_up) / max(of - warm_up, 1)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))
