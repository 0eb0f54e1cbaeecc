"""The calibration, written out in float64 from its definition: row by row, no line of it shared with the package.

Only the fit of a tail beyond its last knot is asked of `fit_tail`, which has tests of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.scoring.tails import fit_tail

Floats = NDArray[np.float64]


@dataclass
class Expected:
    """What a calibration should hold; heads and residuals by series are kept for tests that look inside."""

    scales: Floats
    widths: list[float]
    burn_in: int
    warm_up: int
    starts: list[int]
    means: Floats
    statistics: Floats
    fits: list[tuple[float, float]]
    total_statistics: Floats
    total_surprises: Floats
    total_fit: tuple[float, float]
    clusters: float


def heads_of(network: Any, standardizer: Any, values: Any) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return inputs [T, C], heads [T, 1 + p, C] and what was observed of a network of one LSTM layer."""
    a, layer = network.architecture, network.layers[0]
    w_ih, w_hh, bias = (np.asarray(one, float) for one in (layer.w_ih, layer.w_hh, layer.bias))
    weight, offset = np.asarray(network.head_weight, float), np.asarray(network.head_bias, float)
    hidden, cell = np.zeros(a.hidden), np.zeros(a.hidden)
    observed = np.isfinite(values)
    x = np.zeros(values.shape)
    last = np.zeros(a.channels)
    heads = []
    for t, row in enumerate(np.asarray(values, float)):
        z = (row - np.asarray(standardizer.mean, float)) / np.asarray(standardizer.scale, float)
        last = x[t] = np.where(observed[t], np.minimum(np.maximum(z, -20), 20), last)
        gates = (w_ih @ last + w_hh @ hidden + bias).reshape(4, a.hidden)
        i, f, o = (1 / (1 + np.exp(-gates[k])) for k in (0, 1, 3))
        cell = f * cell + i * np.tanh(gates[2])
        hidden = o * np.tanh(cell)
        heads.append((weight @ hidden + offset).reshape(1 + a.forecast, a.channels))
    return x, np.array(heads), observed


def residuals_of(x: Floats, heads: Floats) -> Floats:
    """Return newest, one-step and ensemble residuals [3, T, C]; NaN where no forecast was made for a row."""
    rows, horizon = len(x), heads.shape[1] - 1
    found = np.full((3, *x.shape), math.nan)
    for t in range(rows):
        found[0, t] = x[t] - heads[t, 0]
        made = [heads[t - h, h] for h in range(1, min(horizon, t) + 1)]
        if made:
            found[1, t] = x[t] - made[0]
            found[2, t] = x[t] - sum(made) / len(made)
    return found


def means_of(residuals: Floats, observed: Any, scales: Floats, widths: Sequence[float], burn_in: int) -> Floats:
    """Return the running means of squares, [T, 3 W]."""
    rows = residuals.shape[1]
    count = len(widths)
    means, current = np.zeros((rows, 3 * count)), np.zeros(3 * count)
    for t in range(rows):
        seen = np.flatnonzero(observed[t])
        if t >= burn_in and len(seen):
            for kind in range(3):
                with_nothing_forecast_is_zero = np.nan_to_num(residuals[kind, t, seen])
                square = np.minimum((with_nothing_forecast_is_zero / scales[kind, seen]) ** 2, 400).mean()
                for w, width in enumerate(widths):
                    share = max(2 / (width + 1), 1 / (t - burn_in + 1))
                    current[count * kind + w] += share * (square - current[count * kind + w])
        means[t] = current
    return means


def knots_of(sample: Floats) -> tuple[Floats, Floats]:
    """Return 32 quantiles of a sample, eight of them in its highest tenth, and -ln of what lies above each."""
    highest = min(max(1 - 40 / len(sample), 0.8), 0.98)
    levels = [0.9 * highest * k / 23 for k in range(24)] + [highest * (0.9 + 0.1 * k / 8) for k in range(1, 9)]
    ordered = np.sort(sample)
    knots = []
    for level in levels:
        place = level * (len(ordered) - 1)
        below = min(int(place), len(ordered) - 2)
        knots.append(ordered[below] + (place - below) * (ordered[below + 1] - ordered[below]))
    return np.array(knots), np.array([-math.log(1 - level) for level in levels])


