"""What the page of an evaluation is made of."""

from __future__ import annotations

from dataclasses import dataclass

from streamlstm.evaluation.excerpts import Excerpt

__all__ = ["EvaluationReport", "SetTable", "Table"]


@dataclass(frozen=True, slots=True)
class Table:
    """Shapes: header [N]; each of the rows [N], the method's name first."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class SetTable:
    """One set in figures: how methods rank rows, what alerts came to, and what must be known beside."""

    name: str
    summary: str
    tables: tuple[Table, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """An evaluation as it is shown; `facts` say what was evaluated with what, `excerpts` are of all sets."""

    data: str
    facts: tuple[str, ...]
    tables: tuple[SetTable, ...]
    excerpts: tuple[Excerpt, ...]
