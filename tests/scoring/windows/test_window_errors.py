"""Errors of whole windows and their calibration equal their definition, wherever windows, holes and ends lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scoring.windows import window_oracle
from scoring.windows.window_oracle import Network

from streamlstm.errors import DataError
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.windows.errors import (
    Estimates,
    calibrate_windows,
    estimate_rows,
    measured,
    scorable,
    statistics_of,
    width_for,
)

STANDARDIZER = Standardizer(np.array([48.5, 3.1, -7.4], np.float32), np.array([6.5, 0.35, 2.2], np.float32))


def series(seed: int, rows: int) -> NDArray[np.float32]:
    """Three channels with bursts, some values missing, and one far out."""
    rng = np.random.default_rng(seed)
    values = STANDARDIZER.mean + STANDARDIZER.scale * rng.gamma(1.3, 0.7, (rows, 3)) * np.array([1, 0.5, 2])
    values[rng.uniform(size=(rows, 3)) < 0.15] = np.nan
    values[rows // 3, 0] = 1e4
    values[[0, -1]] = STANDARDIZER.mean
    return values.astype(np.float32)


def network(rows: int) -> Any:
    return Network(rows)


@pytest.mark.parametrize("count", [3, 15, 16, 17, 24, 25, 31, 32, 33, 40, 600])
def test_a_row_is_estimated_by_every_window_that_holds_it(count: int) -> None:
    values = series(count, count)
    found = estimate_rows(network(16), STANDARDIZER, values)
    squares, expected, seen = window_oracle.estimates(network(16), STANDARDIZER, values)
    assert found.squares == pytest.approx(squares, rel=1e-4, abs=1e-6)
    assert found.expected == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert np.array_equal(found.observed, seen)


def test_values_are_clipped_at_twenty_deviations_and_what_is_missing_is_zero() -> None:
    values = STANDARDIZER.mean + STANDARDIZER.scale * np.array([[19, -19, np.nan], [21, -21, np.inf]], np.float32)
    x, observed = measured(STANDARDIZER, values)
    assert x == pytest.approx(np.array([[19, -19, 0], [20, -20, 20]]), rel=1e-5)
    assert observed.tolist() == [[True, True, False], [True, True, True]]


@pytest.mark.parametrize("width", [1, 2, 3, 8, 49, 50, 51])
def test_a_statistic_is_the_mean_of_the_rows_around_a_row(width: int) -> None:
    rng = np.random.default_rng(width)
    observed = rng.uniform(size=(50, 3)) < 0.5
    squares = np.where(observed, rng.gamma(0.7, 2.0, (50, 3)), 0.0)
    squares[7, observed[7]] = 1e6
    scales = np.array([0.3, 1.1, 0.01], np.float32)
    found = statistics_of(Estimates(squares, np.zeros((50, 3), np.float32), observed), scales, width)
    want = window_oracle.statistic(squares, observed, scales, width)
    for one, other in zip(found, want, strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9, nan_ok=True)
    assert np.isnan(found[0]).any() == (width < 3)


@pytest.mark.parametrize(
    ("period", "rows", "width"),
    [
        (40, 256, 20),
        (41, 256, 20),
        (0, 64, 32),  # no period: half a window
        (1, 64, 32),  # half of which is nothing
        (2, 64, 1),
        (1000, 1000, 128),
        (1000, 256, 128),
        (1000, 200, 100),  # at most half a window
        (1000, 1, 1),
    ],
)
def test_the_width_is_half_a_period_within_bounds(period: int, rows: int, width: int) -> None:
    assert width_for(period, rows) == width


def test_parts_of_half_a_window_and_more_are_scored() -> None:
    values = np.full((60, 3), np.nan, np.float32)
    for begin, end in ((2, 9), (12, 20), (22, 40), (43, 59)):
        values[begin:end, 1] = 1.0
    values[29:31, 1] = np.nan
    values[34] = np.nan  # one row is no hole where two are
    parts = scorable(network(16), values)
    assert parts == [slice(12, 20), slice(31, 40), slice(43, 59)]
    assert parts == window_oracle.parts_of(network(16), values)


@pytest.mark.parametrize(
    ("rows", "counts", "width"),
    [
        (16, [300, 90], 5),
        (16, [11, 300], 8),  # eleven rows are too few to be cut apart from themselves
        (16, [12, 300], 8),
        (16, [30, 7, 45], 3),
        (40, [300, 64], 20),
        (40, [36, 400], 11),
    ],
)
def test_the_calibration_equals_its_definition(rows: int, counts: list[int], width: int) -> None:
    data = [series(31 * rows + count, count) for count in counts]
    data[0][140:146] = np.nan
    found: Any = calibrate_windows(network(rows), STANDARDIZER, data, width=width)
    want = window_oracle.calibration(network(rows), STANDARDIZER, data, width)
    assert found.scales == pytest.approx(want.scales, rel=1e-4)
    assert found.statistics == pytest.approx(want.statistics, rel=1e-3)
    assert found.surprises == pytest.approx(want.surprises)
    assert found.fit == pytest.approx(want.fit, rel=1e-2)
    assert (found.rows, found.width) == (want.rows, width)
    assert found.cluster_rows == pytest.approx(want.cluster_rows)
    assert found.fit[0] >= 0.15


def test_a_channel_without_errors_is_given_a_hundredth_of_its_deviation() -> None:
    """One that is never observed, and one that is expected exactly."""
    values = series(5, 120)
    values[:, 2] = np.nan
    exact = network(16)
    exact.estimate = lambda batch: batch.x + np.array([0.5, 0, 0], np.float32)
    found = calibrate_windows(exact, STANDARDIZER, [values], width=4)
    assert found.scales == pytest.approx(np.array([0.5, 0.01, 0.01]))


def test_a_channel_that_was_observed_once_is_measured_by_that_value() -> None:
    """In parts so short that they are not cut."""
    data = [series(8, 18), series(9, 18)]
    for values in data:
        values[:, 2] = np.nan
    data[0][5, 2] = STANDARDIZER.mean[2] + 1
    found = calibrate_windows(network(32), STANDARDIZER, data, width=4)
    assert found.scales == pytest.approx(window_oracle.calibration(network(32), STANDARDIZER, data, 4).scales, rel=1e-4)


def test_twenty_rows_are_enough_and_nineteen_are_not() -> None:
    values = series(6, 21)
    values[[4, 9]] = STANDARDIZER.mean  # all rows but one hold something
    values[1:4] = values[5:8] = values[10:20] = STANDARDIZER.mean + 1
    values[8] = np.nan
    assert calibrate_windows(network(16), STANDARDIZER, [values], width=4).rows == 20
    with pytest.raises(DataError, match="at least 20 rows in parts of 8 and more, got 19; give more data, or smaller"):
        calibrate_windows(network(16), STANDARDIZER, [values[1:]], width=4)
