"""HTML and SVG as text: what is not markup already is escaped, and every element closes."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TypeAlias

__all__ = ["Child", "Markup", "element", "join"]

_VOID = frozenset(("br", "hr", "img", "link", "meta"))
_CONTROLS = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127), "�")
"""Neither HTML nor SVG may hold these; a name from a file can."""


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Child: TypeAlias = str | None
"""A Markup as it is, other text escaped, None as nothing."""


def element(tag: str, attributes: Mapping[str, object] | None = None, *children: Child) -> Markup:
    """Return an element. An attribute that is None is left out; values are escaped."""
    given = "".join(
        f' {name}="{escape(str(value).translate(_CONTROLS))}"'
        for name, value in (attributes or {}).items()
        if value is not None
    )
    if tag in _VOID:
        return Markup(f"<{tag}{given}>")
    return Markup(f"<{tag}{given}>{join(*children)}</{tag}>")


def join(*children: Child) -> Markup:
    """Return the children one after the other."""
    return Markup("".join(map(_text, children)))


def _text(child: Child) -> str:
    if child is None or isinstance(child, Markup):
        return child or ""
    return escape(child.translate(_CONTROLS), quote=False)
