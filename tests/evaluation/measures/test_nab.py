"""NAB's scorer: its formulas by hand, its corners, and a sweep that tries every threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlstm.errors import DataError
from streamlstm.evaluation.measures.nab import (
    PROFILES,
    NabFile,
    NabProfile,
    nab_raw,
    nab_score,
    nab_sweep,
    probation_rows,
)

STANDARD, LOW_FP, LOW_FN = PROFILES


def g(x: float) -> float:
    return 2 / (1 + math.exp(5 * x)) - 1


@pytest.mark.parametrize(("rows", "probation"), [(6, 0), (7, 1), (100, 15), (4999, 749), (5000, 750), (90_000, 750)])
def test_probation(rows: int, probation: int) -> None:
    assert probation_rows(rows) == NabFile(rows, []).first_scored == probation


@pytest.mark.parametrize(
    ("row", "raw"),
    [
        (39, -0.11 - 1),
        # The window is rows 40 to 49: its first row is perfect, its last one is worth g(-1/10).
        (40, 1.0),
        (44, g(-0.6) / g(-1)),
        (49, g(-0.1) / g(-1)),
        # Behind it, in lengths of 9 rows; beyond three of them nothing is nearer.
        (50, 0.11 * g(1 / 9) - 1),
        (76, 0.11 * g(27 / 9) - 1),
        (77, -0.11 - 1),
        # Probation is not scored.
        (14, -1.0),
        (15, -0.11 - 1),
    ],
)
def test_one_detection(row: int, raw: float) -> None:
    assert nab_raw(NabFile(100, [(40, 49)]), [row], STANDARD) == pytest.approx(raw, abs=1e-15)


def test_costs_of_the_profiles() -> None:
    file = NabFile(100, [(40, 49)])
    assert [nab_raw(file, [], profile) for profile in PROFILES] == [-1, -1, -2]
    assert [nab_raw(file, [20, 40], profile) for profile in PROFILES] == pytest.approx([0.89, 0.78, 0.89])


def test_of_a_window_the_best_detection_counts_and_every_false_one_does() -> None:
    file = NabFile(100, [(40, 49)])
    assert nab_raw(file, [45, 48, 42, 47], STANDARD) == nab_raw(file, [42], STANDARD)
    assert nab_raw(file, [20, 21, 40], STANDARD) == pytest.approx(1 - 0.22)


def test_a_window_takes_over_from_the_one_before() -> None:
    file = NabFile(200, [(40, 49), (60, 62), (63, 63)])
    assert nab_raw(file, [59], STANDARD) == pytest.approx(0.11 * g(10 / 9) - 3)
    assert nab_raw(file, [62], STANDARD) == pytest.approx(g(-1 / 3) / g(-1) - 2)
    assert nab_raw(file, [63], STANDARD) == pytest.approx(1 - 2)
    # Behind a window of one row lengths are rows.
    assert nab_raw(file, [64], STANDARD) == pytest.approx(0.11 * g(1) - 3)


def test_a_window_that_probation_cuts() -> None:
    file = NabFile(100, [(2, 9), (10, 19)])
    # The first has no scored row: missing it costs nothing. Of the second what is scored counts as it would.
    assert nab_raw(file, [], STANDARD) == -1
    assert nab_raw(file, [3, 12], STANDARD) == -1
    assert nab_raw(file, [15], STANDARD) == pytest.approx(g(-0.5) / g(-1))


def test_nothing_detected_is_0_and_everything_at_once_is_100() -> None:
    files = [NabFile(100, [(40, 49), (80, 89)]), NabFile(300, [(100, 110)]), NabFile(50, [])]
    for profile in PROFILES:
        assert nab_score(files, [[], [], []], profile) == 0
        assert nab_score(files, [[40, 80], [100], []], profile) == pytest.approx(100)
        assert nab_score(files, [np.arange(100), np.arange(300), np.arange(50)], profile) < 50
        assert math.isnan(nab_score(files[2:], [[]], profile))


def test_the_sweep_has_one_threshold_for_all_files() -> None:
    files = [NabFile(100, [(40, 49)]), NabFile(100, [(40, 49)])]
    scores = np.zeros((2, 100))
    scores[0, 40], scores[1, 41], scores[1, 16:36] = 5.0, 2.0, 3.0
    swept = nab_sweep(files, list(scores), STANDARD)
    assert (swept.threshold, swept.score) == (5.0, 50.0)
    # Missing a window costs twice as much: twenty false alarms are worth it.
    swept = nab_sweep(files, list(scores), LOW_FN)
    assert swept.threshold == 2.0
    assert swept.score == pytest.approx(nab_score(files, [[40], [*range(16, 36), 41]], LOW_FN))
    assert nab_sweep([files[0]], [scores[1]], LOW_FP).threshold == math.inf


@settings(deadline=None)
@given(st.data())
def test_the_sweep_is_the_best_of_all_thresholds(data: st.DataObject) -> None:
    files, scores = [], []
    for rows in data.draw(st.lists(st.integers(1, 60), min_size=1, max_size=3)):
        edges = sorted(data.draw(st.sets(st.integers(0, rows - 1), max_size=6)))
        files.append(NabFile(rows, list(zip(edges[::2], edges[1::2], strict=False))))
        level = st.sampled_from([math.nan, -math.inf, -1.0, 0.0, 0.5, 2.0, math.inf])
        scores.append(np.array(data.draw(st.lists(level, min_size=rows, max_size=rows))))
    profile = data.draw(st.sampled_from([*PROFILES, NabProfile("odd", 0.01, 3.0)]))
    if not sum(file.windows for file in files):
        assert math.isnan(nab_sweep(files, scores, profile).score)
        return
    if all(file.null(profile) == 0 for file in files):
        return
    tried = {
        threshold: nab_score(files, [np.flatnonzero(one >= threshold) for one in scores], profile)
        for threshold in np.unique(np.concatenate([*scores, [math.inf]]))
        if not math.isnan(threshold)
    }
    tried[math.inf] = max(tried[math.inf], 0.0)
    swept = nab_sweep(files, scores, profile)
    assert swept.score == pytest.approx(max(tried.values()), abs=1e-9)
    if swept.score > 0:
        assert tried[swept.threshold] == pytest.approx(swept.score, abs=1e-9)


@pytest.mark.parametrize("windows", [[(5, 4)], [(4, 10)], [(-1, 3)], [(1, 3), (3, 5)], [(5, 6), (1, 2)]])
def test_windows_must_be_in_order_and_in_the_file(windows: list[tuple[int, int]]) -> None:
    with pytest.raises(DataError, match="windows in order within rows 0 to 9"):
        NabFile(10, windows)


def test_scores_must_be_those_of_the_file() -> None:
    with pytest.raises(DataError, match=r"each of 10 rows, got shape \(9,\)"):
        nab_sweep([NabFile(10, [])], [np.zeros(9)], STANDARD)


def test_every_file_needs_its_detections_and_scores() -> None:
    files = [NabFile(10, [(5, 6)]), NabFile(10, [])]
    with pytest.raises(ValueError, match="shorter"):
        nab_score(files, [[5]], STANDARD)
    with pytest.raises(ValueError, match="shorter"):
        nab_sweep(files, [np.zeros(10)], STANDARD)
