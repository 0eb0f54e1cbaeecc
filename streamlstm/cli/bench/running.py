"""What the benchmarks share: their options, a run from its head to its results as JSON, and the peers asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import typer

from streamlstm.benchmarks.machine import describe_machine, package_versions
from streamlstm.benchmarks.measurements import BenchResult, Measurement, Method
from streamlstm.benchmarks.peers import (
    how_to_install,
    missing_packages,
)
from streamlstm.benchmarks.report import header_lines, measurement_line
from streamlstm.benchmarks.training import TrainingWork
from streamlstm.benchmarks.workloads import Workload
from streamlstm.cli.console.output import flush_standard_output, open_output, print_result
from streamlstm.cli.console.progress import ProgressBar
from streamlstm.errors import UsageError
from streamlstm.kernels import isa

__all__ = [
    "CellRoundsOption",
    "JsonOption",
    "NoPeersOption",
    "QuickOption",
    "RoundsOption",
    "asked_cells",
    "asked_peers",
    "asked_rounds",
    "begin",
    "check_json",
    "load_peers",
    "measure",
    "peer_option",
    "write_json",
]

_ROUNDS, _QUICK_ROUNDS = 31, 9
_OURS = ("streamlstm", "numpy", "scipy")

_P = TypeVar("_P")
_W = TypeVar("_W", Workload, TrainingWork)

QuickOption = Annotated[bool, typer.Option("--quick", help="Take about a minute: fewer cells, fewer rounds.")]
JsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results as JSON.")]
RoundsOption = Annotated[
    int | None, typer.Option(min=1, help=f"Rounds; {_ROUNDS} by default, {_QUICK_ROUNDS} with --quick.")
]
CellRoundsOption = Annotated[
    int | None, typer.Option(min=1, help=f"Rounds for each cell; {_ROUNDS} by default, {_QUICK_ROUNDS} with --quick.")
]
NoPeersOption = Annotated[bool, typer.Option("--no-peers", help="Measure streamlstm alone.")]


class LoadedPeers(NamedTuple, Generic[_P]):
    """The peers that are here, why the others are not, and the packages of those that are."""

    peers: Mapping[str, _P]
    absent: dict[str, str]
    packages: tuple[str, ...]


def peer_option(known: Mapping[str, Sequence[str]]) -> Any:
    """Return the option that names a peer."""
    return typer.Option(help=f"Measure only this one of {', '.join(known)}; may repeat.")


def asked_rounds(rounds: int | None, *, is_quick: bool) -> int:
    """Return how many rounds are asked for."""
    return rounds or (_QUICK_ROUNDS if is_quick else _ROUNDS)


def begin(
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


def measure(
    result: BenchResult,
    total: int,
    progress: ProgressBar,
    run: Callable[[Callable[[str], None]], Iterator[Measurement]],
    *,
    is_printed: bool = True,
) -> None:
    """Run a benchmark of `total` measurements to its end; add each to the result, and print it as it comes.

    `run` takes what hears of its progress.
    """
    for row in run(lambda text: progress.update(len(result.measurements), total, text)):
        result.measurements.append(row)
        if is_printed:
            print_result(measurement_line(row))
            flush_standard_output()


def write_json(path: Path | None, result: BenchResult) -> None:
    """Write what was measured, where a file was asked for. Raises: UsageError when it cannot be written."""
    if path is not None:
        with open_output(path) as file:
            file.write(result.encode())


def check_json(path: Path | None) -> None:
    """Refuse what cannot be written before anything is measured. Raises: UsageError."""
    if path is not None and not path.parent.is_dir():
        raise UsageError(f"--json: the folder {path.parent} does not exist")
    if path is not None and path.is_dir():
        raise UsageError(f"--json: expected a file, got {path}, which is a folder")


def asked_peers(names: list[str] | None, known: Mapping[str, Sequence[str]], *, no_peers: bool) -> list[str]:
    """Return the names of the peers asked for, of all by default. Raises: UsageError."""
    if no_peers and names:
        raise UsageError("--no-peers and --peer exclude each other; give one of them")
    for name in names or ():
        if name not in known:
            raise UsageError(f"--peer: expected one of {', '.join(known)}, got {name!r}")
    return [] if no_peers else list(names or known)


def asked_cells(cells: list[_W], parts: list[str] | None) -> list[_W]:
    """Return the cells whose names hold one of the parts, all by default. Raises: UsageError when there is none."""
    found = [work for work in cells if not parts or any(part in work.name for part in parts)]
    if not found:
        names = ", ".join(work.name for work in cells)
        raise UsageError(f"--cell: no cell's name contains {' or '.join(map(repr, parts or []))}; there are {names}")
    return found


def load_peers(names: list[str], known: Mapping[str, Sequence[str]], load: Callable[[str], _P]) -> LoadedPeers[_P]:
    """Import the peers."""
    peers, absent = dict[str, _P](), dict[str, str]()
    for name in names:
        if missing := missing_packages(known[name]):
            absent[name] = f"{' and '.join(missing)} not installed ({how_to_install(missing)})"
            continue
        try:
            peers[name] = load(name)
        except ImportError as error:
            absent[name] = f"cannot be imported ({error})"
    packages = tuple(dict.fromkeys(package for name in peers for package in known[name]))
    return LoadedPeers(peers, absent, packages)
