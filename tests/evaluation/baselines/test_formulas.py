"""Each baseline against its formula, a row at a time; half-space trees against river's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamlstm.evaluation.baselines.baseline import trailing_sums
from streamlstm.evaluation.baselines.components import PrincipalComponents
from streamlstm.evaluation.baselines.half_space_trees import HalfSpaceTrees
from streamlstm.evaluation.baselines.moments import EwmaZ, MovingGaussian, SecondDifference, TrainingZ
from streamlstm.evaluation.baselines.prototypes import NearestPrototype
from streamlstm.evaluation.measures.rules import estimated_window

RIVER = np.load(Path(__file__).parents[2] / "data/river/half_space_trees.npz")
WARM_UP = 150


@pytest.fixture
def series() -> NDArray[np.float64]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(420, 2)) @ [[1.0, 0.4], [0.2, 3.0]] + np.sin(np.arange(420) / 4)[:, None] * 2 + [7, -30]


def standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    usual = values[:WARM_UP]
    return (values - usual.mean(axis=0)) / usual.std(axis=0)


def agree(scores: NDArray[np.float64], want: list[float]) -> None:
    np.testing.assert_allclose(scores[WARM_UP:], want[WARM_UP:], rtol=1e-9)


def test_second_difference(series: NDArray[np.float64]) -> None:
    x = standard(series)
    jumps = [np.zeros(2), np.zeros(2)] + [(x[t] - x[t - 1]) - (x[t - 1] - x[t - 2]) for t in range(2, len(x))]
    usual = np.mean([jump**2 for jump in jumps[2:WARM_UP]], axis=0)
    agree(SecondDifference().scores(series, WARM_UP), [float(np.mean(jump**2 / usual)) for jump in jumps])


def test_training_z(series: NDArray[np.float64]) -> None:
    agree(TrainingZ().scores(series, WARM_UP), [float(np.mean(row**2)) for row in standard(series)])


def test_ewma_z(series: NDArray[np.float64]) -> None:
    mean, variance, want = np.zeros(2), np.ones(2), []
    for row in standard(series):
        distance = row - mean
        want.append(float(np.mean(distance**2 / variance)))
        mean = mean + 0.05 * distance
        variance = 0.95 * (variance + 0.05 * distance**2)
    agree(EwmaZ(weight=0.05).scores(series, WARM_UP), want)


def test_moving_gaussian(series: NDArray[np.float64]) -> None:
    x = standard(series)
    want = [0.0]
    for t in range(1, len(x)):
        before = x[max(t - 33, 0) : t]
        want.append(float(np.mean((x[t] - before.mean(axis=0)) ** 2 / np.maximum(before.var(axis=0), 1e-4))))
    agree(MovingGaussian(window=33).scores(series, WARM_UP), want)


def test_a_channel_that_stands_still_has_a_floor(series: NDArray[np.float64]) -> None:
    series[200:400, 0] = 7.0
    series[400:, 0] += 0.01
    for baseline in (MovingGaussian(window=33), EwmaZ(weight=0.5)):
        assert np.nanmax(baseline.scores(series, WARM_UP)) < 1e6


@given(st.integers(1, 40), st.integers(1, 50))
def test_sums_of_the_last_rows(window: int, rows: int) -> None:
    values = np.random.default_rng(rows).integers(-9, 9, (rows, 2)).astype(float)
    want = [values[max(t - window + 1, 0) : t + 1].sum(axis=0) for t in range(rows)]
    np.testing.assert_array_equal(trailing_sums(values, window), want)


def test_a_value_that_has_left_the_window_leaves_no_trace() -> None:
    values = np.full((200, 1), 0.1)
    values[50] = 1e17
    assert trailing_sums(values, 32)[90:, 0] == pytest.approx(3.2)


def test_principal_components() -> None:
    """Three channels in a plane and noise: what is scored is the distance from the plane."""
    rng = np.random.default_rng(2)
    plane = rng.normal(size=(400, 2)) @ [[1.0, 2.0, 0.5], [-1.0, 0.5, 2.0]]
    series = plane + 0.01 * rng.normal(size=(400, 3))
    x = standard(series)
    values, directions = np.linalg.eig(np.cov(x[:WARM_UP].T, bias=True))
    normal = directions[:, np.argmin(values)]
    agree(PrincipalComponents(share=0.9).scores(series, WARM_UP), [float((row @ normal) ** 2) for row in x])
    # With all the variance asked for one direction is still left out.
    agree(PrincipalComponents(share=1.0).scores(series, WARM_UP), [float((row @ normal) ** 2) for row in x])
    least = PrincipalComponents(share=0.01).scores(series, WARM_UP)
    main = directions[:, np.argmax(values)]
    agree(least, [float(row @ row - (row @ main) ** 2) for row in x])


def test_prototypes_of_a_wave_are_its_phases() -> None:
    wave = np.tile(np.random.default_rng(3).normal(size=(20, 2)), (30, 1))
    scores = NearestPrototype(centres=20).scores(wave, WARM_UP)
    assert np.nanmax(scores) < 1e-9
    wave[400, 1] += 1.0
    scores = NearestPrototype(centres=20).scores(wave, WARM_UP)
    assert np.nanmax(scores[:400]) < 1e-9 < 0.1 < scores[400]
    assert np.nanmax(scores[420:]) < 1e-9


def test_as_many_prototypes_as_windows_are_those_windows(series: NDArray[np.float64]) -> None:
    x = standard(series)
    taps = min(max(estimated_window(x[:WARM_UP, 0]), 8), 64, WARM_UP // 4)
    windows = [x[t - taps + 1 : t + 1] for t in range(taps - 1, len(x))]
    windows = [window - window.mean(axis=0) for window in windows]
    normal = windows[: WARM_UP - taps + 1]
    want = [0.0] * (taps - 1)
    want += [float(min(((window - other) ** 2).sum() for other in normal)) for window in windows]
    agree(NearestPrototype(centres=10_000).scores(series, WARM_UP), want)


@pytest.mark.parametrize("case", ["three_channels", "one_channel"])
def test_half_space_trees_are_those_of_river(case: str) -> None:
    trees, height, window, seed = RIVER[f"{case}/options"].tolist()
    detector = HalfSpaceTrees(trees=trees, height=height, window=window, seed=seed)
    scores = detector.unit_scores(RIVER[f"{case}/values"])
    assert np.isnan(scores[:window]).all()
    np.testing.assert_allclose(scores[window:], RIVER[f"{case}/scores"][window:], rtol=0, atol=1e-14)
    assert len(np.unique(scores[window:])) > 40


def test_half_space_trees_remember_masses_from_part_to_part(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((5000, 2))
    whole = HalfSpaceTrees(window=50).unit_scores(values)
    monkeypatch.setattr("streamlstm.evaluation.baselines.half_space_trees._WINDOWS_AT_A_TIME", 3)
    np.testing.assert_array_equal(HalfSpaceTrees(window=50).unit_scores(values), whole)
