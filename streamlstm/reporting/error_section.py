"""Histograms of the errors, channel by channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlstm.reporting.axes import Axis
from streamlstm.reporting.markup import Markup, element
from streamlstm.reporting.measurements import BINS, Errors, Measurements
from streamlstm.reporting.phrases import phrases_of
from streamlstm.reporting.plots import Plot, figure, key
from streamlstm.reporting.quantities import counted, number, share
from streamlstm.reporting.report import TrainingReport

__all__ = ["error_section"]

_SHOWN = 12
_BARS = 40
_HELD = 0.995
"""Share of both errors that a histogram shows; its note says how many lie outside."""


def error_section(report: TrainingReport, measured: Measurements) -> Markup:
    """Return the section: every channel, or the ones that are explained least."""
    errors, names = measured.errors, report.bundle.channels
    held = np.flatnonzero(errors.rows > 0)
    left = np.where(errors.guess_rms > 0, 1 - errors.explained(errors.rms[1]), -np.inf)
    chosen = held[np.argsort(-left[held], kind="stable")][:_SHOWN] if len(held) > _SHOWN else held
    which = (
        f"The {_SHOWN} of {len(names)} channels that are explained least; the table below has the others. "
        if len(held) > _SHOWN
        else ""
    )
    intro = (
        f"{which}Errors on the calibration part, which no weight has seen, in the channel's unit. The dotted curve is "
        "the normal distribution of the same root mean square: errors of telemetry most often have a narrower "
        "peak and heavier tails, which is why tails are fitted rather than assumed."
    )
    if not len(chosen):
        intro = "No value of the calibration part was observed, so there are no errors to show."
    return element(
        "section",
        None,
        element("h2", None, "Errors"),
        element("p", None, intro),
        key(
            ("c1 block", phrases_of(report).estimate),
            *([("c2 stroke", "reconstruction of the newest sample")] if report.is_causal else []),
            ("quiet dotted", "normal"),
        )
        if len(chosen)
        else None,
        element("div", {"class": "grid"}, *(_histogram(report, errors, int(c)) for c in chosen)),
    )


def _histogram(report: TrainingReport, errors: Errors, channel: int) -> Markup:
    name, unit = report.bundle.channels[channel], report.unit(channel)
    ahead, rebuilt = errors.counts[1, channel], errors.counts[0, channel]
    reach = _reach(ahead + rebuilt)
    half = float(errors.half[channel]) * reach / (BINS // 2)
    bars, outline = _binned(ahead, reach), _binned(rebuilt, reach)
    total = max(int(errors.rows[channel]), 1)
    edges = np.linspace(-half, half, _BARS + 1)
    centers = np.linspace(-half, half, 121)
    rms = float(errors.rms[1, channel])
    normal = (
        np.exp(-0.5 * np.square(centers / rms)) / (rms * np.sqrt(2 * np.pi)) * (2 * half / _BARS)
        if rms > 0
        else np.zeros_like(centers)
    )
    top = float(max((bars / total).max(), (outline / total).max(), normal.max() if rms > half / _BARS else 0.0, 1e-9))
    plot = Plot(
        Axis(-half, half), Axis(0.0, 1.08 * top, False, _height), height=120, x_ticks=5, y_ticks=3, x_title=unit
    )
    plot.bars(
        edges,
        bars / total,
        "c1",
        title=lambda n: f"{number(edges[n])} to {number(edges[n + 1])} {unit}: {counted(int(bars[n]), 'row')}",
    )
    plot.line(centers, np.where(normal <= 1.08 * top, normal, np.nan), "quiet dotted")
    if report.is_causal:
        plot.steps(edges, outline / total, "c2")
    outside = total - int(bars.sum())
    forecast, newest = number(rms), number(float(errors.rms[0, channel]))
    both = f"forecast {forecast}, reconstruction {newest}" if report.is_causal else forecast
    said = f"Root mean square: {both}{' ' + unit if unit else ''}."
    note = f"{said} {counted(outside, 'forecast error' if report.is_causal else 'error')} outside." if outside else said
    return figure(name, plot.render(f"Histogram of the errors of {name}. {note}"), note=note)


def _height(of_rows: float) -> str:
    return share(of_rows) if of_rows else ""


def _reach(counts: NDArray[np.int64]) -> int:
    """Return how many bins to either side hold the share to be shown, a multiple of half the bars."""
    middle = BINS // 2
    folded = counts[middle:] + counts[:middle][::-1]
    needed = int(np.searchsorted(np.cumsum(folded), _HELD * folded.sum())) + 1
    step = _BARS // 2
    return min(-(-needed // step) * step, middle // step * step)


def _binned(counts: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    middle = BINS // 2
    return np.asarray(counts[middle - reach : middle + reach].reshape(_BARS, -1).sum(axis=1))
