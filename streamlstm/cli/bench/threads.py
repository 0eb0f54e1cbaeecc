"""`bench threads`: steps on several threads."""

from __future__ import annotations

from typing import Annotated

import typer

from streamlstm.benchmarks.measurements import Method
from streamlstm.benchmarks.threads import SHAPES, STREAMS, ThreadsBench
from streamlstm.cli.bench.running import (
    JsonOption,
    QuickOption,
    RoundsOption,
    asked_rounds,
    begin,
    check_json,
    measure,
    write_json,
)
from streamlstm.cli.console.progress import ProgressBar

__all__ = ["threads", "verb"]

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm bench threads --threads 2")
def threads(
    quick: QuickOption = False,
    json: JsonOption = None,
    rounds: RoundsOption = None,
    slice_ms: Annotated[float, typer.Option(min=0.1, max=1000, help="Milliseconds for each way and round.")] = 8.0,
    count: Annotated[int, typer.Option("--threads", min=2, max=256, help="Threads for each step.")] = 2,
) -> None:
    """Time steps on several threads against one, while the machine is idle and while other processes want its cores."""
    check_json(json)
    chosen = asked_rounds(rounds, is_quick=quick)
    shapes, streams = (SHAPES[1:2], STREAMS[1::2]) if quick else (SHAPES, STREAMS)
    with ProgressBar("bench") as progress:
        method = Method(rounds=chosen, slice_ms=slice_ms, processor=None, is_quick=quick, threads=count)
        result = begin("threads", method)
        cells = 2 * len(shapes) * len(streams)
        running = ThreadsBench(count, chosen, slice_ms / 1e3)
        measure(result, cells, progress, lambda report: running.run(shapes, streams, on_cell=report))
    write_json(json, result)
