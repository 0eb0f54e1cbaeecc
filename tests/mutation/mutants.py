"""Whether the tests notice: changes modules a little, one change at a time, and runs the tests that reach it.

    python tests/mutation/mutants.py scoring service       # folders of streamlstm/
    python tests/mutation/mutants.py scoring --of 0.2      # a fifth of the mutants, drawn with --seed
    python tests/mutation/mutants.py --only streamlstm/scoring/alerts.py

1. The tests of the rooms run once, and `coverage` says which test reaches which line.
2. For each mutant a process is forked in which the module is the changed one; the tests that reach the changed line run
   there, the quick ones first, until one fails. A mutant under which they take far too long counts as found.
   Which tests run is decided by processor time, and so does not depend on what else the machine does.
3. Mutants that no test finds are listed. Those that cannot be found, because they change nothing that can be seen,
   stand in equivalent.txt with the reason, and are not counted.

Tests that start `streamlstm` in a process of its own see nothing of a mutant, so they do not count here.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

# What tests import at any rate is imported once, before the forks.
import coverage
import hypothesis  # noqa: F401
import kafka  # noqa: F401
import msgspec
import numpy  # noqa: F401
import pydantic  # noqa: F401
import pytest
import scipy.linalg  # noqa: F401
import waiting
from mutate import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "streamlstm"
EQUIVALENT = Path(__file__).with_name("equivalent.txt")
TESTS = {
    "scoring": ["tests/scoring", "tests/streaming", "tests/evaluation"],
    "streaming": ["tests/streaming", "tests/service", "tests/test_formats.py"],
    "service": ["tests/service"],
    "adapters": ["tests/adapters", "tests/service/test_recovery.py"],
    "training": ["tests/training", "tests/model/interchange/test_import.py", "tests/test_formats.py"],
    "evaluation": ["tests/evaluation", "tests/jobs"],
    "jobs": ["tests/jobs"],
}
SLOWEST_S = 6.0
"""A test that takes more processor time is left out: it would run for every mutant that it does not find."""

PATIENCE_S = 30.0
"""How long tests wait under a mutant for what may never come."""

WALL_LIMIT_S = 60.0
"""What a test under a mutant may take beside ten times what it took: a mutant that waits for ever ends by this."""

PROCESSOR_LIMIT_S = 30.0
"""What all tests of a mutant may take beside five times what they took: an endless loop ends by this."""


class Cost(msgspec.Struct, frozen=True):
    """What a test takes: of the processor, its own and that of the processes it has waited for, and by the clock."""

    processor_s: float
    wall_s: float


@dataclass(frozen=True)
class Reach:
    """Which tests reach which line, and what each costs."""

    by_line: dict[tuple[str, int], set[str]]
    costs: dict[str, Cost]

    def of(self, path: Path, mutant: Mutant) -> list[str]:
        """Return the tests that reach a mutant, the quick ones first; all of its module's where it runs at import."""
        tests = self.by_line.get((str(path), mutant.line), set())
        if mutant.is_import_time or not tests:
            tests = set().union(*(reached for (file, _), reached in self.by_line.items() if file == str(path)))
        quick = (test for test in tests if self.costs[test].processor_s < SLOWEST_S)
        return sorted(quick, key=lambda test: self.costs[test].wall_s)


class _Contexts:
    """A plugin that tells coverage which test runs, and notes what it costs."""

    def __init__(self, cover: coverage.Coverage) -> None:
        self.cover = cover
        self.costs: dict[str, Cost] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.cover.switch_context(item.nodeid)
        before = os.times()
        result = yield
        spent = [after - earlier for after, earlier in zip(os.times(), before, strict=True)]
        self.costs[item.nodeid] = Cost(processor_s=sum(spent[:4]), wall_s=spent[4])
        return result


class _WallLimits:
    """A plugin that ends the process where a test takes far longer than it did."""

    def __init__(self, costs: dict[str, Cost]) -> None:
        self.costs = costs

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            limit_s = 10 * self.costs[item.nodeid].wall_s + WALL_LIMIT_S
            item.add_marker(pytest.mark.timeout(limit_s, method="thread"), append=False)


@contextmanager
def shared_broker() -> Iterator[None]:
    """Let every run of pytest use the broker that the first one that needs one starts; stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="streamlstm-mutants-", ignore_cleanup_errors=True) as folder:
        os.environ["STREAMLSTM_TEST_BROKER"] = folder
        try:
            yield
        finally:
            if Path(folder, "broker").exists():
                stop = [str(ROOT / "deploy" / "kafka" / "broker"), "stop", str(Path(folder, "broker"))]
                subprocess.run(stop, check=False, capture_output=True)


def measure(rooms: list[str], select: str) -> Reach:
    """Run the rooms' tests once, in a process of their own."""
    folder = Path(tempfile.mkdtemp(prefix="streamlstm-mutants-"))

    def run() -> int:
        cover = coverage.Coverage(data_file=str(folder / "data"), source=[str(PACKAGE)])
        cover.start()
        contexts = _Contexts(cover)
        tests = dict.fromkeys(test for room in rooms for test in TESTS[room] if (ROOT / test).exists())
        code = int(pytest.main([*_options(), "-k", select, *tests], [contexts]))
        cover.stop()
        cover.save()
        (folder / "costs").write_bytes(msgspec.json.encode(contexts.costs))
        return code

    if (code := _forked(run, is_quiet=False)) != 0:
        sys.exit(f"the tests must pass before anything is changed; pytest ended with {code}")
    data = coverage.CoverageData(str(folder / "data"))
    data.read()
    by_line = {
        (file, line): set(contexts) - {""}
        for file in data.measured_files()
        for line, contexts in data.contexts_by_lineno(file).items()
    }
    return Reach(by_line, msgspec.json.decode((folder / "costs").read_bytes(), type=dict[str, Cost]))


