"""Laws of every baseline: causal, the same in any units, one bad row is seen, holes and constants do no harm."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.evaluation.baselines.baseline import Baseline
from streamlstm.evaluation.baselines.catalogue import BASELINES

WARM_UP = 400


def waves(channels: int = 3, rows: int = 1100) -> NDArray[np.float64]:
    """Channels that move together, each with noise of its own."""
    rng = np.random.default_rng(channels)
    phases = 2 * np.pi * np.arange(rows)[:, None] / 50 + 0.2 * np.arange(channels)
    return np.sin(phases) + 0.05 * rng.normal(size=(rows, channels))


@pytest.fixture(params=BASELINES, ids=lambda baseline: baseline.name)
def baseline(request: pytest.FixtureRequest) -> Baseline:
    return request.param


@pytest.mark.parametrize("rows", [401, 633, 1099])
def test_scores_of_a_prefix_are_those_of_the_whole(baseline: Baseline, rows: int) -> None:
    values = waves()
    values[700:720, 1], values[300:310, 0] = np.nan, np.nan
    whole = baseline.scores(values, WARM_UP)
    values[rows:] = 1e6
    prefix = baseline.scores(values[:rows], WARM_UP)
    np.testing.assert_allclose(prefix, whole[:rows], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(baseline.scores(values, WARM_UP)[:rows], prefix, rtol=1e-9, atol=1e-12)


def test_the_warm_up_has_no_scores_and_every_row_after_it_has_one(baseline: Baseline) -> None:
    scores = baseline.scores(waves(), WARM_UP)
    assert scores.dtype == np.float64 and scores.shape == (1100,)
    assert np.isnan(scores[:WARM_UP]).all() and np.isfinite(scores[WARM_UP:]).all()
    assert (scores[WARM_UP:] >= 0).all()


def test_one_bad_row_stands_out(baseline: Baseline) -> None:
    values = waves()
    usual = np.nanmax(baseline.scores(values, WARM_UP))
    values[800, 1] += 4.0
    scores = baseline.scores(values, WARM_UP)
    assert scores[800] > usual
    # A window or a difference still holds the row a little later.
    assert 800 <= np.nanargmax(scores) < 864


def test_units_do_not_matter(baseline: Baseline) -> None:
    values = waves()
    others = values * [4.0, 0.125, 1024.0] + [8.0, -64.0, 0.0]
    np.testing.assert_allclose(baseline.scores(others, WARM_UP), baseline.scores(values, WARM_UP), rtol=1e-6, atol=1e-9)


def test_a_missing_value_is_the_last_one(baseline: Baseline) -> None:
    holes = waves()
    holes[700:720, 1] = np.nan
    filled = holes.copy()
    filled[700:720, 1] = filled[699, 1]
    holes[800, 0] = np.inf
    filled[800, 0] = filled[799, 0]
    np.testing.assert_allclose(baseline.scores(holes, WARM_UP), baseline.scores(filled, WARM_UP), rtol=1e-9, atol=1e-12)


def test_a_row_without_any_value_has_no_score(baseline: Baseline) -> None:
    values = waves()
    values[700:703] = np.nan
    scores = baseline.scores(values, WARM_UP)
    assert np.flatnonzero(np.isnan(scores[WARM_UP:])).tolist() == [300, 301, 302]


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e12])
def test_a_constant_channel_that_moves_has_a_finite_score(baseline: Baseline, constant: float) -> None:
    values = waves()
    values[:, 2] = constant
    assert np.isfinite(baseline.scores(values, WARM_UP)[WARM_UP:]).all()
    quiet = baseline.scores(values, WARM_UP)[900]
    values[900:, 2] += 1.0 + constant
    scores = baseline.scores(values, WARM_UP)
    assert np.isfinite(scores[WARM_UP:]).all()
    assert scores[900] > quiet


def test_channels_without_any_value_do_no_harm(baseline: Baseline) -> None:
    values = waves()
    values[:, 2] = np.nan
    assert np.isfinite(baseline.scores(values, WARM_UP)[WARM_UP:]).all()
    values[:] = 3.0
    assert np.isfinite(baseline.scores(values, WARM_UP)[WARM_UP:]).all()


def test_the_series_is_left_as_it_was(baseline: Baseline) -> None:
    values = waves()
    values[500, 1] = np.nan
    before = values.copy()
    baseline.scores(values, WARM_UP)
    np.testing.assert_array_equal(values, before)


def test_the_shortest_warm_up(baseline: Baseline) -> None:
    scores = baseline.scores(waves(), 8)
    trees_warm_up = 250 if baseline.name == "half-space trees" else 8
    assert np.isfinite(scores[trees_warm_up:]).all()
    assert np.isnan(baseline.scores(waves(rows=50), 50)).all()


@pytest.mark.parametrize("warm_up", [7, 1101])
def test_a_warm_up_must_lie_in_the_series(baseline: Baseline, warm_up: int) -> None:
    with pytest.raises(DataError, match=f"a warm-up of 8 to 1100 rows, got {warm_up}"):
        baseline.scores(waves(), warm_up)


def test_too_few_channels_are_refused(baseline: Baseline) -> None:
    values = waves(channels=1)
    if baseline.fewest_channels == 1:
        assert np.isfinite(baseline.scores(values, WARM_UP)[WARM_UP:]).all()
    else:
        with pytest.raises(DataError, match=r"at least 2 channels\], got shape \(1100, 1\)"):
            baseline.scores(values, WARM_UP)


def test_names_are_different() -> None:
    assert len({baseline.name for baseline in BASELINES}) == len(BASELINES) == 7
