"""What scores change with float16 states, with bfloat16 products, and on other levels of the instruction set.

    python benchmarks/half_accuracy.py                    # the recorded ECG and the simulated vitals of the package
    python benchmarks/half_accuracy.py RECORDINGS...      # files that `train` reads, or folders of NPZ files

Of each series the rows before `train_len` (a third, where the file names none) train a model with a fixed seed; the
rest is scored in float32 on the best level that the processor has, and again in each other way. A line says by how
much the scores differ, how many samples come to lie on the other side of the threshold, and whether the same alerts
open and resolve at the same rows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamlstm import Detector, train
from streamlstm.kernels import backends, isas
from streamlstm.recordings.reading import read_series
from streamlstm.scoring.alerts import AlertPolicy, AlertTracker
from streamlstm.simulation.recording import load_ecg_excerpt
from streamlstm.simulation.ward import simulate_vitals
from streamlstm.types import Position

_SEED = 1
_UPDATES = 400
_CHUNK = 4096


@dataclass(frozen=True)
class _Recording:
    """values float32 [T, C] of one stream; rows before `live_from` are trained on."""

    name: str
    values: NDArray[np.float32]
    time_ms: NDArray[np.int64]
    period_s: float
    live_from: int


@dataclass(frozen=True)
class _Run:
    """score float64 [N], NaN where there is none; alerts as (row, revision, state)."""

    score: NDArray[np.float64]
    alerts: list[tuple[int, int, str]]


def main(*sources: str) -> None:
    """Print the table."""
    against = f"against float32 on {isas()[0]}"
    _write(f"{'series':<46}{'rows':>9}  {against:<30}{'max |d score|':>14}{'median':>10}{'side changes':>14}  alerts")
    for recording in _read(sources) if sources else _own():
        os.environ["STREAMLSTM_ISA"] = isas()[0]  # read when a network's weights are packed; calibration packs too
        bundle = train(
            recording.values[: recording.live_from], period_s=recording.period_s, seed=_SEED, max_updates=_UPDATES
        )
        reference = _score(Detector(bundle), recording)
        _print_line(recording, "float16 states", reference, _score(Detector(bundle, state_dtype="float16"), recording))
        if "bfloat16" in backends():
            rounded = _score(Detector(bundle, backend="bfloat16"), recording)
            _print_line(recording, "bfloat16 products", reference, rounded)
        for level in isas()[1:]:
            os.environ["STREAMLSTM_ISA"] = level
            _print_line(recording, level, reference, _score(Detector(bundle), recording))


def _print_line(recording: _Recording, way: str, reference: _Run, other: _Run) -> None:
    scored = ~np.isnan(reference.score)
    assert (scored == ~np.isnan(other.score)).all()
    before, after = reference.score[scored], other.score[scored]
    difference = np.abs(after - before)
    changed = np.count_nonzero((before >= 1.0) != (after >= 1.0))
    opened, other_opened = (sum(revision == 1 for _, revision, _ in run.alerts) for run in (reference, other))
    alerts = (
        f"the same {opened}" if other.alerts == reference.alerts else f"{opened}, here {other_opened}: not the same"
    )
    sizes = f"{difference.max():>14.1e}{np.median(difference):>10.1e}{changed / len(before):>14.4%}"
    _write(f"{recording.name:<46}{len(before):>9,}  {way:<30}{sizes}  {alerts}")


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _score(detector: Detector, recording: _Recording) -> _Run:
    bundle = detector.bundle
    tracker = AlertTracker(AlertPolicy(), model=bundle.label, channels=bundle.channels)
    found, alerts = [], []
    for begin in range(recording.live_from, len(recording.values), _CHUNK):
        rows = range(begin, min(begin + _CHUNK, len(recording.values)))
        ids, times, values = ["stream"] * len(rows), recording.time_ms[begin : rows.stop], recording.values[rows]
        scores = detector.score(ids, times, values)
        positions = [Position(recording.name, 0, row) for row in rows]
        changes = tracker.update(ids, times, values, scores, positions)
        alerts += [(begin + row, alert.revision, alert.state) for row, alert in changes]
        found.append(scores.score)
    return _Run(np.concatenate(found), alerts)


def _own() -> Iterator[_Recording]:
    vitals = simulate_vitals(_SEED)[0]
    for name, one in (("recorded ECG", load_ecg_excerpt()), ("simulated vitals", vitals)):
        yield _Recording(name, one.values, one.event_time_ms, one.period_s, one.live_from)


def _read(sources: tuple[str, ...]) -> Iterator[_Recording]:
    paths = [Path(source) for source in sources]
    for path in (file for one in paths for file in (sorted(one.glob("*.npz")) if one.is_dir() else [one])):
        for series in read_series(path):
            live_from = series.train_len or len(series.values) // 3
            name = f"{path.parent.name}/{series.stream_id}"
            yield _Recording(name, series.values, series.event_time_ms, series.period_s, live_from)


if __name__ == "__main__":
    main(*sys.argv[1:])
