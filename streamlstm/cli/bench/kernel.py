"""`bench kernel`: one step of the network, and whole blocks."""

from __future__ import annotations

from typing import Annotated

import typer
from msgspec.structs import replace
from rich.console import Console
from threadpoolctl import threadpool_limits

from streamlstm.benchmarks.kernel import KernelBench
from streamlstm.benchmarks.machine import pinned_thread
from streamlstm.benchmarks.measurements import Method
from streamlstm.benchmarks.peers import (
    PEERS,
    load_peer,
)
from streamlstm.benchmarks.report import print_table, summary_lines
from streamlstm.benchmarks.workloads import kernel_workloads
from streamlstm.cli.bench.running import (
    CellRoundsOption,
    JsonOption,
    NoPeersOption,
    QuickOption,
    asked_cells,
    asked_peers,
    asked_rounds,
    begin,
    check_json,
    load_peers,
    measure,
    peer_option,
    write_json,
)
from streamlstm.cli.console.output import print_result
from streamlstm.cli.console.progress import ProgressBar

__all__ = ["kernel", "verb"]

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm bench kernel --quick --json kernel.json")
def kernel(
    quick: QuickOption = False,
    json: JsonOption = None,
    rounds: CellRoundsOption = None,
    slice_ms: Annotated[
        float, typer.Option(min=0.1, max=1000, help="Milliseconds for each contestant and round.")
    ] = 8.0,
    peer: Annotated[list[str] | None, peer_option(PEERS)] = None,
    no_peers: NoPeersOption = False,
    cell: Annotated[
        list[str] | None,
        typer.Option(help="Measure only cells whose name contains this (step.c8_h64, s512); may repeat."),
    ] = None,
) -> None:
    """Time one LSTM step of S streams, and whole blocks, next to every peer that is installed (extra `bench`)."""
    asked = asked_peers(peer, PEERS, no_peers=no_peers)
    cells = asked_cells(kernel_workloads(is_quick=quick), cell)
    check_json(json)
    console, count = Console(), asked_rounds(rounds, is_quick=quick)
    # Pinned before any peer is imported: what threads they start stay on the same processor.
    with pinned_thread() as processor, ProgressBar("bench") as progress:
        progress.update(0, len(cells), "importing the peers")
        peers, absent, packages = load_peers(asked, PEERS, load_peer)
        method = Method(rounds=count, slice_ms=slice_ms, processor=processor, is_quick=quick)
        result = begin("kernel", method, packages=packages, absent=absent)
        running = KernelBench(peers, count, slice_ms / 1e3)
        with threadpool_limits(limits=1):
            measure(
                result,
                len(cells),
                progress,
                lambda report: running.run(cells, on_contestant=report),
                is_printed=not console.is_terminal,
            )
    result = replace(result, gauges=running.gauge_medians())
    if console.is_terminal:
        print_table(result.measurements, console)
    for line in summary_lines(result):
        print_result(line)
    write_json(json, result)
