"""Tail probabilities of a residual statistic, fitted on clean data.

Up to a high quantile the probability is the empirical one; beyond it the excesses follow a generalised Pareto
distribution (peaks over threshold), fitted by Grimshaw's method on excesses divided by their mean: general-purpose
maximum likelihood and the method of moments both break down on telemetry.

Source: Pickands 1975 (peaks over threshold); Grimshaw 1993, Technometrics 35(2), "Computing maximum likelihood
estimates for the generalized Pareto distribution"; Siffer et al. 2017 (SPOT), where the same fit finds thresholds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlstm.model.calibration import Tail

__all__ = ["TAIL_KNOTS", "fit_tail", "grimshaw"]

TAIL_KNOTS = 32
"""Points of the empirical part. Between them -ln p is linear, so 32 keep it within 2 % of itself."""

_HIGHEST_QUANTILE = 0.98
_WANTED_EXCESSES = 40
"""Fewer excesses leave the fitted shape to chance: on short data the threshold moves down to have them."""

_HEAVIEST = 0.5
"""A heavier tail has no variance; short samples suggest one by accident, and every fault would then look likely."""

_LEAST = float(np.finfo(np.float32).tiny)
"""Statistics are float32: what is smaller is nothing, and would make a slope between knots infinite."""

_CANDIDATES = 200


def fit_tail(values: NDArray[np.float64], *, lightest: float = 0.0, least_scale: float = 1e-9) -> Tail:
    """Fit the tail of a statistic on clean data.

    Shapes: values [N], N >= 1, finite. With too few excesses, or none above the threshold (a constant statistic), the
    scale is the sample's own spread: wide rather than eager. The shape is at least `lightest`, the scale at
    least `least_scale`.
    """
    count = len(values)
    quantile = float(np.clip(1.0 - _WANTED_EXCESSES / count, 0.8, _HIGHEST_QUANTILE))
    body, top = TAIL_KNOTS - 8, 8
    levels = np.concatenate(
        [np.linspace(0.0, 0.9 * quantile, body), np.linspace(0.9 * quantile, quantile, top + 1)[1:]]
    )
    knots = np.maximum.accumulate(np.quantile(values, levels))
    knots[knots < _LEAST] = 0.0
    excesses = values[values > knots[-1]] - knots[-1]
    if len(excesses) >= 8:
        shape, scale = grimshaw(excesses, lightest=lightest)
    else:
        shape, scale = lightest, float(max(np.ptp(values), abs(knots[-1])))
    return Tail(statistic=knots, surprise=-np.log1p(-levels), shape=shape, scale=max(scale, least_scale))


def grimshaw(excesses: NDArray[np.float64], *, lightest: float = 0.0) -> tuple[float, float]:
    """Return shape and scale of the generalised Pareto distribution most likely to give these excesses.

    Shapes: excesses [N], all > 0. With theta = shape / scale the likelihood has one free parameter: given theta, the
    best shape is mean(ln(1 + theta * excess)). The profile is searched over a fixed set of theta on excesses of mean
    1, the exponential (theta = 0) among them; a shape outside [lightest, 0.5] is held at the bound.
    """
    mean = float(excesses.mean())
    y = excesses / mean
    theta = np.geomspace(1e-3, 100.0, _CANDIDATES)
    shape = np.log1p(theta[:, None] * y[None, :]).mean(axis=1)
    likelihood = -np.log(shape / theta) - shape - 1.0
    best = int(np.argmax(likelihood))
    is_heavier = likelihood[best] > -1.0  # the exponential's, -ln 1 - mean(y)
    if is_heavier and lightest <= shape[best] <= _HEAVIEST:
        return float(shape[best]), float(shape[best] / theta[best] * mean)
    # Held at a bound, the fit keeps the mean excess of the data, which is scale / (1 - shape).
    held = _HEAVIEST if is_heavier and shape[best] > _HEAVIEST else lightest
    return held, mean * (1.0 - held)
