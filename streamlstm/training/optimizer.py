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
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import adamw_update
from streamlstm.training.options import TrainerOptions

__all__ = ["SGD", "AdamW", "Optimizer", "clip_gradients", "make_optimizer"]

_Arrays = Mapping[str, NDArray[np.float32]]

_NORM_FLOOR = 1e-6  # PyTorch's, so that clipped gradients agree with it


class Optimizer(Protocol):
    """Updates named arrays in place.

    State: `updates` made, and `moments`, zero at the start, named after the arrays.
    """

    updates: int
    moments: dict[str, NDArray[np.float32]]

    def update(self, gradients: _Arrays, *, learning_rate: float) -> None:
        """Make one update; every parameter needs its gradient."""


class AdamW:
    """Adam with decoupled weight decay. Moments: NAME.first, NAME.second."""

    def __init__(
        self,
        parameters: _Arrays,
        *,
        weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.updates = 0
        self._parameters = dict(parameters)
        self._weight_decay = weight_decay
        self._betas = betas
        self._eps = eps
        self.moments = _zeros(parameters, ("first", "second"))

    def update(self, gradients: _Arrays, *, learning_rate: float) -> None:
        """Make one update; every parameter needs its gradient."""
        self.updates += 1
        beta1, beta2 = self._betas
        for name, parameter in self._parameters.items():
            adamw_update(
                parameter,
                gradients[name],
                self.moments[f"{name}.first"],
                self.moments[f"{name}.second"],
                beta1=beta1,
                beta2=beta2,
                decay=1 - learning_rate * self._weight_decay,
                rate=learning_rate / (1 - beta1**self.updates),
                correction=1 / math.sqrt(1 - beta2**self.updates),
                eps=self._eps,
            )


class SGD:
    """Gradient descent with momentum; the decay is part of the gradient. Moments: NAME.velocity."""

    def __init__(self, parameters: _Arrays, *, momentum: float, weight_decay: float) -> None:
        self.updates = 0
        self._parameters = dict(parameters)
        self._momentum = momentum
        self._weight_decay = weight_decay
        self.moments = _zeros(parameters, ("velocity",))

    def update(self, gradients: _Arrays, *, learning_rate: float) -> None:
        """Make one update; every parameter needs its gradient."""
        self.updates += 1
        for name, parameter in self._parameters.items():
            velocity = self.moments[f"{name}.velocity"]
            velocity *= self._momentum
            velocity += gradients[name]
            velocity += self._weight_decay * parameter
            parameter -= learning_rate * velocity


def make_optimizer(parameters: _Arrays, o: TrainerOptions) -> Optimizer:
    """Return the optimizer that the options name, for these parameters."""
    if o.optimizer == "sgd":
        return SGD(parameters, momentum=o.momentum, weight_decay=o.weight_decay)
    return AdamW(parameters, weight_decay=o.weight_decay)


def clip_gradients(gradients: _Arrays, max_norm: float) -> float:
    """Scale all gradients in place so that their joint Euclidean norm is at most `max_norm`; return the norm before.

    Gradients in float32 whose squares are summed in float64.
    """
    norm = math.sqrt(sum(float(np.square(gradient, dtype=np.float64).sum()) for gradient in gradients.values()))
    factor = max_norm / (norm + _NORM_FLOOR)
    if 0 < factor < 1:  # an infinite norm is the caller's to refuse
        for gradient in gradients.values():
            gradient *= np.float32(factor)
    return norm


def _zeros(parameters: _Arrays, kinds: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    return {f"{name}.{kind}": np.zeros_like(array) for name, array in parameters.items() for kind in kinds}
