"""The network's gates over a window: their means, and every unit as a line of a heat map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.explanation import Explanation
from streamlstm.evaluation.gates import LayerGates
from streamlstm.reporting.axes import Axis
from streamlstm.reporting.channel_figures import outline
from streamlstm.reporting.explanation.heat_map import heat_map
from streamlstm.reporting.explanation.time_axis import TimeAxis
from streamlstm.reporting.explanation.zoom import zoomed
from streamlstm.reporting.markup import Markup, element
from streamlstm.reporting.plots import Plot, key
from streamlstm.reporting.quantities import counted

__all__ = ["gate_figures"]

_POINTS = 400
_COLOURS = ("c1", "c2", "c3", "quiet")
_MEMORY = ("forget", "update")
"""The gates by which a unit keeps what it has."""


def gate_figures(explanation: Explanation, time: TimeAxis) -> list[Markup]:
    """Return a part for each layer, the lowest first."""
    found: list[Markup] = []
    for number, layer in enumerate(explanation.gates, start=1):
        title = f"Layer {number} of {len(explanation.gates)}: {layer.kind.value}, {_units(layer)}"
        found.append(element("h3", None, title))
        found.append(zoomed(*_layer(layer, explanation, time), label=f"Gates of layer {number} over time", time=time))
    return found


def _units(layer: LayerGates) -> str:
    arrays = [*layer.gates.values(), layer.outputs]
    return counted(arrays[0].shape[1], "unit")


def _layer(layer: LayerGates, explanation: Explanation, time: TimeAxis) -> list[Markup]:
    order = _order(layer)
    plots: list[Markup] = []
    if layer.gates:
        plot = Plot(
            time.axis, Axis(min(0.0, *(_low(gate) for gate in layer.gates.values())), 1.0), height=92, x_ticks=0
        )
        plot.upright(float(time.across[explanation.at]), "ink")
        for css, (name, gate) in zip(_COLOURS, layer.gates.items(), strict=False):
            rows, means = outline(_mean(gate), _POINTS)
            plot.line(time.across[rows.astype(np.int64)], means, css, title=name)
        plots += [
            element("p", {"class": "panel"}, "means over the units"),
            key(*((f"{css} stroke", name) for css, name in zip(_COLOURS, layer.gates, strict=False))),
            plot.render("Means of the gates over the units: " + ", ".join(layer.gates) + "."),
        ]
    maps = [(f"{name} gate", gate[:, order]) for name, gate in layer.gates.items()]
    if layer.cell is not None:
        maps.append(("cell state, as tanh", np.tanh(layer.cell[:, order])))
    is_of_units = layer.outputs.shape[1] == len(order)
    maps.append(("output", layer.outputs[:, order] if is_of_units else layer.outputs))
    for n, (name, values) in enumerate(maps):
        is_last = n == len(maps) - 1
        plot = Plot(time.axis, Axis(0.0, 1.0), height=64, x_ticks=7 if is_last else 0, y_ticks=0, x_title=time.unit)
        plot.image(heat_map(values))
        plot.upright(float(time.across[explanation.at]), "ink")
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        heading = element("p", {"class": "panel"}, name, element("small", None, f" · {low:.2f} to {high:.2f}"))
        plots += [heading, plot.render(f"{name} of {values.shape[1]} units: from {low:.2f} to {high:.2f}.")]
    return plots


def _order(layer: LayerGates) -> NDArray[np.int64]:
    """Return the units, those that keep what they have the longest first."""
    kept = next((gate for name, gate in layer.gates.items() if name in _MEMORY), None)
    if kept is None:
        return np.arange(layer.outputs.shape[1])
    return np.argsort(-np.nanmean(kept, axis=0), kind="stable")


def _mean(gate: NDArray[np.float32]) -> NDArray[np.float32]:
    held = np.isfinite(gate).any(axis=1)
    means = np.full(len(gate), np.nan, np.float32)
    means[held] = gate[held].mean(axis=1)
    return means


def _low(gate: NDArray[np.float32]) -> float:
    return float(np.nanmin(_mean(gate)))
