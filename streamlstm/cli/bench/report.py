"""`bench report`: a page of results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamlstm.benchmarks.markdown import markdown_report
from streamlstm.benchmarks.measurements import read_result
from streamlstm.cli.console.output import check_target, open_output

__all__ = ["report", "verb"]

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm bench report zen.json icelake.json --out docs/benchmarks.md")
def report(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="A file that --json wrote.")],
    out: Annotated[Path | None, typer.Option(help="The page to write; standard output by default.")] = None,
) -> None:
    """Write a page (Markdown) from the JSON of one or more runs."""
    for path in files:
        if out is not None:
            check_target("--out", out, inputs={"input": path})
    page = markdown_report([read_result(path) for path in files])
    with open_output(out) as file:
        file.write(page)