def surprise(knots: Floats, surprises: Floats, fit: tuple[float, float], value: float) -> float:
    """Return -ln P(statistic > value)."""
    shape, scale = fit
    if value <= knots[0]:
        return float(surprises[0])
    if value > knots[-1]:
        beyond = (value - knots[-1]) / scale
        return float(surprises[-1]) + (math.log(1 + shape * beyond) / shape if shape else beyond)
    k = next(k for k in range(1, 32) if value <= knots[k])
    part = (value - knots[k - 1]) / (knots[k] - knots[k - 1])
    return float(surprises[k - 1] + part * (surprises[k] - surprises[k - 1]))


def clusters_of(surprises: Sequence[float], gap: int) -> float:
    """Return the mean number of samples above the 98 % level in a cluster."""
    counts, last = list[int](), None
    for row, value in enumerate(surprises):
        if value > -math.log(0.02):
            if last is not None and row - last <= gap:
                counts[-1] += 1
            else:
                counts.append(1)
            last = row
    return float(np.mean(counts)) if counts else float(gap)


def expected_calibration(network: Any, standardizer: Any, series: Sequence[tuple[Any, int]], period: int) -> Expected:
    """Calibrate on (values, first calibration row) of every series, none of which starts later than row 20,000.

    No series has a hole after which it would have to settle.
    """
    longest = float(np.float32(2 * period / 3)) if 48 < period <= 400 else 32.0
    widths = [1.0, 4.0, 16.0, longest]
    burn_in = max(network.architecture.forecast, math.floor(longest) // 2)
    warm_up = burn_in + math.floor(longest)
    starts = []
    for values, start in series:
        short = (start + len(values)) // 2
        starts.append(start if start >= min(warm_up, short) else min(warm_up, short))
    runs = [heads_of(network, standardizer, values) for values, _ in series]
    residuals = [residuals_of(x, heads) for x, heads, _ in runs]
    scales = np.zeros((3, network.architecture.channels))
    for kind in range(3):
        for c in range(network.architecture.channels):
            squares = [
                float(residual[kind, t, c]) ** 2
                for residual, (_, _, observed), start in zip(residuals, runs, starts, strict=True)
                for t in range(max(start, network.architecture.forecast), residual.shape[1])
                if observed[t, c]
            ]
            scales[kind, c] = max(math.sqrt(sum(squares) / len(squares)) if squares else 0.0, 0.01)
    means = np.concatenate(
        [
            means_of(residual, observed, scales, widths, burn_in)[start:][observed[start:].any(axis=1)]
            for residual, (_, _, observed), start in zip(residuals, runs, starts, strict=True)
        ]
    )
    parts = [knots_of(means[:, k]) for k in range(12)]
    tails = [fit_tail(means[:, k], lightest=0.15, least_scale=1e-3) for k in range(12)]
    fits = [(tail.shape, tail.scale) for tail in tails]
    total = np.array(
        [sum(surprise(*parts[k], fits[k], value) / 4 for k, value in enumerate(row)) for row in means.tolist()]
    )
    total_knots, total_surprises = knots_of(total)
    tail = fit_tail(total, least_scale=1.0)
    total_fit = (tail.shape, tail.scale)
    final = [surprise(total_knots, total_surprises, total_fit, value) for value in total.tolist()]
    return Expected(
        scales=scales,
        widths=widths,
        burn_in=burn_in,
        warm_up=warm_up,
        starts=starts,
        means=means,
        statistics=np.array([knots for knots, _ in parts]),
        fits=fits,
        total_statistics=total_knots,
        total_surprises=total_surprises,
        total_fit=total_fit,
        clusters=clusters_of(final, math.floor(longest)),
    )
