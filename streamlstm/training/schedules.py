"""The learning rate of each update, from its number and the validation losses so far, so nothing is remembered.

    cosine      linear for a twentieth, then half a cosine down to a hundredth of the peak
    one_cycle   half a cosine from a 25th up to the peak for three tenths, then half a cosine down to nothing
    plateau     linear for a twentieth, then the peak, halved whenever a quarter of the patience brought nothing better
    constant    the peak

Sources: Loshchilov & Hutter, SGDR (2017); Smith & Topin, Super-Convergence (2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from streamlstm.training.options import TrainerOptions

__all__ = ["is_better", "learning_rate"]

_BETTER = 1e-3
"""Share by which a validation loss must fall to count as better: less is the noise of one update."""
_START, _RISE = 1 / 25, 0.3
_LOWEST = 1e-2


def is_better(loss: float, best: float) -> bool:
    """Say whether a validation loss has fallen below the best before it by more than noise."""
    return loss < best - (_BETTER * abs(best) if math.isfinite(best) else 0.0)


def learning_rate(o: TrainerOptions, update: int, validation_losses: Sequence[float]) -> float:
    """Return the rate of update 1 .. max_updates, given the validation losses before it."""
    if o.schedule == "constant":
        return o.learning_rate
    if o.schedule == "one_cycle":
        return o.learning_rate * _one_cycle(update / o.max_updates)
    warm_up = max(o.max_updates // 20, 1)
    if update <= warm_up:
        return o.learning_rate * update / warm_up
    if o.schedule == "plateau":
        return o.learning_rate * max(0.5 ** _plateaus(validation_losses, max(o.patience // 4, 1)), _LOWEST)
    done = (update - warm_up) / (o.max_updates - warm_up)
    return o.learning_rate * (_LOWEST + (1 - _LOWEST) * _half_cosine(done))


def _one_cycle(done: float) -> float:
    if done < _RISE:
        return 1 - (1 - _START) * _half_cosine(done / _RISE)
    return _half_cosine((done - _RISE) / (1 - _RISE))


def _half_cosine(done: float) -> float:
    """From 1 at 0 to 0 at 1."""
    return 0.5 * (1 + math.cos(math.pi * done))


def _plateaus(losses: Sequence[float], patience: int) -> int:
    """Count how often `patience` losses in a row were no better than the best before them."""
    best, worse, count = math.inf, 0, 0
    for loss in losses:
        if is_better(loss, best):
            best, worse = loss, 0
        else:
            worse += 1
            if worse == patience:
                count, worse = count + 1, 0
    return count
