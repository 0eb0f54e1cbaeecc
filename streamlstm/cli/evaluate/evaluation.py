"""What `evaluate` does: finds out what it was given, runs the job, prints the tables, writes the files."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

import msgspec

from streamlstm._version import __version__
from streamlstm.benchmarks.machine import describe_machine, package_versions
from streamlstm.cli.console.clock import created_at
from streamlstm.cli.console.output import print_note, print_result
from streamlstm.cli.console.progress import ProgressBar
from streamlstm.cli.evaluate.tables import table_lines
from streamlstm.errors import DataError, StreamLstmError, UsageError
from streamlstm.evaluation.labelled.layout import find_series
from streamlstm.evaluation.labelled.recordings import label_recordings, spans_in_warm_up
from streamlstm.jobs.evaluation.files import results, write_results
from streamlstm.jobs.evaluation.job import EvaluationJob
from streamlstm.jobs.evaluation.options import (
    QUICK_ROWS,
    QUICK_SERIES,
    Case,
    EvaluationOptions,
    own_case,
    quick_cases,
    series_cases,
)
from streamlstm.jobs.evaluation.outcome import Evaluation
from streamlstm.jobs.evaluation.summary import summarise
from streamlstm.jobs.evaluation.tables import set_table
from streamlstm.kernels import isa
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.recordings.labels import labelled_spans
from streamlstm.recordings.reading import read_series
from streamlstm.recordings.time_unit import TimeUnit
from streamlstm.reporting.evaluation.page import write_evaluation_page
from streamlstm.reporting.evaluation.report import EvaluationReport, SetTable

__all__ = ["Request", "evaluate_data"]

_PACKAGES = ("numpy", "scipy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for at the terminal."""

    data: tuple[str, ...]
    labels: Path | None
    sets: tuple[str, ...]
    against: Path | None
    seeds: int
    jobs: int | None
    is_quick: bool
    out: Path | None
    json_file: Path | None
    ts_unit: TimeUnit


def evaluate_data(request: Request) -> None:
    """Evaluate, print a table a set, and write what was asked for; also of what is done when it is interrupted.

    Raises: UsageError, DataError; StreamLstmError when series could not be evaluated.
    """
    _check_targets(request)
    label = None if request.against is None else ModelBundle.load(request.against).label  # before anything is trained
    cases = _cases(request)
    options = EvaluationOptions(
        cases=quick_cases(cases) if request.is_quick else cases,
        seeds=request.seeds,
        jobs=request.jobs or len(os.sched_getaffinity(0)),
        against=request.against,
        out=request.out,
    )
    about = _about(request, options)
    if request.is_quick:
        print_note(
            f"--quick: of each set the {QUICK_SERIES} smallest series, of each at most {QUICK_ROWS:,} judged rows"
        )
    began = time.monotonic()
    with ProgressBar("evaluate") as bar:
        view = _View(bar)
        job = EvaluationJob(options, view)
        try:
            with view.interruptible():
                job.run()
        finally:
            about |= {"seconds": round(time.monotonic() - began, 1)}
            _leave(request, job.evaluation, results(job.evaluation, about))
    if label is not None and all(one.method != label for one in job.evaluation.methods):
        print_note(f"--against: {label} scored nothing, for no series has any of its channels")
    if failures := job.evaluation.failures:
        raise StreamLstmError(
            f"{len(failures)} of {job.evaluation.of} could not be evaluated; the first: "
            f"{failures[0].case}: {failures[0].failure}"
        )


def _leave(request: Request, evaluation: Evaluation, found: Mapping[str, Any]) -> None:
    """Write and print what is done."""
    tables = [set_table(one) for one in summarise(evaluation)]
    for path in (request.out and request.out / "results.json", request.json_file):
        if path:
            write_results(path, found)
    if request.out is not None:
        write_evaluation_page(request.out / "index.html", _page(found, tables, evaluation))
    for line in table_lines(tables):
        print_result(line)
    if request.out is not None:
        print_note(f"scores, results.json and the page index.html are in {request.out}")


