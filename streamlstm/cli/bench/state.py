"""`bench state`: a million streams held."""

from __future__ import annotations

from typing import Annotated

import typer

from streamlstm.benchmarks.machine import pinned_thread
from streamlstm.benchmarks.measurements import Method
from streamlstm.benchmarks.state import STEP_STREAMS, StateBench
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

__all__ = ["state", "verb"]

_STREAMS, _QUICK_STREAMS = 1_000_000, 200_000
_STATE_ROWS = 14

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm bench state --quick --json state.json")
def state(
    quick: QuickOption = False,
    json: JsonOption = None,
    rounds: RoundsOption = None,
    slice_ms: Annotated[float, typer.Option(min=0.1, max=1000, help="Milliseconds for each way and round.")] = 8.0,
    streams: Annotated[
        int | None,
        typer.Option(
            min=2 * STEP_STREAMS, help="Streams to hold; a million by default (6 GB at its peak), 200,000 with --quick."
        ),
    ] = None,
) -> None:
    """Hold a million streams of (8,64,2): memory, random slots, claim and growth, all states out and in."""
    check_json(json)
    count = asked_rounds(rounds, is_quick=quick)
    held = streams or (_QUICK_STREAMS if quick else _STREAMS)
    with pinned_thread() as processor, ProgressBar("bench") as progress:
        result = begin("state", Method(rounds=count, slice_ms=slice_ms, processor=processor, is_quick=quick))
        running = StateBench(held, count, slice_ms / 1e3)
        measure(result, _STATE_ROWS, progress, lambda report: running.run(on_stage=report))
    write_json(json, result)
