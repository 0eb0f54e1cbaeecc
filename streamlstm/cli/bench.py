"""`bench`: speed on this machine, beside the installed peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import typer
from msgspec.structs import replace
from rich.console import Console
from threadpoolctl import threadpool_limits

from streamlstm.benchmarks.accuracy import change_line, header_line, own_subjects, read_subjects, run_accuracy
from streamlstm.benchmarks.kernel import KernelBench
from streamlstm.benchmarks.machine import describe_machine, package_versions, pinned_thread
from streamlstm.benchmarks.markdown import markdown_report
from streamlstm.benchmarks.measurements import BenchResult, Measurement, Method, read_result
from streamlstm.benchmarks.peers import (
    ALONE,
    PEERS,
    TRAINING_PEERS,
    how_to_install,
    load_peer,
    load_training_peer,
    missing_packages,
)
from streamlstm.benchmarks.report import header_lines, measurement_line, print_table, summary_lines
from streamlstm.benchmarks.state import STEP_STREAMS, StateBench
from streamlstm.benchmarks.threads import SHAPES, STREAMS, ThreadsBench
from streamlstm.benchmarks.training import TrainingBench, TrainingWork, training_workloads
from streamlstm.benchmarks.workloads import Workload, kernel_workloads
from streamlstm.cli.app import app
from streamlstm.cli.console.output import check_target, flush_standard_output, open_output, print_result
from streamlstm.cli.console.progress import ProgressBar
from streamlstm.errors import UsageError
from streamlstm.kernels import isa

__all__ = ["accuracy", "kernel", "report", "state", "threads", "train"]

_ROUNDS, _QUICK_ROUNDS = 31, 9
_STREAMS, _QUICK_STREAMS = 1_000_000, 200_000
_OURS = ("streamlstm", "numpy", "scipy")
_STATE_ROWS = 14

_P = TypeVar("_P")
_W = TypeVar("_W", Workload, TrainingWork)

bench = typer.Typer(help="Measure speed on this machine, beside the installed peers.", no_args_is_help=True)
app.add_typer(bench, name="bench")

QuickOption = Annotated[bool, typer.Option("--quick", help="Take about a minute: fewer cells, fewer rounds.")]
JsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results as JSON.")]


@bench.command(epilog="Example: streamlstm bench kernel --quick --json kernel.json")
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
    asked = _asked_peers(peer, PEERS, no_peers=no_peers)
    cells = _asked_cells(kernel_workloads(is_quick=quick), cell)
    _check_json(json)
    console, count = Console(), rounds or (_QUICK_ROUNDS if quick else _ROUNDS)
    # Pinned before any peer is imported: what threads they start stay on the same processor.
    with pinned_thread() as processor, ProgressBar("bench") as progress:
        progress.update(0, len(cells), "importing the peers")
        peers, absent = _load(asked, PEERS, load_peer)
        packages = tuple(dict.fromkeys(package for name in peers for package in PEERS[name]))
        method = Method(rounds=count, slice_ms=slice_ms, processor=processor, is_quick=quick)
        blank = _begin("kernel", method, packages=packages, absent=absent)
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
    _write_json(json, result)


@bench.command(epilog="Example: streamlstm bench train --quick --json train.json")
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
    asked = _asked_peers(peer, TRAINING_PEERS, no_peers=no_peers)
    if peer and {"pytorch", ALONE} <= set(peer):
        raise UsageError(f"--peer: pytorch and {ALONE} cannot run in one process; ask for one after the other")
    cells = _asked_cells(training_workloads(is_quick=quick), cell)
    _check_json(json)
    with pinned_thread() as processor, ProgressBar("bench") as progress:
        progress.update(0, len(cells), "importing the peers")
        together = [name for name in asked if name != ALONE or len(asked) < len(TRAINING_PEERS)]
        peers, absent = _load(together, TRAINING_PEERS, load_training_peer)
        if together != asked:
            absent[ALONE] = f"not in one process with PyTorch (streamlstm bench train --peer {ALONE})"
        packages = tuple(dict.fromkeys(package for name in peers for package in TRAINING_PEERS[name]))
        count = rounds or (_QUICK_ROUNDS if quick else _ROUNDS)
        method = Method(rounds=count, slice_ms=slice_ms, processor=processor, is_quick=quick)
        result = _begin("train", method, packages=packages, absent=absent)
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
    _write_json(json, result)


@bench.command(epilog="Example: streamlstm bench state --quick --json state.json")
def state(
    quick: QuickOption = False,
    json: JsonOption = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds; 31 by default, 9 with --quick.")] = None,
    slice_ms: Annotated[float, typer.Option(min=0.1, max=1000, help="Milliseconds for each way and round.")] = 8.0,
    streams: Annotated[
        int | None,
        typer.Option(
            min=2 * STEP_STREAMS, help="Streams to hold; a million by default (6 GB at its peak), 200,000 with --quick."
        ),
    ] = None,
) -> None:
    """Hold a million streams of (8,64,2): memory, random slots, claim and growth, all states out and in."""
    _check_json(json)
    count = rounds or (_QUICK_ROUNDS if quick else _ROUNDS)
    held = streams or (_QUICK_STREAMS if quick else _STREAMS)
    with pinned_thread() as processor, ProgressBar("bench") as progress:
        result = _begin("state", Method(rounds=count, slice_ms=slice_ms, processor=processor, is_quick=quick))
        running = StateBench(held, count, slice_ms / 1e3)
        for row in running.run(on_stage=lambda text: progress.update(len(result.measurements), _STATE_ROWS, text)):
            result.measurements.append(row)
            print_result(measurement_line(row))
            flush_standard_output()
    _write_json(json, result)


@bench.command(epilog="Example: streamlstm bench threads --threads 2")
def threads(
    quick: QuickOption = False,
    json: JsonOption = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds; 31 by default, 9 with --quick.")] = None,
    slice_ms: Annotated[float, typer.Option(min=0.1, max=1000, help="Milliseconds for each way and round.")] = 8.0,
    count: Annotated[int, typer.Option("--threads", min=2, max=256, help="Threads for each step.")] = 2,
) -> None:
    """Time steps on several threads against one, while the machine is idle and while other processes want its cores."""
    _check_json(json)
    chosen = rounds or (_QUICK_ROUNDS if quick else _ROUNDS)
    shapes, streams = (SHAPES[1:2], STREAMS[1::2]) if quick else (SHAPES, STREAMS)
    with ProgressBar("bench") as progress:
        method = Method(rounds=chosen, slice_ms=slice_ms, processor=None, is_quick=quick, threads=count)
        result = _begin("threads", method)
        cells = 2 * len(shapes) * len(streams)
        running = ThreadsBench(count, chosen, slice_ms / 1e3)
        for row in running.run(
            shapes, streams, on_cell=lambda text: progress.update(len(result.measurements), cells, text)
        ):
            result.measurements.append(row)
            print_result(measurement_line(row))
            flush_standard_output()
    _write_json(json, result)


@bench.command(epilog="Example: streamlstm bench accuracy ward.npz")
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


@bench.command(epilog="Example: streamlstm bench report zen.json icelake.json --out docs/benchmarks.md")
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


def _begin(
    name: str, method: Method, *, packages: tuple[str, ...] = (), absent: Mapping[str, str] | None = None
) -> BenchResult:
    """Return a run's result without measurements, and say its head."""
    result = BenchResult(
        bench=name,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=describe_machine(kernel_path=isa()),
        versions=package_versions((*_OURS, *packages)),
        method=method,
        gauges={},
        absent=dict(absent or {}),
        measurements=[],
    )
    for line in header_lines(result):
        print_result(line)
    flush_standard_output()  # measurements may be minutes away
    return result


