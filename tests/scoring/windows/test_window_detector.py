"""Scores of whole recordings equal their definition, stream by stream; what is late, empty or short has none."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scoring.calibration_oracle import surprise
from scoring.windows import window_oracle
from scoring.windows.window_oracle import Network

from streamlstm.errors import ShapeError
from streamlstm.model.bundles.window import WindowCalibration
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.thresholds import Threshold
from streamlstm.scoring.windows.detector import WindowDetector
from streamlstm.types import GapPolicy, Scores, Status

STANDARDIZER = Standardizer(np.array([48.5, -7.4], np.float32), np.array([6.5, 2.2], np.float32))
KNOTS = np.cumsum(np.linspace(0.05, 0.2, 32))
SURPRISES = -np.log1p(-np.linspace(0.0, 0.98, 32))


def bundle(*, rows: int = 400, cluster_rows: float = 3.0) -> Any:
    """A network of windows of 16 rows, and a calibration that was not fitted."""
    calibration = WindowCalibration(
        scales=np.array([0.4, 0.7], np.float32),
        statistics=KNOTS,
        surprises=SURPRISES,
        fit=np.array([0.2, 1.5]),
        rows=rows,
        cluster_rows=cluster_rows,
        width=5,
    )
    return SimpleNamespace(
        network=Network(16),
        standardizer=STANDARDIZER,
        calibration=calibration,
        channels=("flow", "pressure"),
        period_s=60.0,
    )


def stream(seed: int, rows: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    values = STANDARDIZER.mean + STANDARDIZER.scale * rng.normal(0.3, 1.0, (rows, 2))
    values[rng.uniform(size=(rows, 2)) < 0.1] = np.nan
    return values.astype(np.float32)


def score(detector: WindowDetector, times: Any, values: Any) -> Scores:
    return detector.score(["a"] * len(values), times, values)


def assert_scored(found: Scores, rows: slice | NDArray[np.int64], values: Any, of: Any, alarm: float) -> None:
    """Compare the rows of one part of a stream with their definition."""
    squares, expected, seen = window_oracle.estimates(of.network, STANDARDIZER, values)
    statistic, shares = window_oracle.statistic(squares, seen, of.calibration.scales, 5)
    surprises = np.array([surprise(KNOTS, SURPRISES, (0.2, 1.5), float(one)) for one in statistic])
    assert found.score[rows] == pytest.approx(surprises / alarm, rel=1e-4)
    assert found.p_value[rows] == pytest.approx(np.exp(-surprises), rel=1e-3)
    assert found.expected[rows] == pytest.approx(expected * STANDARDIZER.scale + STANDARDIZER.mean, rel=1e-4)
    assert found.contribution[rows] == pytest.approx(shares / statistic[:, None], rel=1e-3, abs=1e-6)
    assert found.status[rows].tolist() == [Status.READY if row.all() else Status.IMPUTED for row in seen]


@pytest.mark.parametrize(
    ("rows", "cluster_rows", "budget", "alarm"),
    [
        (400, 3.0, 0.2, math.log(5 * 460 / 3)),  # what 400 calibration rows and 60 of the stream bear
        (400, 3.0, 40.0, math.log(1440 / (40 * 3))),  # the budget, where it asks for less
        (20, 40.0, 0.2, 4.0),  # at least 4
        (20, 40.0, 4.0, math.log(1440 / (4 * 40))),  # but never more than the budget
    ],
)
def test_scores_equal_their_definition(rows: int, cluster_rows: float, budget: float, alarm: float) -> None:
    of, values = bundle(rows=rows, cluster_rows=cluster_rows), stream(1, 60)
    found = score(WindowDetector(of, threshold=Threshold(budget)), np.arange(60), values)
    assert_scored(found, slice(0, 60), values, of, alarm)


def test_a_silence_parts_a_stream_and_streams_know_nothing_of_each_other() -> None:
    of, values = bundle(), stream(2, 90)
    times = np.arange(90) * 1000
    times[50:] += 4000
    is_first = np.random.default_rng(4).permutation(np.repeat([True, False], [90, 40]))
    mixed, when = np.empty((130, 2), np.float32), np.empty(130, np.int64)
    mixed[is_first], when[is_first] = values, times
    mixed[~is_first], when[~is_first] = stream(3, 40), np.arange(40) * 1000
    ids, first = ["a" if one else "b" for one in is_first], np.flatnonzero(is_first)
    parted = WindowDetector(of, gaps=GapPolicy(reset_after_ms=4999)).score(ids, when, mixed)
    assert_scored(parted, first[:50], values[:50], of, math.log(5 * 450 / 3))
    assert_scored(parted, first[50:], values[50:], of, math.log(5 * 440 / 3))
    for gaps in (GapPolicy(reset_after_ms=5000), GapPolicy()):  # exactly as long as is allowed, and without end
        whole = WindowDetector(of, gaps=gaps).score(ids, when, mixed)
        assert_scored(whole, first, values, of, math.log(5 * 490 / 3))
        assert_scored(whole, np.flatnonzero(~is_first), mixed[~is_first], of, math.log(5 * 440 / 3))


def test_samples_that_are_not_newer_are_late_and_change_nothing() -> None:
    of, values, times = bundle(), stream(5, 40), np.arange(40) * 1000
    late = [20, 21, 22]
    mixed, when = np.insert(values, [20] * 3, 9.0, axis=0), np.insert(times, [20] * 3, [19_000, 3, 18_999])
    found = score(WindowDetector(of), when, mixed)
    assert (found.status[late] == Status.LATE).all()
    assert np.isnan(found.score[late]).all() and np.isnan(found.p_value[late]).all()
    assert np.isnan(found.expected[late]).all() and (found.contribution[late] == 0).all()
    assert np.array_equal(np.delete(found.score, late), score(WindowDetector(of), times, values).score)


def test_short_parts_are_warming_and_empty_rows_are_gaps() -> None:
    of, values = bundle(), stream(6, 40)
    values[np.isnan(values)] = 1.0
    values[7:12] = np.nan
    values[33, 0] = np.nan
    found = score(WindowDetector(of), np.arange(40), values)
    assert found.status[:7].tolist() == [Status.WARMING] * 7
    assert found.status[7:12].tolist() == [Status.GAP] * 5
    assert np.isnan(found.score[:12]).all() and np.isfinite(found.score[12:]).all()
    assert_scored(found, slice(12, 40), values[12:], of, math.log(5 * 428 / 3))


def test_what_is_expected_exactly_has_no_contribution() -> None:
    of = bundle()
    of.network.estimate = lambda batch: batch.x
    found = score(WindowDetector(of), np.arange(30), stream(7, 30))
    assert (found.contribution == 0).all()
    assert (found.score == 0).all() and (found.p_value == 1).all()


@pytest.mark.parametrize(
    ("ids", "times", "values"),
    [
        (["a"] * 3, [0, 1, 2], np.zeros((3, 3))),
        (["a"] * 3, [0, 1, 2], np.zeros(3)),
        (["a"] * 2, [0, 1, 2], np.zeros((3, 2))),
        (["a"] * 3, [0, 1], np.zeros((3, 2))),
        (["a"] * 2, [0, 1], np.zeros((3, 2))),
    ],
)
def test_what_does_not_fit_is_refused(ids: list[str], times: list[int], values: NDArray[np.float64]) -> None:
    with pytest.raises(ShapeError, match="expected as many stream ids and times as values"):
        WindowDetector(bundle()).score(ids, times, values)
