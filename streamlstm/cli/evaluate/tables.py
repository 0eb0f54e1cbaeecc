"""The tables of an evaluation as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streamlstm.reporting.evaluation.report import SetTable, Table

__all__ = ["table_lines"]


def table_lines(sets: Iterable[SetTable]) -> Iterator[str]:
    """Yield what there is of each set, with an empty line after it."""
    for one in sets:
        yield f"{one.name}: {one.summary}"
        for table in one.tables:
            yield from _lines(table)
        yield from (f"  {remark}" for remark in one.remarks)
        yield ""


def _lines(table: Table) -> Iterator[str]:
    lines = [table.header, *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *others in lines:
        cells = (f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join(["", f"{first:<{widths[0]}}", *cells])
