"""`bench kernel`: one step of the network, and whole blocks."""

from __future__ import annotations

from typing import Annotated

import typer
from msgspec.structs import replace
from rich.console import Console
from threadpoolctl import threadpool_limits

from streamlstm.benchmarks.kernel import KernelBench
from streamlstm.benchmarks.machine import pinned_thread
from streamlstm.benchmarks.measurements import Measurement, Method
from streamlstm.benchmarks.peers import (
    PEERS,
    load_peer,
)
from streamlstm.benchmarks.report import measurement_line, print_table, summary_lines
from streamlstm.benchmarks.workloads import kernel_workloads
from streamlstm.cli.bench.running import (
    QUICK_ROUNDS,
    ROUNDS,
    JsonOption,
    QuickOption,
    asked_cells,
    asked_peers,
    begin,
    check_json,
    load_peers,
    write_json,
)
from streamlstm.cli.console.output import flush_standard_output, print_result
from streamlstm.cli.console.progress import ProgressBar

__all__ = ["kernel", "verb"]

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm bench kernel --quick --json kernel.json")
def kernel(
    quick: QuickOption = False,
    json: JsonOption = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds for each cell; 31 by default, 9 with --quick.")
    ] = None,
    slice_ms: Annotated[
        float, typer.Option(min=0.1, max=1000, help="Milliseconds for each contestant and round.")
    ] = 8.0,
    peer: Annotated[
        list[str] | None, typer.Option(help=f"Measure only this one of {', '.join(PEERS)}; may repeat.")
    ] = None,
    no_peers: Annotated[bool, typer.Option("--no-peers", help="Measure streamlstm alone.")] = False,
    cell: Annotated[
        list[str] | None,
        typer.Option(help="Measure only cells whose name contains this (step.c8_h64, s512); may repeat."),
    ] = None,
) -> None:
    """Time one LSTM step of S streams, and whole blocks, next to every peer that is installed (extra `bench`)."""
    asked = asked_peers(peer, PEERS, no_peers=no_peers)
    cells = asked_cells(kernel_workloads(is_quick=quick), cell)
    check_json(json)
    console, count = Console(), rounds or (QUICK_ROUNDS if quick else ROUNDS)
    # Pinned before any peer is imported: what threads they start stay on the same processor.
    with pinned_thread() as processor, ProgressBar("bench") as progress:
        progress.update(0, len(cells), "importing the peers")
        peers, absent = load_peers(asked, PEERS, load_peer)
        packages = tuple(dict.fromkeys(package for name in peers for package in PEERS[name]))
        method = Method(rounds=count, slice_ms=slice_ms, processor=processor, is_quick=quick)
        blank = begin("kernel", method, packages=packages, absent=absent)
        running = KernelBench(peers, count, slice_ms / 1e3)
        measurements: list[Measurement] = []
        with threadpool_limits(limits=1):
            for row in running.run(
                cells, on_contestant=lambda text: progress.update(len(measurements), len(cells), text)
            ):
                measurements.append(row)
                if not console.is_terminal:
                    print_result(measurement_line(row))
                    flush_standard_output()
    result = replace(blank, measurements=measurements, gauges=running.gauge_medians())
    if console.is_terminal:
        print_table(result.measurements, console)
    for line in summary_lines(result):
        print_result(line)
    write_json(json, result)
