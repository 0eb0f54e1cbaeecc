"""Plots that a reader moves together: by wheel, drag, pinch, buttons and keys, with a few lines of script in the page.

Without the script the page shows the whole window. With it the inner pictures get another view box, which stretches
their lines and not their strokes; what stands at a percentage across is put where it belongs now, and the labels of the
time axis are written anew.
"""

from __future__ import annotations

from streamlstm.reporting.explanation.time_axis import TimeAxis
from streamlstm.reporting.markup import Markup, element
from streamlstm.reporting.quantities import MINUS

__all__ = ["SCRIPT", "ZOOM_STYLE", "zoomed"]

_BUTTONS = (("earlier", "◀", "Earlier"), ("later", "▶", "Later"), ("in", "+", "Closer"), ("out", MINUS, "Wider"))


def zoomed(*parts: Markup, label: str, time: TimeAxis) -> Markup:
    """Return plots of one time axis as a group that is zoomed as one."""
    buttons = (
        element("button", {"type": "button", "data-do": do, "aria-label": words, "title": words}, sign)
        for do, sign, words in _BUTTONS
    )
    whole = element("button", {"type": "button", "data-do": "all"}, "All")
    bar = element("div", {"class": "zoom-bar", "hidden": ""}, *buttons, whole)
    group = {
        "class": "zoom",
        "tabindex": 0,
        "role": "group",
        "data-low": f"{time.axis.low:.9g}",
        "data-high": f"{time.axis.high:.9g}",
        "data-unit": time.unit,
        "aria-label": f"{label}. Arrow keys move in time, plus and minus zoom, 0 shows all.",
    }
    return element("div", group, bar, *parts)


ZOOM_STYLE = """
.zoom{position:relative;touch-action:pan-y;outline-offset:6px}
.zoom:focus-visible{outline:2px solid var(--c1)}
.zoom-bar{position:sticky;top:0;z-index:1;display:flex;gap:4px;justify-content:flex-end;padding:4px 0;
background:linear-gradient(var(--paper) 75%,transparent)}
.zoom-bar[hidden]{display:none}
.zoom-bar button{font:600 15px/1 system-ui,sans-serif;min-width:40px;min-height:34px;padding:0 10px;color:var(--ink);
background:var(--wash);border:1px solid var(--rule);border-radius:6px;cursor:pointer}
.zoom-bar button:focus-visible{outline:2px solid var(--c1)}
.zoom.drag{cursor:grabbing;user-select:none}
.zoom svg.plot>svg{overflow:hidden}
.mark.alarm{color:var(--alarm)}
.when{white-space:nowrap}
.cells{image-rendering:pixelated}
.line.level.ink{stroke-opacity:.55}
@media print{.zoom-bar{display:none}}
""".strip()

SCRIPT = """
for (const zoom of document.querySelectorAll(".zoom")) {
  const low = +zoom.dataset.low, high = +zoom.dataset.high, unit = zoom.dataset.unit;
  const plots = [...zoom.querySelectorAll("svg.plot")].map(plot => ({
    plot, inner: plot.querySelector("svg"),
    ticks: [...plot.querySelectorAll("text.tick")].filter(tick => tick.getAttribute("x").endsWith("%")),
    marks: [...plot.querySelectorAll("[cx$='%'],text.note:not(.held)")].map(mark => {
      const name = mark.hasAttribute("cx") ? "cx" : "x";
      return { mark, name, place: parseFloat(mark.getAttribute(name)) / 100 };
    }),
  }));
  let left = 0, width = 1;
  const label = value => String(+value.toPrecision(6)).replace("-", "\\u2212");
  function relabel({ plot, ticks }) {
    if (!ticks.length) return;
    plot.querySelectorAll(".again").forEach(text => text.remove());
    ticks.forEach(text => { text.style.display = width < 1 ? "none" : ""; });
    if (width === 1) return;
    const from = low + (high - low) * left, span = (high - low) * width, rough = span / 6;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= rough);
    const values = [];
    for (let n = Math.ceil(from / step); n * step <= from + span; n++) values.push(n * step);
    values.forEach((value, n) => {
      const text = ticks[0].cloneNode(), place = (value - from) / span;
      text.setAttribute("class", "tick again " + (place < 0.06 ? "start" : place > 0.94 ? "end" : "middle"));
      text.setAttribute("x", 100 * place + "%");
      text.style.display = "";
      text.textContent = label(value) + (n === values.length - 1 && unit ? " " + unit : "");
      plot.append(text);
    });
  }
  function show(newLeft, newWidth) {
    width = Math.min(Math.max(newWidth, 1 / 512), 1);
    left = Math.min(Math.max(newLeft, 0), 1 - width);
    for (const one of plots) {
      const height = one.inner.viewBox.baseVal.height;
      one.inner.setAttribute("viewBox", `${1000 * left} 0 ${1000 * width} ${height}`);
      for (const { mark, name, place } of one.marks) {
        const now = (place - left) / width;
        mark.setAttribute(name, 100 * now + "%");
        mark.style.display = now < 0 || now > 1 ? "none" : "";
      }
      relabel(one);
    }
  }
  const scale = (factor, middle = 0.5) => show(left + width * middle * (1 - factor), width * factor);
  const move = share => show(left + share * width, width);
  const doing = { earlier: () => move(-0.25), later: () => move(0.25), in: () => scale(0.5), out: () => scale(2),
                  all: () => show(0, 1) };
  const keys = { ArrowLeft: "earlier", ArrowRight: "later", "+": "in", "=": "in", "-": "out", 0: "all", Escape: "all" };
  const bar = zoom.querySelector(".zoom-bar");
  bar.hidden = false;
  bar.addEventListener("click", event => doing[event.target.dataset.do]?.());
  zoom.addEventListener("keydown", event => {
    const does = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (does) { doing[does](); event.preventDefault(); }
  });
  const place = x => { const box = zoom.getBoundingClientRect(); return (x - box.left) / box.width; };
  zoom.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.shiftKey) return;
    scale(event.deltaY + event.deltaX > 0 ? 1.25 : 0.8, place(event.clientX));
    event.preventDefault();
  }, { passive: false });
  zoom.addEventListener("dblclick", event => scale(0.5, place(event.clientX)));
  const fingers = new Map();
  zoom.addEventListener("pointerdown", event => {
    if (!event.target.closest("button")) fingers.set(event.pointerId, event.clientX);
  });
  zoom.addEventListener("pointermove", event => {
    if (!fingers.has(event.pointerId)) return;
    const before = [...fingers.values()];
    fingers.set(event.pointerId, event.clientX);
    const after = [...fingers.values()];
    if (before.length === 1) {
      if (width === 1 || after[0] === before[0]) return;
      zoom.classList.add("drag");
      zoom.setPointerCapture(event.pointerId);
      move(place(before[0]) - place(after[0]));
    } else {
      const apart = Math.abs(after[0] - after[1]), apartBefore = Math.abs(before[0] - before[1]);
      if (apart > 4 && apartBefore > 4) scale(apartBefore / apart, place((after[0] + after[1]) / 2));
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    zoom.addEventListener(name, event => { fingers.delete(event.pointerId); zoom.classList.remove("drag"); });
  }
}
""".strip()
