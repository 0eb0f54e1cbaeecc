"""The calibration equals its definition, on a network and data in which nothing is zero or symmetric; and its edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scoring.calibration_oracle import Expected, expected_calibration, heads_of, residuals_of

from streamlstm.errors import DataError
from streamlstm.kernels import BASE_SURPRISE, CellKind, CellWeights
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.calibration import Calibration, StackedTails
from streamlstm.model.network import Architecture, Network
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.branches.network_residuals import widths_for
from streamlstm.scoring.calibration import CalibrationSeries, calibrate, cluster_rows
from streamlstm.scoring.forward import Forward, run_series

Values = NDArray[np.float32]
STANDARDIZER = Standardizer(np.array([48.5, 3.1, -7.4], np.float32), np.array([6.5, 0.35, 2.2], np.float32))


def network(*, forecast: int = 5, hidden: int = 6, seed: int = 4) -> Network:
    """A random LSTM with a random head, for three channels."""
    rng = np.random.default_rng(seed)
    sizes = ((4 * hidden, 3), (4 * hidden, hidden), 4 * hidden)
    layer = CellWeights(CellKind.LSTM, *(rng.normal(0.1, 0.5, size).astype(np.float32) for size in sizes))
    outputs = 3 * (1 + forecast)
    weight, bias = rng.normal(0.2, 0.7, (outputs, hidden)), rng.normal(-0.1, 0.3, outputs)
    architecture = Architecture(channels=3, hidden=hidden, forecast=forecast, reconstruct=8)
    return Network(architecture, (layer,), weight.astype(np.float32), bias.astype(np.float32))


def series(seed: int, rows: int) -> Values:
    """Three channels with bursts, a trend, and now and then nothing."""
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    waves = np.stack([np.sin(t / 6.1), np.cos(t / 9.7 + 1), np.sin(t / 4.3 + 2) ** 3], axis=1)
    noise = rng.gamma(1.3, 0.25, (rows, 3)) * np.exp(0.8 * np.sin(t / 51.0))[:, None]
    values = STANDARDIZER.mean + STANDARDIZER.scale * (waves + noise + 0.0002 * t[:, None])
    values[rng.uniform(size=rows) < 0.02, 0] = np.nan
    values[rng.uniform(size=rows) < 0.03, 2] = np.nan
    values[rng.uniform(size=rows) < 0.01] = np.nan
    return values.astype(np.float32)


def series_without_holes(seed: int, rows: int) -> Values:
    """The same, with a first channel that is always there."""
    values = series(seed, rows)
    values[:, 0] = np.where(np.isnan(values[:, 0]), STANDARDIZER.mean[0], values[:, 0])
    return values


def assert_equal(found: Calibration, want: Expected) -> None:
    assert found.branches["network_residuals"]["scales"] == pytest.approx(want.scales, rel=1e-4)
    assert found.branches["network_residuals"]["widths"].tolist() == want.widths
    assert (found.burn_in, found.warm_up, found.rows) == (want.burn_in, want.warm_up, len(want.means))
    assert StackedTails.of(found.tails).statistics == pytest.approx(want.statistics, rel=1e-3)
    assert StackedTails.of(found.tails).fits == pytest.approx(np.array(want.fits), rel=1e-2)
    assert found.total.statistic == pytest.approx(want.total_statistics, rel=1e-3)
    assert found.total.surprise == pytest.approx(want.total_surprises)
    assert StackedTails.of(found.tails).surprises == pytest.approx(np.tile(want.total_surprises, (12, 1)))
    assert found.total.fit == pytest.approx(np.array(want.total_fit), rel=1e-2, abs=1e-6)
    assert found.cluster_rows == pytest.approx(want.clusters)


@pytest.mark.parametrize(
    ("period", "forecast", "rows"),
    [
        (0, 5, [(1400, 700), (900, 20)]),
        (77, 7, [(1500, 300)]),  # the wide mean has no whole number of rows
        (300, 40, [(1100, 1), (500, 499), (310, 200)]),
        (40, 30, [(600, 0), (20, 2), (900, 880)]),  # the forecast reaches further than half the wide mean
    ],
)
def test_equals_its_definition(period: int, forecast: int, rows: list[tuple[int, int]]) -> None:
    model = network(forecast=forecast)
    data = [(series(11 + number, count), start) for number, (count, start) in enumerate(rows)]
    found = calibrate(model, STANDARDIZER, [CalibrationSeries(*one) for one in data], period_rows=period, prototypes=0)
    assert_equal(found, expected_calibration(model, STANDARDIZER, data, period))


def test_equals_its_definition_over_many_chunks() -> None:
    model, data = network(forecast=3), [(series(5, 9000), 3500)]
    found = calibrate(model, STANDARDIZER, [CalibrationSeries(*data[0])], period_rows=64, prototypes=0)
    assert_equal(found, expected_calibration(model, STANDARDIZER, data, 64))
    assert min(tail.shape for tail in found.tails.values()) >= 0.15


def test_a_channel_without_errors_is_given_a_hundredth_of_its_deviation() -> None:
    """One that the network predicts exactly, and one that was never observed where it counts."""
    model = network()
    weight, bias = model.head_weight.copy(), model.head_bias.copy()
    weight[1::3] = 0.0
    bias[1::3] = 0.5
    exact = Network(model.architecture, model.layers, weight, bias)
    values = series(3, 800)
    values[:, 1] = STANDARDIZER.mean[1] + np.float32(0.5) * STANDARDIZER.scale[1]
    values[300:, 2] = np.nan
    found = calibrate(exact, STANDARDIZER, [CalibrationSeries(values, 300)], period_rows=0)
    assert found.branches["network_residuals"]["scales"][:, 1:] == pytest.approx(np.full((3, 2), 0.01))
    assert (found.branches["network_residuals"]["scales"][:, 0] > 0.1).all()


def test_a_channel_that_was_observed_once_is_measured_by_that_value() -> None:
    values = series(3, 800)
    values[300:, 2] = np.nan
    values[420, 2] = STANDARDIZER.mean[2] + 1
    found = calibrate(network(), STANDARDIZER, [CalibrationSeries(values, 300)], period_rows=0, prototypes=0)
    assert_equal(found, expected_calibration(network(), STANDARDIZER, [(values, 300)], 0))


def test_a_series_without_rows_adds_nothing(tiny_bundle: ModelBundle) -> None:
    network, standardizer = tiny_bundle.network, tiny_bundle.standardizer
    full, empty = CalibrationSeries(series(3, 800)[:, :2], 300), CalibrationSeries(np.empty((0, 2), np.float32), 0)
    alone, both = (calibrate(network, standardizer, given, period_rows=0) for given in ([full], [empty, full]))
    assert np.array_equal(alone.total.statistic, both.total.statistic)


@pytest.mark.parametrize(
    ("period", "longest"), [(0, 32), (1, 32), (48, 32), (51, 34), (150, 100), (399, 266), (402, 32), (4000, 32)]
)
def test_the_longest_width_is_two_thirds_of_the_period_unless_that_is_a_day(period: int, longest: float) -> None:
    assert tuple(widths_for(period).tolist()) == (1, 4, 16, longest)


@pytest.mark.parametrize(("rows", "horizon"), [(1990, 200), (2010, 201), (150_000, 15_000), (200_100, 20_000)])
def test_the_horizon_is_a_tenth_of_all_rows_within_bounds(rows: int, horizon: int) -> None:
    half = rows // 2
    data = [CalibrationSeries(np.tile(series(7, 1000), (half // 1000 + 1, 1))[:half], half - 500) for _ in range(2)]
    assert calibrate(network(hidden=2), STANDARDIZER, data, period_rows=0).horizon == horizon


def test_rows_long_before_the_first_one_have_no_say() -> None:
    """The run begins 20,000 rows before the first that is used: a value carried forward from there on still counts."""
    values = series(2, 20_400)
    values[:, 1] = np.nan
    start = 20_100
    spoilt, carried = values.copy(), values.copy()
    spoilt[start - 20_001, 1] = STANDARDIZER.mean[1] + 3
    carried[start - 20_000, 1] = STANDARDIZER.mean[1] + 3
    scales = [
        calibrate(network(hidden=3), STANDARDIZER, [CalibrationSeries(one, start)], period_rows=0).branches[
            "network_residuals"
        ]["scales"]
        for one in (values, spoilt, carried)
    ]
    assert np.array_equal(scales[0], scales[1])
    assert not np.isclose(scales[0][:, 0], scales[2][:, 0], rtol=1e-4).any()


def test_twenty_rows_are_enough_and_nineteen_are_not() -> None:
    values, warm_up = series_without_holes(6, 200), 16 + 32
    enough = calibrate(network(), STANDARDIZER, [CalibrationSeries(values[: warm_up + 20], warm_up)], period_rows=0)
    assert enough.rows == 20
    with pytest.raises(DataError, match="at least 20 rows after the first 48, got 19; give more data"):
        calibrate(network(), STANDARDIZER, [CalibrationSeries(values[: warm_up + 19], warm_up)], period_rows=0)
    with pytest.raises(DataError, match="got 0"):
        calibrate(network(), STANDARDIZER, [CalibrationSeries(values[:0], 0)], period_rows=0)


def test_rows_that_repeat_the_one_before_are_not_calibrated_on() -> None:
    """A hole of 300 rows, and the five after it in which the network settles."""
    values = series_without_holes(6, 1000)
    values[500:800] = np.nan
    found = calibrate(network(), STANDARDIZER, [CalibrationSeries(values, 100)], period_rows=0)
    assert found.rows == 900 - 300 - 5


def test_short_data_give_up_half_of_their_rows_to_the_warm_up() -> None:
    for count, start, rows in ((90, 0, 45), (95, 0, 48), (96, 0, 48), (97, 0, 49), (100, 40, 52), (80, 30, 32)):
        short = CalibrationSeries(series_without_holes(6, count), start)
        found = calibrate(network(), STANDARDIZER, [short], period_rows=0)
        assert found.rows == rows == count - max(start, min(48, (start + count) // 2)), (count, start)


@pytest.mark.parametrize(
    ("above", "gap", "rows"),
    [
        ([], 7, 7.0),
        ([3], 7, 1.0),
        ([3, 4, 5, 6], 2, 4.0),
        ([3, 10], 7, 2.0),
        ([3, 11], 7, 1.0),
        ([0, 1, 9, 10, 11, 30], 7, 2.0),
    ],
)
def test_clusters_are_parted_by_more_than_the_gap(above: list[int], gap: int, rows: float) -> None:
    surprise = np.full(40, BASE_SURPRISE)  # the level itself is not above it
    surprise[above] = math.nextafter(BASE_SURPRISE, math.inf)
    assert cluster_rows(surprise, gap=gap) == rows


@settings(max_examples=20)
@given(st.integers(1, 90), st.integers(0, 60), st.integers(1, 7))
def test_a_series_is_run_the_same_whatever_its_chunks(chunk_rows: int, begin: int, forecast: int) -> None:
    model, values = network(forecast=forecast), series(9, 130)
    x, heads, observed = heads_of(model, STANDARDIZER, values[begin:])
    residuals = residuals_of(x, heads)
    forward = Forward(model, STANDARDIZER)
    chunks = list(run_series(forward, values, begin=begin, chunk_rows=chunk_rows))
    assert [chunk.begin for chunk in chunks] == list(range(begin, 130, chunk_rows))
    for chunk in chunks:
        rows = slice(chunk.begin - begin, chunk.begin - begin + len(chunk.result.x))
        assert np.array_equal(chunk.result.observed, observed[rows])
        assert chunk.result.x == pytest.approx(x[rows], abs=1e-4)
        assert chunk.reconstruction() == pytest.approx(heads[rows, 0], abs=1e-4)
        one_step = chunk.result.x - chunk.forecast(1)
        assert one_step == pytest.approx(residuals[1, rows], abs=2e-4, nan_ok=True)
        for steps in range(1, forecast + 1):
            made = np.full((len(x), 3), np.nan)
            made[steps:] = heads[: max(len(x) - steps, 0), steps][: len(x) - steps]
            assert chunk.forecast(steps) == pytest.approx(made[rows], abs=1e-4, nan_ok=True)
    whole = next(iter(run_series(forward, values, begin=begin)))
    assert np.array_equal(np.concatenate([chunk.reconstruction() for chunk in chunks]), whole.reconstruction())
