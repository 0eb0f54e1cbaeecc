"""`bench train`: one update of training."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer
from msgspec.structs import replace
from threadpoolctl import threadpool_limits

from streamlstm.benchmarks.machine import pinned_thread
from streamlstm.benchmarks.measurements import Method
from streamlstm.benchmarks.peers import (
    ALONE,
    TRAINING_PEERS,
    load_training_peer,
)
from streamlstm.benchmarks.report import measurement_line, summary_lines
from streamlstm.benchmarks.training import TrainingBench, training_workloads
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
from streamlstm.errors import UsageError

__all__ = ["train", "verb"]

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm bench train --quick --json train.json")
def train(
    quick: QuickOption = False,
    json: JsonOption = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds for each cell; 31 by default, 9 with --quick.")
    ] = None,
    slice_ms: Annotated[
        float, typer.Option(min=0.1, max=5000, help="Milliseconds for each contestant and round.")
    ] = 100.0,
    peer: Annotated[
        list[str] | None, typer.Option(help=f"Measure only this one of {', '.join(TRAINING_PEERS)}; may repeat.")
    ] = None,
    no_peers: Annotated[bool, typer.Option("--no-peers", help="Measure streamlstm alone.")] = False,
    cell: Annotated[
        list[str] | None, typer.Option(help="Measure only cells whose name contains this (c8_h64); may repeat.")
    ] = None,
) -> None:
    """Time one update of training, 64 lanes of 128 steps, next to every peer that is installed (extra `bench`)."""
    asked = asked_peers(peer, TRAINING_PEERS, no_peers=no_peers)
    if peer and {"pytorch", ALONE} <= set(peer):
        raise UsageError(f"--peer: pytorch and {ALONE} cannot run in one process; ask for one after the other")
    cells = asked_cells(training_workloads(is_quick=quick), cell)
    check_json(json)
    with pinned_thread() as processor, ProgressBar("bench") as progress:
        progress.update(0, len(cells), "importing the peers")
        together = [name for name in asked if name != ALONE or len(asked) < len(TRAINING_PEERS)]
        peers, absent = load_peers(together, TRAINING_PEERS, load_training_peer)
        if together != asked:
            absent[ALONE] = f"not in one process with PyTorch (streamlstm bench train --peer {ALONE})"
        packages = tuple(dict.fromkeys(package for name in peers for package in TRAINING_PEERS[name]))
        count = rounds or (QUICK_ROUNDS if quick else ROUNDS)
        method = Method(rounds=count, slice_ms=slice_ms, processor=processor, is_quick=quick)
        result = begin("train", method, packages=packages, absent=absent)
        running = TrainingBench(peers, count, slice_ms / 1e3)
        with threadpool_limits(limits=1):
            for row in running.run(
                cells, on_contestant=lambda text: progress.update(len(result.measurements), len(cells), text)
            ):
                result.measurements.append(row)
                print_result(measurement_line(row))
                flush_standard_output()
    result = replace(result, gauges={"fma_peak": float(np.median(running.readings))})
    for line in summary_lines(result):
        print_result(line)
    write_json(json, result)