def _page(found: Mapping[str, Any], tables: Sequence[SetTable], evaluation: Evaluation) -> EvaluationReport:
    done = "" if evaluation.is_complete else f", interrupted after {len(evaluation.outcomes):,} of {evaluation.of:,}"
    seeds = "1 seed" if found["seeds"] == 1 else f"{found['seeds']} seeds"
    labels = f" with labels of {found['labels']}" if found["labels"] else ""
    quick = f", quick: the {QUICK_SERIES} smallest series of each set" if found["is_quick"] else ""
    facts = (
        f"{', '.join(found['data'])}{labels}: {seeds}{quick}{done}.",
        f"{found['started_at']}, {found['seconds']:,.0f} s on {found['machine']['cpu']}, {found['jobs']} processes; "
        f"{', '.join(f'{name} {version}' for name, version in found['versions'].items())}.",
        "Alerts are those of the default budget, without a threshold chosen on labels; pictures are of the first seed.",
    )
    return EvaluationReport(", ".join(found["data"]), facts, tuple(tables), tuple(evaluation.excerpts))


class _View:
    """The evaluation at the terminal, where Ctrl-C ends it.

    An interrupt can get lost: Python 3.11 looks up an enum's member by a function in Python, and drops what is raised
    in it, a KeyboardInterrupt too. It is raised again when progress is told next.
    """

    def __init__(self, bar: ProgressBar) -> None:
        self._bar = bar
        self._began = time.monotonic()
        self._is_interrupted = False

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Take interrupts."""
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupt(self, _signal: int, _frame: object) -> Never:
        self._is_interrupted = True
        raise KeyboardInterrupt

    def progress(self, done: int, of: int, *, share: float, detail: str) -> None:
        """Show the bar; the time left follows from the share of the work that is done."""
        if self._is_interrupted:
            raise KeyboardInterrupt
        spent = time.monotonic() - self._began
        self._bar.update(done, of, detail, seconds_left=spent / share - spent if share > 0 else None)

    def note(self, sentence: str) -> None:
        """Print a sentence."""
        print_note(f"  {sentence}")


def _check_targets(request: Request) -> None:
    """Refuse what cannot be written before anything is trained. Raises: UsageError."""
    out, json_file = request.out, request.json_file
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"--out: expected a folder, got {out}, which is a file")
    if out is not None and not out.absolute().parent.is_dir():
        raise UsageError(f"--out: the folder {out.absolute().parent} does not exist")
    if json_file is not None and (json_file.is_dir() or not json_file.absolute().parent.is_dir()):
        raise UsageError(f"--json: expected a file in a folder that exists, got {json_file}")


def _cases(request: Request) -> tuple[Case, ...]:
    """Find the benchmark's series, or read one's own. Raises: UsageError, DataError."""
    first = Path(request.data[0])
    files = find_series(first, request.sets) if len(request.data) == 1 and first.exists() else None
    if files is not None:
        if request.labels is not None:
            raise UsageError(f"--labels: {first} has labels of its own; leave the option out")
        return series_cases(files)
    if request.sets:
        raise UsageError(f"--set: expected the benchmark's folder, got {', '.join(request.data)}, which holds no sets")
    try:
        series = read_series(request.data, ts_unit=request.ts_unit)
    except DataError as error:
        hint = "evaluate reads the benchmark's folders (docs/detection.md) and recordings (docs/data.md)"
        raise DataError(f"{error}; {hint}") from None
    spans = [] if request.labels is None else labelled_spans(request.labels, ts_unit=request.ts_unit)
    labelled = label_recordings(series, spans, labels=str(request.labels))
    if request.labels is None:
        print_note("no --labels: nothing is taken to be wrong in these recordings, so every alert is a false one")
    elif early := spans_in_warm_up(labelled, spans):
        print_note(f"{early} of {len(spans)} labels begin in a warm-up, which is learnt as normal and not judged")
    return (own_case(labelled),)


def _about(request: Request, options: EvaluationOptions) -> dict[str, Any]:
    return {
        "started_at": created_at(),
        "machine": msgspec.to_builtins(describe_machine(kernel_path=isa())),
        "versions": {"streamlstm": __version__, **package_versions(_PACKAGES)},
        "data": list(request.data),
        "labels": None if request.labels is None else str(request.labels),
        "against": None if request.against is None else str(request.against),
        "seeds": options.seeds,
        "is_quick": request.is_quick,
        "jobs": options.jobs,
    }
