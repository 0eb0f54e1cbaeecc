"""Results as records, and their JSON: one row a measurement with its name, value, unit and ratios to the peers."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from streamlstm.benchmarks.machine import Machine
from streamlstm.benchmarks.ours import BACKENDS, ONE_THREAD
from streamlstm.errors import DataError

__all__ = ["SCHEMA", "BenchResult", "Measurement", "Method", "read_result"]

SCHEMA = "streamlstm.bench/1"


class Measurement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One cell of a table.

    Units: value in `unit`; ratios are how many times longer a peer takes (above 1: we are faster), spreads their
    quartiles over the rounds; values are each peer's own, in `unit`; best is everyone's best round, in `unit`;
    share_of_limit is a part of 1.
    """

    name: str
    title: str
    value: float
    unit: str
    ratios: dict[str, float] = {}
    spreads: dict[str, tuple[float, float]] = {}
    values: dict[str, float] = {}
    best: dict[str, float] = {}
    limit: float | None = None
    share_of_limit: float | None = None
    left_out: dict[str, str] = {}

    @property
    def best_peer(self) -> str | None:
        """The peer that comes nearest; our own other paths are none."""
        return min(self.peers, key=self.peers.__getitem__, default=None)

    @property
    def peers(self) -> dict[str, float]:
        """Ratios without our own other paths."""
        return {name: ratio for name, ratio in self.ratios.items() if name not in (*BACKENDS, ONE_THREAD)}


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """How it was measured. `processor` is the one that everything was pinned to."""

    rounds: int
    slice_ms: float
    processor: int | None
    is_quick: bool
    threads: int = 1


class BenchResult(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag=SCHEMA):
    """One run of one benchmark. `gauges` are medians over the run; `absent` names peers and why they are missing."""

    bench: str
    started_at: str
    machine: Machine
    versions: dict[str, str]
    method: Method
    gauges: dict[str, float]
    absent: dict[str, str]
    measurements: list[Measurement]

    def encode(self) -> str:
        """Return the JSON, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n"

    def worst_ratio(self) -> float:
        """Return the smallest ratio to any peer in any cell; infinite where there are no peers."""
        return min((ratio for row in self.measurements for ratio in row.peers.values()), default=math.inf)


def read_result(path: Path) -> BenchResult:
    """Read what `--json` wrote. Raises: DataError when it cannot be read or is something else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=BenchResult)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: expected the JSON of `streamlstm bench` ({SCHEMA}), got another ({error})") from error
