"""`bench accuracy`: what leaves float32 changes in scores and alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamlstm.benchmarks.accuracy import change_line, header_line, own_subjects, read_subjects, run_accuracy
from streamlstm.cli.console.output import flush_standard_output, print_result

__all__ = ["accuracy", "verb"]

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm bench accuracy ward.npz")
def accuracy(
    recordings: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RECORDING...]",
            help="Files that train reads, or folders of NPZ files; the recorded ECG and the simulated vital signs "
            "of the package by default.",
        ),
    ] = None,
) -> None:
    """Compare the scores and alerts in float32 with float16 states, bfloat16 products and other instruction sets."""
    print_result(header_line())
    flush_standard_output()
    for subject in read_subjects(recordings) if recordings else own_subjects():
        for change in run_accuracy(subject):
            print_result(change_line(change))
            flush_standard_output()
