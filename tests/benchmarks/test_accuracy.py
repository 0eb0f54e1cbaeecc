"""`bench accuracy` as a user types it: a line for each other way of computing the same scores."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import tiny_series

from streamlstm.benchmarks.accuracy import Change, change_line, own_subjects, read_subjects, run_accuracy
from streamlstm.cli import main
from streamlstm.kernels import backends, isas

CHANGE = Change("ward/bed7", "float16 states", 12_345, 0.0123, 0.00045, 0.0625, 3, 4, False)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    values = tiny_series(1, 1500)
    values[1100:1130] += np.array([15, -0.8], np.float32)
    np.savez(tmp_path / "hall.npz", values=values, period_s=1.0, train_len=900)
    return tmp_path / "hall.npz"


def test_every_other_way_has_a_line(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["streamlstm", "bench", "accuracy", str(recording)])
    monkeypatch.setattr("streamlstm.benchmarks.accuracy.run_accuracy.__kwdefaults__", {"updates": 10})
    before = os.environ.get("STREAMLSTM_ISA")
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert os.environ.get("STREAMLSTM_ISA") == before
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("series") and f"against float32 on {isas()[0]}" in said[0]
    ways = ["float16 states", *(["bfloat16 products"] if "bfloat16" in backends() else []), *isas()[1:]]
    assert len(said) == 1 + len(ways)
    assert all(way in line and recording.parent.name in line for way, line in zip(ways, said[1:], strict=True))


def test_scores_of_the_live_part_are_compared(recording: Path) -> None:
    (subject,) = read_subjects([recording.parent])
    assert (subject.name, subject.live_from) == (f"{recording.parent.name}/hall", 900)
    half, *_, last = run_accuracy(subject, updates=10)
    assert half.rows == last.rows and 400 < half.rows < 600  # without the warm-up
    assert 0 < half.median < half.largest < 0.5
    assert last.largest < 1e-3 and last.same_alerts and last.opened == last.opened_here >= 1


def test_without_a_mark_a_third_is_trained_on(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", values=tiny_series(1, 301), period_s=1.0)
    assert [subject.live_from for subject in read_subjects([tmp_path / "a.npz"])] == [100]
    assert [subject.name for subject in own_subjects()] == ["recorded ECG", "simulated vitals"]


def test_a_line_says_how_scores_and_alerts_differ() -> None:
    numbers = "       1.2e-02   4.5e-04       6.2500%"
    assert (
        change_line(CHANGE) == f"{'ward/bed7':<46}   12,345  {'float16 states':<30}{numbers}  3, here 4: not the same"
    )
    assert change_line(replace(CHANGE, same_alerts=True)).endswith("6.2500%  the same 3")
