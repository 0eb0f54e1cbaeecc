"""Scores as areas, one on the other: what each of a few names made of the score over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamlstm.reporting.axes import Axis
from streamlstm.reporting.explanation.time_axis import TimeAxis, stretches
from streamlstm.reporting.markup import Markup
from streamlstm.reporting.plots import Plot, key

__all__ = ["HIGHEST", "Stack", "draw_stack", "score_plot", "stack_of"]

_COLOURS = ("c1", "c2", "c3")
_OTHERS = "quiet"
_POINTS = 600
HIGHEST = 10.0
"""Scores above are cut off: the threshold must stay in sight."""


class Stack:
    """Names with what they made of the score [W, names], those that made most first, the rest together."""

    def __init__(self, names: Sequence[str], made: NDArray[np.float64]) -> None:
        self.names, self.made = tuple(names), made

    @property
    def colours(self) -> tuple[str, ...]:
        """Classes of the style sheet."""
        return tuple(
            _OTHERS if name == "others" else css for name, css in zip(self.names, [*_COLOURS, _OTHERS], strict=False)
        )

    def key(self, *, has_settled: bool) -> Markup:
        """Return what the colours mean."""
        entries = [(f"{css} block", name) for name, css in zip(self.names, self.colours, strict=True)]
        return key(*entries, *([("alarm stroke", "settled one period later")] if has_settled else []))


def stack_of(names: Sequence[str], shares: NDArray[np.floating], score: NDArray[np.float64]) -> Stack:
    """Share the score out; without one it is 0. Shapes: shares [W, names], that add up to 1; score [W]."""
    made = shares * np.nan_to_num(score)[:, None]
    order = np.argsort(-made.sum(axis=0), kind="stable").tolist()
    shown, rest = order[: len(_COLOURS)], order[len(_COLOURS) :]
    columns = [made[:, k] for k in shown] + ([made[:, rest].sum(axis=1)] if rest else [])
    return Stack([*(names[k] for k in shown), *(["others"] if rest else [])], np.stack(columns, axis=1))


def draw_stack(plot: Plot, stack: Stack, score: NDArray[np.float64], time: TimeAxis) -> None:
    """Draw what each made, and the threshold; of many rows the highest of each stretch is drawn."""
    held = np.nan_to_num(score)
    starts = stretches(len(held), _POINTS)
    ends = [*starts[1:].tolist(), len(held)]
    rows = np.array([a + int(np.argmax(held[a:b])) for a, b in zip(starts.tolist(), ends, strict=True)])
    across, below = time.across[rows], np.zeros(len(rows))
    for name, css, made in zip(stack.names, stack.colours, stack.made[rows].T, strict=True):
        plot.band(across, below, below + made, css, title=name)
        below = below + made
    plot.line(across, np.where(np.isfinite(score[rows]), held[rows], np.nan), "ink thin", title="score")
    plot.across(1.0, "alarm", "alarm")


def score_plot(score: NDArray[np.float64], time: TimeAxis, *, height: int, x_ticks: int = 7) -> Plot:
    """Return an empty plot for scores, which holds the threshold."""
    top = min(max(float(np.nan_to_num(score).max()), 1.0), HIGHEST)
    return Plot(time.axis, Axis(0.0, 1.15 * top), height=height, x_ticks=x_ticks, y_ticks=3, x_title=time.unit)
