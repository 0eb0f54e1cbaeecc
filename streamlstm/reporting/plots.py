"""Plots in SVG that are as wide as their place: lines stretch with it, text keeps its size.

The outer picture has no view box, so its places are percentages across and pixels down; what is drawn with paths lies
in an inner one of 1000 units that is stretched, with strokes that are not. Labels of the y axis stand on their grid
lines, so nothing is kept free at the left. Colours are the style sheet's, by class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.reporting.axes import Axis
from streamlstm.reporting.markup import Markup, element

__all__ = ["Plot", "figure", "key"]

_ACROSS = 1000
_TOP = 14
_BOTTOM = 20


class Plot:
    """One plot, drawn from back to front in the order of the calls.

    Units: height in pixels, of the plot's area alone. Classes of strokes and areas are c1, c2, c3, quiet and alarm.
    """

    def __init__(
        self,
        x: Axis,
        y: Axis,
        *,
        height: int,
        x_ticks: int = 5,
        y_ticks: int = 4,
        x_title: str = "",
        is_bare: bool = False,
    ) -> None:
        self.x, self.y = x, y
        self._height = height
        self._x_ticks = [] if is_bare else x.ticks(x_ticks)
        self._y_ticks = [] if is_bare else y.ticks(y_ticks)
        self._x_title = x_title
        self._is_bare = is_bare
        self._stretched: list[Markup] = []
        self._fixed: list[Markup] = []

    def line(self, x: ArrayLike, y: ArrayLike, css: str, *, title: str = "") -> None:
        """Draw a line; where y is NaN it breaks."""
        path = _path(self._across(x), self._down(y))
        if path:
            self._stretched.append(element("path", {"class": f"line {css}", "d": path}, _title(title)))

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, css: str, *, title: str = "") -> None:
        """Fill what lies between two lines."""
        across = self._across(x)
        edge = _path(np.concatenate([across, across[::-1]]), np.concatenate([self._down(low), self._down(high)[::-1]]))
        if edge:
            self._stretched.append(element("path", {"class": f"area {css}", "d": edge + "Z"}, _title(title)))

    def bars(self, edges: ArrayLike, heights: ArrayLike, css: str, *, title: Callable[[int], str]) -> None:
        """Draw bars from the x axis up, with a title each. Shapes: edges [N + 1]; heights [N]."""
        across, down = self._across(edges), self._down(heights)
        for n, (left, right, top) in enumerate(zip(across, across[1:], down, strict=False)):
            if np.isfinite(top) and top < self._height:
                box = {
                    "x": _short(left),
                    "y": _short(top),
                    "width": _short(right - left),
                    "height": _short(self._height - top),
                }
                self._stretched.append(element("rect", {"class": f"area {css}", **box}, _title(title(n))))

    def steps(self, edges: ArrayLike, heights: ArrayLike, css: str, *, title: str = "") -> None:
        """Draw the outline of bars. Shapes: edges [N + 1]; heights [N]."""
        x = np.repeat(np.asarray(edges, np.float64), 2)[1:-1]
        self.line(x, np.repeat(np.asarray(heights, np.float64), 2), css, title=title)

    def across(self, y: float, css: str, text: str = "", *, is_left: bool = False) -> None:
        """Draw a level with its name at the right, or at the left beside the labels."""
        if not 0 <= self.y.at(y) <= 1:
            return
        down = float(self._down([y])[0])
        self._stretched.append(element("path", {"class": f"line level {css}", "d": f"M0,{_short(down)}H{_ACROSS}"}))
        if text:
            self._write(8.0 if is_left else 100.0, down - 4, text, f"{'start' if is_left else 'end'} held {css}")

    def upright(self, x: float, css: str, text: str = "") -> None:
        """Draw a place on the x axis with its name at the top."""
        if not 0 <= self.x.at(x) <= 1:
            return
        place = self.x.at(x)
        mark = f"M{_short(_ACROSS * place)},0V{self._height}"
        self._stretched.append(element("path", {"class": f"line level {css}", "d": mark}))
        if text:
            self._write(100 * place, 10, text, f"{'end' if place > 0.5 else 'start'} {css}", aside=5)

    def shade(self, begin: float, end: float, css: str) -> None:
        """Fill a stretch of the x axis from top to bottom."""
        left, right = np.clip(self._across([begin, end]), 0, _ACROSS)
        if right > left:
            box = {"x": _short(left), "y": 0, "width": _short(right - left), "height": self._height}
            self._stretched.append(element("rect", {"class": f"area {css}", **box}))

    def image(self, address: str) -> None:
        """Stretch a picture over the plot's area. `address` is a data URI."""
        box = {"x": 0, "y": 0, "width": _ACROSS, "height": self._height, "preserveAspectRatio": "none"}
        self._stretched.append(element("image", {"class": "cells", **box, "href": address}))

    def dot(self, x: float, y: float, css: str, *, text: str = "", title: str = "") -> None:
        """Draw a dot, with its name beside it."""
        place, down = 100 * self.x.at(x), float(self._down([y])[0]) + self._top
        if not np.isfinite([place, down]).all():
            return
        circle = {"class": f"dot {css}", "cx": f"{place:.2f}%", "cy": _short(down), "r": 4}
        self._fixed.append(element("circle", circle, _title(title)))
        if text:
            self._write(place, down - self._top - 9, text, f"{'end' if place > 50 else 'start'} strong {css}")

    def touch(self, x: Sequence[float], y: Sequence[float], titles: Sequence[str]) -> None:
        """Let points of a line say what they are, where a pointer rests on them."""
        for across, down, title in zip(self.x.place(x), self._down(y), titles, strict=True):
            if np.isfinite([across, down]).all():
                place = {"class": "touch", "cx": f"{100 * across:.2f}%", "cy": _short(down + self._top), "r": 7}
                self._fixed.append(element("circle", place, _title(title)))

    def render(self, label: str) -> Markup:
        """Return the picture; `label` says what is to be seen, for who cannot see it."""
        bottom = 0 if self._is_bare else _BOTTOM
        total = self._top + self._height + bottom
        inner = {
            "y": self._top,
            "width": "100%",
            "height": self._height,
            "viewBox": f"0 0 {_ACROSS} {self._height}",
            "preserveAspectRatio": "none",
        }
        return element(
            "svg",
            {"role": "img", "aria-label": label, "width": "100%", "height": total, "class": "plot"},
            element("svg", inner, *self._grid(), *self._stretched),
            *self._axis_labels(),
            *self._fixed,
        )

    @property
    def _top(self) -> int:
        return 2 if self._is_bare else _TOP

    def _grid(self) -> list[Markup]:
        if self._is_bare:
            return []
        levels = "".join(f"M0,{_short(float(self._down([y])[0]))}H{_ACROSS}" for y in self._y_ticks)
        base = f"M0,{self._height}H{_ACROSS}"
        return [element("path", {"class": "grid", "d": levels}), element("path", {"class": "base", "d": base})]

    def _axis_labels(self) -> list[Markup]:
        texts = []
        for y in self._y_ticks:
            down = self._top + float(self._down([y])[0]) - 3
            texts.append(element("text", {"class": "tick", "x": 0, "y": _short(down)}, self.y.label(y)))
        below = self._top + self._height + 15
        for x in self._x_ticks:
            place = self.x.at(x)
            side = "start" if place < 0.06 else "end" if place > 0.94 else "middle"
            where = {"class": f"tick {side}", "x": f"{100 * place:.2f}%", "y": below}
            is_last = x == self._x_ticks[-1 if self.x.high > self.x.low else 0]
            words = f"{self.x.label(x)} {self._x_title}".rstrip() if is_last else self.x.label(x)
            texts.append(element("text", where, words))
        return texts

    def _write(self, place: float, down: float, text: str, css: str, *, aside: int = 0) -> None:
        shift = -aside if "end" in css.split() else aside
        where = {
            "class": f"note {css}",
            "x": f"{place:.2f}%",
            "y": _short(max(down, 0) + self._top),
            "dx": shift or None,
        }
        self._fixed.append(element("text", where, text))

    def _across(self, x: ArrayLike) -> NDArray[np.float64]:
        return _ACROSS * self.x.place(x)

    def _down(self, y: ArrayLike) -> NDArray[np.float64]:
        return np.clip(self._height * (1 - self.y.place(y)), -1.0, self._height + 1.0)


def figure(title: str, *parts: Markup | None, note: str = "", css: str = "") -> Markup:
    """Return a figure: its title, its plots, and a note beneath."""
    caption = element("figcaption", None, element("strong", None, title))
    under = element("p", {"class": "note"}, note) if note else None
    return element("figure", {"class": css or None}, caption, *parts, under)


def key(*entries: tuple[str, str]) -> Markup:
    """Return what the colours mean: pairs of class and words."""
    marks = (
        element("span", {"class": "entry"}, element("i", {"class": f"mark {css}"}), words) for css, words in entries
    )
    return element("p", {"class": "key"}, *marks)


def _path(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Return the commands of a line that breaks at NaN; a point between two breaks is a short dash."""
    held = np.isfinite(x) & np.isfinite(y)
    parts = []
    was = False
    for across, down, is_held in zip(x.tolist(), y.tolist(), held.tolist(), strict=True):
        if is_held:
            parts.append(f"{'' if was else 'M'}{_short(across)},{_short(down)}")
        elif was:
            parts.append("h1")
        was = is_held
    return " ".join(parts) + ("h1" if was and parts[-1].startswith("M") else "")


def _short(value: float) -> str:
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def _title(text: str) -> Markup | None:
    return element("title", None, text) if text else None
