"""The score, written out in float64 from its definition: one stream, one sample at a time, no code shared with the
package."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from kernels.activity_oracle import OracleActivity
from kernels.prototype_oracle import OracleWindow

BASE = -math.log(0.02)


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


@dataclass
class OracleStream:
    """One stream under a bundle of one LSTM layer."""

    bundle: Any
    budget_surprise: float
    age: int = 0
    hidden: list[float] = field(default_factory=list)
    cell: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    forecasts: list[list[list[float]]] = field(default_factory=list)  # by sample: [horizon][channel]
    means: list[float] = field(default_factory=list)
    windows: dict[str, OracleWindow] = field(default_factory=dict)
    distances: list[float] = field(default_factory=list)
    activity: OracleActivity | None = None
    moves: list[float] = field(default_factory=list)
    level: float = BASE
    excess: float = 1.0
    kept: float = BASE
    cluster: list[float] = field(default_factory=list)
    quiet: int = 0  # rows since the last of the cluster
    guard: int = 0
    held: int = 0
    hole: int = 0  # samples without a value in a row
    settle: int = 0  # samples that are not measured after a hole

    @property
    def branch(self) -> Any:
        return self.bundle.calibration.branches["network_residuals"]

    def score(self, row: list[float]) -> float | None:
        network, calibration = self.bundle.network, self.bundle.calibration
        a, layer = network.architecture, network.layers[0]
        channels, units = range(a.channels), range(a.hidden)
        if not self.hidden:
            self.hidden, self.cell, self.last = [0.0] * a.hidden, [0.0] * a.hidden, [0.0] * a.channels
        observed = [math.isfinite(v) for v in row]
        for c in channels:
            if observed[c]:
                z = (row[c] - float(self.bundle.standardizer.mean[c])) / float(self.bundle.standardizer.scale[c])
                self.last[c] = min(max(z, -20.0), 20.0)
        x = list(self.last)
        if not any(observed):
            self.hole += 1
        else:
            if self.hole >= 4 * a.forecast and not self.settle:
                self.settle = a.forecast
            self.hole = 0
        is_measured = any(observed) and not self.settle
        if any(observed):
            self.settle = max(self.settle - 1, 0)

        def gate(number: int, unit: int) -> float:
            r = number * a.hidden + unit
            return (
                float(layer.bias[r])
                + sum(float(layer.w_ih[r, c]) * x[c] for c in channels)
                + sum(float(layer.w_hh[r, u]) * self.hidden[u] for u in units)
            )

        new_cell, new_hidden = [], []
        for u in units:
            c = sigmoid(gate(1, u)) * self.cell[u] + sigmoid(gate(0, u)) * math.tanh(gate(2, u))
            new_cell.append(c)
            new_hidden.append(sigmoid(gate(3, u)) * math.tanh(c))
        self.cell, self.hidden = new_cell, new_hidden
        head = [
            float(network.head_bias[d]) + sum(float(network.head_weight[d, u]) * self.hidden[u] for u in units)
            for d in range(a.head_outputs)
        ]

        def predictions(kind: int, c: int) -> float | None:
            if kind == 0:
                return head[c]
            made = [self.forecasts[-h][h - 1][c] for h in range(1, min(a.forecast, self.age) + 1)]
            if not made:
                return None
            return made[0] if kind == 1 else sum(made) / len(made)

        seen, widths = [c for c in channels if observed[c] and is_measured], self.branch["widths"].tolist()
        self.means = self.means or [0.0] * (3 * len(widths))
        for kind in range(3):
            squares = []
            for c in seen:
                p = predictions(kind, c)
                squares.append(
                    0.0 if p is None else min(((x[c] - p) / float(self.branch["scales"][kind, c])) ** 2, 400.0)
                )
            for w, width in enumerate(widths):
                if seen and self.age >= calibration.burn_in:
                    measured = self.age - calibration.burn_in
                    alpha = 2 / (width + 1)
                    alpha = alpha if measured * alpha > 1 else 1 / (measured + 1)
                    k = kind * len(widths) + w
                    self.means[k] += alpha * (sum(squares) / len(seen) - self.means[k])
        self.forecasts.append([[head[h * a.channels + c] for c in channels] for h in range(1, a.forecast + 1)])
        self.distances = []
        for name in ("prototypes", "beats"):
            if held := calibration.branches.get(name):
                stride = int(held["stride"][0]) if "stride" in held else 1
                window = self.windows.setdefault(name, OracleWindow(held["centres"], held["floors"], stride))
                self.distances += window.measure(x)[0]
        if active := calibration.branches.get("activity"):
            self.activity = self.activity or OracleActivity(active["scales"], active["widths"])
            self.moves = self.activity.measure(x, [c in seen for c in channels])[0]
        self.age += 1
        if self.age <= calibration.warm_up or not is_measured:
            return None
        return self._judge(self.age - 1)

    def _judge(self, age: int) -> float:
        calibration = self.bundle.calibration
        known = math.log(5 * (calibration.rows + age) / calibration.cluster_rows)
        alarm = self.budget_surprise if known > self.budget_surprise else max(known, 4.0)
        kinds = ("reconstruction", "forecast", "ensemble")
        parts = [f"{kind}/{width:g}" for kind in kinds for width in self.branch["widths"].tolist()]
        is_wave = "beats" in self.windows
        weights = [(1 if is_wave else 3) / len(parts)] * len(parts)
        for name in self.windows:
            parts += [f"{name}/centred", f"{name}/normalised"]
            weights += [1.5, 0.5] if name == "beats" else [0.5, 0.5] if is_wave else [1.0, 1.0]
        if self.activity:
            parts += ["activity/spread", "activity/trend"]
            weights[-1:] = [0.0, 1.0, 1.0]
        total = sum(
            weight * min(tail(calibration.tails[part], statistic), 60)
            for part, weight, statistic in zip(parts, weights, self.means + self.distances + self.moves, strict=True)
        )
        u = min(tail(calibration.total, total), 200)
        surprise = u * BASE / self.level if u <= self.level else BASE + (u - self.level) / self.excess
        self._learn(u, surprise >= alarm, alarm)
        return surprise / alarm

    def _learn(self, u: float, is_alarm: bool, alarm: float) -> None:
        calibration, rate = self.bundle.calibration, 1 / self.bundle.calibration.horizon
        share = min(50 * rate, 0.05)
        if is_alarm and self.guard == 0:
            self.excess = min(max(self.excess * (1 + 0.3 * share * (alarm - BASE - 1)), 1.0), 50)
            self.kept = min(self.kept * (1 + min(3 * 0.98 * rate * calibration.cluster_rows, 0.05)), 200)
        self.guard = calibration.warm_up if is_alarm else max(self.guard - 1, 0)
        if self.guard > 0 and self.held < calibration.horizon:
            self.held += 1
            self.level, self.cluster = self.kept, []
            return
        if self.guard == 0:
            self.held = max(self.held - 1, 0)
        if u > self.level and not is_alarm:
            self.cluster.append(u - self.level)
            self.quiet = 0
        else:
            self.quiet += 1
        if self.cluster and (self.quiet >= calibration.warm_up or len(self.cluster) >= calibration.horizon):
            weight = share * min(len(self.cluster) / calibration.cluster_rows, 2)
            self.excess += weight * (sum(self.cluster) / len(self.cluster) - self.excess)
            self.excess, self.cluster = min(max(self.excess, 1.0), 50), []
        self.level *= 1 + 0.98 * rate if u > self.level else 1 - 0.02 * rate
        self.level = min(max(self.level, BASE), 200)
        self.kept += (self.level - self.kept) / (calibration.warm_up + 1)


def tail(fitted: Any, value: Any) -> float:
    statistic, surprise, shape, scale = fitted.statistic, fitted.surprise, fitted.shape, fitted.scale
    if value <= statistic[0]:
        return float(surprise[0])
    if value <= statistic[-1]:
        return float(np.interp(value, statistic, surprise))
    excess = (value - statistic[-1]) / scale
    return float(surprise[-1]) + (math.log1p(shape * excess) / shape if shape > 0 else excess)
