"""What scores change with float16 states, with bfloat16 products, and on other levels of the instruction set.

Of each series the rows before `train_len` (a third, where the file names none) train a model with a fixed seed; the
rest is scored in float32 on the best level that the processor has, and again in each other way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.recording import Recording
from streamlstm.evaluation.replay import replay
from streamlstm.kernels import backends, isas
from streamlstm.recordings.reading import read_series
from streamlstm.recordings.series import StreamSamples
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.detector import Detector
from streamlstm.simulation.recording import load_ecg_excerpt
from streamlstm.simulation.ward import simulate_vitals
from streamlstm.training.fit import train

__all__ = ["Change", "Subject", "change_line", "header_line", "own_subjects", "read_subjects", "run_accuracy"]

_SEED = 1
_UPDATES = 400
_LEVEL = "STREAMLSTM_ISA"


@dataclass(frozen=True, slots=True)
class Subject:
    """One stream; its rows before `live_from` are trained on, the others are scored."""

    name: str
    samples: StreamSamples
    period_s: float
    live_from: int


@dataclass(frozen=True, slots=True)
class Change:
    """How scores of one series differ in one way from those in float32.

    `largest` and `median` are differences of scores; `sides` is the share of samples that come to lie on the other
    side of the threshold; `opened` and `opened_here` count alerts, and `same_alerts` says whether the same ones open,
    grow and resolve at the same rows.
    """

    name: str
    way: str
    rows: int
    largest: float
    median: float
    sides: float
    opened: int
    opened_here: int
    same_alerts: bool


def own_subjects() -> Iterator[Subject]:
    """Yield the recorded ECG and the simulated vital signs of the package."""
    for name, one in (("recorded ECG", load_ecg_excerpt()), ("simulated vitals", simulate_vitals(_SEED)[0])):
        yield Subject(name, StreamSamples(name, one.values, one.event_time_ms), one.period_s, one.live_from)


def read_subjects(sources: Sequence[Path]) -> Iterator[Subject]:
    """Yield every series of some files, or of the NPZ files of some folders. Raises: as `read_series`."""
    for path in (file for one in sources for file in (sorted(one.glob("*.npz")) if one.is_dir() else [one])):
        for series in read_series(path):
            live_from = series.train_len or len(series.values) // 3
            yield Subject(f"{path.parent.name}/{series.stream_id}", series, series.period_s, live_from)


def run_accuracy(subject: Subject, *, updates: int = _UPDATES) -> Iterator[Change]:
    """Train on a subject, score it in float32, and compare every other way with that."""
    best, *others = isas()
    with _level(best):  # read when a network's weights are packed; calibration packs too
        values = subject.samples.values[: subject.live_from]
        bundle = train(values, period_s=subject.period_s, seed=_SEED, max_updates=updates)
        reference = _run(Detector(bundle), subject)
        ways: list[tuple[str, dict[str, Any]]] = [("float16 states", {"state_dtype": "float16"})]
        if "bfloat16" in backends():
            ways.append(("bfloat16 products", {"backend": "bfloat16"}))
        for way, options in ways:
            yield _change(subject, way, reference, _run(Detector(bundle, **options), subject))
    for level in others:
        with _level(level):
            other = _run(Detector(bundle), subject)
        yield _change(subject, level, reference, other)


def header_line() -> str:
    """Return the heads of the columns."""
    against = f"against float32 on {isas()[0]}"
    return f"{'series':<46}{'rows':>9}  {against:<30}{'max |d score|':>14}{'median':>10}{'side changes':>14}  alerts"


def change_line(change: Change) -> str:
    """Return a change as a row of the table."""
    alerts = f"{change.opened}, here {change.opened_here}: not the same"
    if change.same_alerts:
        alerts = f"the same {change.opened}"
    sizes = f"{change.largest:>14.1e}{change.median:>10.1e}{change.sides:>14.4%}"
    return f"{change.name:<46}{change.rows:>9,}  {change.way:<30}{sizes}  {alerts}"


@dataclass(frozen=True, slots=True)
class _Run:
    """score float64 [N], NaN where there is none; alerts as (row, revision, state)."""

    score: NDArray[np.float64]
    alerts: list[tuple[int, int, str]]


def _run(detector: Detector, subject: Subject) -> _Run:
    chunks = list(replay(detector, Recording.of_stream(subject.samples), begin=subject.live_from, alerts=AlertPolicy()))
    alerts = [(chunk.begin + row, alert.revision, alert.state) for chunk in chunks for row, alert in chunk.alerts]
    return _Run(np.concatenate([chunk.scores.score for chunk in chunks]), alerts)


def _change(subject: Subject, way: str, reference: _Run, other: _Run) -> Change:
    scored = ~np.isnan(reference.score)
    assert (scored == ~np.isnan(other.score)).all()
    before, after = reference.score[scored], other.score[scored]
    difference = np.abs(after - before)
    opened, opened_here = (sum(revision == 1 for _, revision, _ in run.alerts) for run in (reference, other))
    return Change(
        name=subject.name,
        way=way,
        rows=len(before),
        largest=float(difference.max()),
        median=float(np.median(difference)),
        sides=np.count_nonzero((before >= 1.0) != (after >= 1.0)) / len(before),
        opened=opened,
        opened_here=opened_here,
        same_alerts=other.alerts == reference.alerts,
    )


@contextmanager
def _level(name: str) -> Iterator[None]:
    """Run on one level of the instruction set."""
    before = os.environ.get(_LEVEL)
    os.environ[_LEVEL] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ[_LEVEL]
        else:
            os.environ[_LEVEL] = before
