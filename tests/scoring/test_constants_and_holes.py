"""A channel that never moved and then does; streams in which nothing comes for a while."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_models import least_squares_model

from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.branches.network_residuals import steady_channels
from streamlstm.scoring.detector import Detector
from streamlstm.simulation import simulate_vitals
from streamlstm.training.fit import train
from streamlstm.types import Scores, Status

NAMES = ("hr", "spo2", "resp", "abp")


def vitals(seed: int, *, minutes: int = 60) -> NDArray[np.float32]:
    bed = simulate_vitals(seed, beds=1, clean_minutes=minutes, live_minutes=60)[0]
    return bed.values[: bed.live_from].copy()


def scores(bundle: ModelBundle, values: NDArray[np.float32]) -> Scores:
    return Detector(bundle).score(["bed"] * len(values), np.arange(len(values)) * 1000, values)


def with_a_setting(values: NDArray[np.float32], setting: float) -> NDArray[np.float32]:
    """Vital signs beside a channel that somebody sets."""
    return np.column_stack([values, np.full(len(values), setting)]).astype(np.float32)


@pytest.mark.parametrize("setting", [7.0, 0.0, -1e4])
def test_a_channel_that_never_moved_gives_one_alert_that_closes(setting: float) -> None:
    bundle = train(
        with_a_setting(vitals(1), setting), period_s=1.0, channels=(*NAMES, "setting"), max_updates=30, hidden=8
    )
    live = with_a_setting(vitals(2, minutes=30), setting)
    calm = scores(bundle, live)
    live[600:, 4] = 1 if setting == 0 else 1.05 * setting
    moved = scores(bundle, live)
    above = np.flatnonzero(moved.score >= 1)
    caused = np.setdiff1d(above, np.flatnonzero(calm.score >= 1))
    assert np.isin(np.arange(600, 604), above).any()
    assert caused.max() < 600 + 200, "the alert closes, and the new value is as normal as the old one"
    assert np.nanmax(moved.score) < 200 / 4
    assert moved.contribution[600:610].argmax(axis=1).tolist() == [4] * 10
    assert moved.expected[601:, 4] == pytest.approx(live[601:, 4], rel=1e-5)
    assert moved.score[1000:] == pytest.approx(calm.score[1000:], rel=0.1, abs=0.02)


def test_a_stream_of_constants_alone_has_finite_scores() -> None:
    values = np.full((2000, 1), 3.0, np.float32)
    bundle = train(values, period_s=1.0, max_updates=5, hidden=4)
    live = np.full((2500, 1), 3.0, np.float32)
    live[500:] = 4.0
    found = scores(bundle, live).score
    assert (found[200:500] < 1).all()
    assert 1 < np.nanmax(found) < 50
    assert (found[2000:] < 1).all()


def test_steady_is_what_keeps_its_value_in_every_series() -> None:
    one = np.array([[1, 5, 1e6, np.nan], [1, 5, 1e6 + 0.1, np.nan], [2, np.nan, 1e6, np.nan]], np.float32)
    other = np.array([[1, 6, 1e6, np.nan], [1, 6, 1e6, np.nan]], np.float32)
    assert steady_channels([one, other]).tolist() == [0, 1, 1, 1]
    assert steady_channels([one, one[:0]]).tolist() == [0, 1, 1, 1]


@pytest.fixture(scope="module", params=[1, 2])
def model(request: pytest.FixtureRequest) -> ModelBundle:
    return least_squares_model(
        vitals(request.param, minutes=240),
        weights=request.param,
        hidden=24,
        period_rows=64,
        channels=NAMES,
        horizon=16,
    )


def test_a_sample_without_a_value_has_no_score_and_changes_none(model: ModelBundle) -> None:
    """A hole shorter than four horizons of the forecast, in the middle of an alarm."""
    values = vitals(11)
    values[600:700, 3] -= 25
    values[640:650] = np.nan
    found = scores(model, values)
    assert np.isnan(found.score[640:650]).all() and np.isnan(found.p_value[640:650]).all()
    assert (found.status[640:650] == Status.IMPUTED).all()
    assert found.score[639] > 1 and found.score[655] > 1
    assert not np.isnan(found.score[650:]).any()


def test_a_stream_that_returns_does_not_alarm(model: ModelBundle) -> None:
    """Twelve streams without a value for ten minutes, each at another time."""
    values, horizon, alarms = vitals(12, minutes=200), 16, 0
    for start in range(600, 600 + 12 * 900, 900):
        live = values[start - 600 : start + 1200].copy()
        calm = scores(model, live).score[1200:1500]
        live[600:1200] = np.nan
        found = scores(model, live)
        assert np.isnan(found.score[600 : 1200 + horizon]).all()
        assert (found.status[1200 : 1200 + horizon] == Status.WARMING).all()
        assert (found.status[1200 + horizon :] == Status.READY).all()
        alarms += np.nanmax(found.score[1200:1500]) >= 1 > calm.max()
    assert alarms <= 1
