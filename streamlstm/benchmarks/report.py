"""Results for readers: a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from streamlstm.benchmarks.measurements import BenchResult, Measurement

__all__ = ["header_lines", "measurement_line", "print_table", "summary_lines"]


def header_lines(result: BenchResult) -> Iterator[str]:
    """Yield the machine, the method and the versions."""
    machine, method = result.machine, result.method
    yield f"machine   {machine.cpu}, {machine.cores} cores, {', '.join(machine.caches)}"
    yield f"          {' '.join(machine.isa)}"
    yield f"kernel    {machine.kernel_path}"
    yield f"blas      {'; '.join(machine.blas) or 'unknown'}"
    pinned = "not pinned" if method.processor is None else f"pinned to processor {method.processor}"
    rounds = f"{method.rounds} rounds of {method.slice_ms:g} ms each, medians of paired ratios"
    threads = "one thread" if method.threads == 1 else f"{method.threads} threads beside one"
    yield f"method    {threads}, {pinned}; {rounds}"
    yield f"load      {machine.load_average:g} when it began"
    yield f"system    {machine.system}, {machine.python}"
    yield f"versions  {', '.join(f'{name} {version}' for name, version in result.versions.items())}"
    for name, reason in result.absent.items():
        yield f"absent    {name}: {reason}"


def measurement_line(row: Measurement) -> str:
    """Return one measurement as a line."""
    parts = [f"{row.title}: {_number(row.value)} {row.unit}"]
    if row.share_of_limit is not None:
        parts.append(f"{row.share_of_limit:.0%} of the limit")
    parts += [f"{name} x{_number(ratio)}" for name, ratio in row.ratios.items()]
    parts += [f"{name} {_number(value)} {row.unit}" for name, value in row.values.items() if name not in row.ratios]
    parts += [f"{name} left out" for name in row.left_out]
    return ", ".join(parts)


def print_table(rows: Sequence[Measurement], console: Console) -> None:
    """Print the measurements as a table; a ratio below 1, where a peer is faster, is red."""
    names = list(dict.fromkeys(name for row in rows for name in row.ratios))
    has_limit = any(row.share_of_limit is not None for row in rows)
    table = Table(caption="Ratios: how many times longer a peer takes, median of paired rounds.")
    table.add_column("")
    table.add_column(rows[0].unit, justify="right")
    if has_limit:
        table.add_column("of limit", justify="right")
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        share = "" if row.share_of_limit is None else f"{row.share_of_limit:.0%}"
        ratios = [_coloured(row.ratios[name]) if name in row.ratios else "-" for name in names]
        table.add_row(row.title, _number(row.value), *([share] if has_limit else []), *ratios)
    console.print(table)


def summary_lines(result: BenchResult) -> Iterator[str]:
    """Yield the gauges, what was left out and why, and where a peer is ahead."""
    if "gate_cost" in result.gauges:
        yield (
            f"limit: products at {result.gauges['fma_peak']:.0f} GFLOP/s, the FMA peak of one core in this run, "
            f"then gates at {result.gauges['gate_cost']:.2f} ns a hidden unit"
        )
    elif "fma_peak" in result.gauges:
        yield f"limit: products at {result.gauges['fma_peak']:.0f} GFLOP/s, the FMA peak of one core in this run"
    for row in result.measurements:
        yield from row.left_out.values()
        if row.best:
            yield f"{row.title}, best rounds: {', '.join(_best(row))}"
    behind = [
        f"{row.title} (x{_number(row.ratios[peer])} to {peer})"
        for row in result.measurements
        if (peer := row.best_peer) is not None and row.ratios[peer] < 1
    ]
    if behind:
        yield f"behind a peer in {len(behind)} of {len(result.measurements)} cells: {'; '.join(behind)}"
    elif any(row.peers for row in result.measurements):
        yield f"ahead of every peer in all {len(result.measurements)} cells; the closest is x{result.worst_ratio():.2f}"


def _best(row: Measurement) -> Iterator[str]:
    (ours, least), *others = row.best.items()
    yield f"{ours} {_number(least)} {row.unit}"
    for name, value in others:
        yield f"{name} {_number(value)} (x{_number(value / least)})"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _coloured(ratio: float) -> str:
    return f"[red]{_number(ratio)}[/red]" if ratio < 1 else _number(ratio)