def is_found(path: Path, mutant: Mutant, tests: list[str], costs: dict[str, Cost]) -> bool:
    """Say whether a test fails under the mutant."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)

    def run() -> int:
        processor_s = int(5 * sum(costs[test].processor_s for test in tests) + PROCESSOR_LIMIT_S)
        resource.setrlimit(resource.RLIMIT_CPU, (processor_s, processor_s))
        waiting.PATIENCE_S = PATIENCE_S
        original = SourceFileLoader.get_code

        def get_code(loader: SourceFileLoader, name: str) -> Any:
            return compile(mutant.tree, str(path), "exec") if name == module else original(loader, name)

        SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
        return int(pytest.main([*_options(), "-x", *tests], [_WallLimits(costs)]))

    return bool(tests) and _forked(run, is_quiet=True) != 0


def _options() -> list[str]:
    return [
        "-q",
        "-p",
        "no:cacheprovider",
        "--hypothesis-seed=1",
        "--no-header",
        "--tb=no",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]


def _forked(run: Any, *, is_quiet: bool) -> int:
    """Run in a forked process group; return its exit code, negative where a signal ended it."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        code = 99
        try:
            with redirect_stdout(io.StringIO()) if is_quiet else redirect_stdout(sys.stderr):
                if is_quiet:
                    devnull = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(devnull, 1)
                    os.dup2(devnull, 2)
                with redirect_stderr(io.StringIO()) if is_quiet else redirect_stderr(sys.stderr):
                    code = run()
        except BaseException as error:  # noqa: BLE001 (a fork must never go on as its parent)
            if not is_quiet:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what its tests started and left behind
    return os.waitstatus_to_exitcode(status)


def name_of(path: Path, mutant: Mutant) -> str:
    """Return what a mutant is called in equivalent.txt: its file, its place, what is changed into what, and which."""
    which = f"  ({mutant.number} of {mutant.of})" if mutant.of > 1 else ""
    return f"{path.relative_to(PACKAGE)}  {mutant.place}  {mutant.before}  ->  {mutant.after}{which}"


def equivalents() -> set[str]:
    """Read the names of the mutants that cannot be found. Each has a reason."""
    known = set()
    for number, line in enumerate(EQUIVALENT.read_text("utf-8").splitlines(), 1):
        if line and not line.startswith("#"):
            name, mark, reason = line.partition("  ##  ")
            if not mark or not reason.strip() or "  ->  " not in name:
                sys.exit(f"{EQUIVALENT.name}:{number}: expected FILE  PLACE  BEFORE  ->  AFTER  ##  why, got {line!r}")
            known.add(name)
    return known


def main() -> None:
    """Print a line a mutant that was not found, then how many were."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rooms", nargs="*", choices=[[], *TESTS], help="default: all but evaluation and jobs")
    parser.add_argument("--only", action="append", default=[], metavar="FILE", help="mutants of these files alone")
    parser.add_argument("--of", type=float, default=1.0, metavar="SHARE", help="the share of the mutants that is tried")
    parser.add_argument("-k", dest="select", default="", metavar="EXPRESSION", help="which tests, as pytest's -k")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    only = [Path(one).resolve() for one in given.only]
    rooms = given.rooms or list(dict.fromkeys(one.relative_to(PACKAGE).parts[0] for one in only))
    rooms = rooms or ["scoring", "streaming", "service", "adapters", "training"]
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    with shared_broker():
        _try_mutants(given, rooms, only)


def _try_mutants(given: argparse.Namespace, rooms: list[str], only: list[Path]) -> None:
    reach = measure(rooms, given.select)
    for test, cost in reach.costs.items():
        if cost.processor_s >= SLOWEST_S:
            print(f"left out, with {cost.processor_s:.1f} s of the processor: {test}", file=sys.stderr, flush=True)
    known, draw = equivalents(), random.Random(given.seed)
    files = only or [path for room in rooms for path in sorted((PACKAGE / room).rglob("*.py"))]
    chosen, names = [], set[str]()
    for path in files:
        for mutant in mutants(path.read_text("utf-8")):
            names.add(name_of(path, mutant))
            if draw.random() < given.of:
                chosen.append((path, mutant))
    tried = tuple(f"{path.relative_to(PACKAGE)}  " for path in files)
    for name in sorted(name for name in known if name.startswith(tried) and name not in names):
        print(f"{EQUIVALENT.name}: no mutant is called so any more: {name}", flush=True)
    left_out = len(chosen)
    chosen = [(path, mutant) for path, mutant in chosen if name_of(path, mutant) not in known]
    left_out -= len(chosen)
    found, began = defaultdict(list), time.monotonic()

    def judge(path: Path, mutant: Mutant) -> tuple[Path, Mutant, bool]:
        return path, mutant, is_found(path, mutant, reach.of(path, mutant), reach.costs)

    with ThreadPoolExecutor(given.jobs) as pool:
        for number, (path, mutant, is_dead) in enumerate(pool.map(lambda one: judge(*one), chosen), 1):
            room = path.relative_to(PACKAGE).parts[0]
            found[room].append(is_dead)
            if not is_dead:
                print(f"{name_of(path, mutant)}  ##  line {mutant.line}", flush=True)
            if number % 50 == 0:
                print(f"{number} of {len(chosen)}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    if left_out:
        print(f"mutants: {left_out} in {EQUIVALENT.name}, not tried")
    for room, dead in found.items():
        print(f"mutants: {room}: {sum(dead)} of {len(dead)} found ({sum(dead) / len(dead):.1%})")


if __name__ == "__main__":
    main()