def _write_json(path: Path | None, result: BenchResult) -> None:
    if path is not None:
        with open_output(path) as file:
            file.write(result.encode())


def _check_json(path: Path | None) -> None:
    if path is not None and not path.parent.is_dir():
        raise UsageError(f"--json: the folder {path.parent} does not exist")


def _asked_peers(names: list[str] | None, known: Mapping[str, Sequence[str]], *, no_peers: bool) -> list[str]:
    if no_peers and names:
        raise UsageError("--no-peers and --peer exclude each other; give one of them")
    for name in names or ():
        if name not in known:
            raise UsageError(f"--peer: expected one of {', '.join(known)}, got {name!r}")
    return [] if no_peers else list(names or known)


def _asked_cells(cells: list[_W], parts: list[str] | None) -> list[_W]:
    found = [work for work in cells if not parts or any(part in work.name for part in parts)]
    if not found:
        names = ", ".join(work.name for work in cells)
        raise UsageError(f"--cell: no cell's name contains {' or '.join(map(repr, parts or []))}; there are {names}")
    return found


def _load(
    names: list[str], known: Mapping[str, Sequence[str]], load: Callable[[str], _P]
) -> tuple[Mapping[str, _P], dict[str, str]]:
    peers, absent = dict[str, _P](), dict[str, str]()
    for name in names:
        if missing := missing_packages(known[name]):
            absent[name] = f"{' and '.join(missing)} not installed ({how_to_install(missing)})"
            continue
        try:
            peers[name] = load(name)
        except ImportError as error:
            absent[name] = f"cannot be imported ({error})"
    return peers, absent
