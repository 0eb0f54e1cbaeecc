"""How bundles, detectors and their results show themselves: a few lines at a prompt, a small table in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from html import escape
from typing import NamedTuple

__all__ = ["Displayed", "Facts", "counted", "first_few", "one_line", "shown_period"]

_LIST_WIDTH = 60
_NAME_WIDTH = 32
"""Characters for a list of names, and for one of them: three lines stay lines of a terminal."""


class Facts(NamedTuple):
    """A title, and what follows it: pairs of a label and its value, by line of the text."""

    title: str
    lines: tuple[tuple[tuple[str, str], ...], ...]


class Displayed(ABC):
    """Something that people look at. A name from a file may hold anything: it is made printable and is escaped."""

    __slots__ = ()

    @abstractmethod
    def _facts(self) -> Facts:
        """Return what to show."""

    def __repr__(self) -> str:
        title, lines = self._facts()
        texts = ["; ".join(f"{label}: {value}" for label, value in line) for line in lines]
        return f"<{title}; " + "\n ".join(texts) + ">"

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows."""
        title, lines = self._facts()
        rows = "".join(
            f'<tr><th scope="row">{escape(label)}</th><td>{escape(value)}</td></tr>'
            for line in lines
            for label, value in line
        )
        return f"<table><caption>{escape(title)}</caption><tbody>{rows}</tbody></table>"


def one_line(name: str) -> str:
    """Return a name as it can stand in a line: without control characters, its middle left out where it is long."""
    printable = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)
    return printable if len(printable) <= _NAME_WIDTH else f"{printable[: _NAME_WIDTH - 9]}…{printable[-8:]}"


def first_few(names: Iterable[str]) -> str:
    """Return the first names, as many as a line has space for, and how many there are if they are more."""
    shown = [one_line(name) for name in names]
    kept = 1
    while kept < len(shown) and len(", ".join(shown[: kept + 1])) <= _LIST_WIDTH:
        kept += 1
    return ", ".join(shown[:kept]) + (f", … ({len(shown)} in all)" if kept < len(shown) else "")


def shown_period(period_s: float) -> str:
    """Return a sampling period in seconds as people read it; 0 is unknown."""
    return f"{period_s:g} s" if period_s > 0 else "unknown"


def counted(number: int, noun: str) -> str:
    """Return `1 stream`, `2,000 streams`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
