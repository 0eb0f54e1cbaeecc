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
from streamlstm.benchmarks.report import summary_lines
from streamlstm.benchmarks.training import TrainingBench, training_workloads
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
from streamlstm.errors import UsageError

__all__ = ["train", "verb"]

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm bench train --quick --json train.json")
def train(
    quick: QuickOption = False,
    json: JsonOption = None,
    rounds: CellRoundsOption = None,
    slice_ms: Annotated[
        float, typer.Option(min=0.1, max=5000, help="Milliseconds for each contestant and round.")
    ] = 100.0,
    peer: Annotated[list[str] | None, peer_option(TRAINING_PEERS)] = None,
    no_peers: NoPeersOption = False,
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
        peers, absent, packages = load_peers(together, TRAINING_PEERS, load_training_peer)
        if together != asked:
            absent[ALONE] = f"not in one process with PyTorch (streamlstm bench train --peer {ALONE})"
        count = asked_rounds(rounds, is_quick=quick)
        method = Method(rounds=count, slice_ms=slice_ms, processor=processor, is_quick=quick)
        result = begin("train", method, packages=packages, absent=absent)
        running = TrainingBench(peers, count, slice_ms / 1e3)
        with threadpool_limits(limits=1):
            measure(result, len(cells), progress, lambda report: running.run(cells, on_contestant=report))
    result = replace(result, gauges={"fma_peak": float(np.median(running.readings))})
    for line in summary_lines(result):
        print_result(line)
    write_json(json, result)
