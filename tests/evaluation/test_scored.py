"""A recording as the worker scores it: carried from its first row on, and causal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation.labelled_data import NAB, ROWS, WARM_UP, write_series
from tiny_models import tiny_model

from streamlstm import train
from streamlstm.evaluation.labelled.layout import find_series, read_labelled
from streamlstm.evaluation.labelled.series import LabelledSeries
from streamlstm.evaluation.scored import ScoredSeries, score_series, scores_of_a_prefix_are_the_same
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.detector import Detector


@pytest.fixture(scope="module")
def pump(tmp_path_factory: pytest.TempPathFactory) -> LabelledSeries:
    folder = tmp_path_factory.mktemp("sets")
    write_series(folder / "pumps" / "a.npz", 5, faults=((700, 730), (990, 1000)))
    (file,) = find_series(folder) or []
    return read_labelled(file)


def test_scores_are_the_detectors_own_with_its_state_from_the_warm_up(
    tiny_bundle: ModelBundle, pump: LabelledSeries
) -> None:
    done: list[int] = []
    scored = score_series(tiny_bundle, pump, on_rows=done.append)
    series = pump.series
    expected = Detector(tiny_bundle).score(["a"] * ROWS, series.event_time_ms, series.values)
    np.testing.assert_array_equal(scored.score, expected.score[WARM_UP:])
    np.testing.assert_array_equal(scored.p_value, expected.p_value[WARM_UP:])
    np.testing.assert_array_equal(scored.expected, expected.expected[WARM_UP:])
    np.testing.assert_array_equal(scored.contribution, expected.contribution[WARM_UP:])
    length = Detector(tiny_bundle, settled=True).settled_samples
    means = np.convolve(scored.score, np.full(length, 1 / length), "valid")
    np.testing.assert_allclose(scored.settled[: len(means)], means, atol=1e-5)
    assert np.isnan(scored.settled[len(means) :]).all()
    assert done == [ROWS]


def test_alerts_open_in_the_faults_and_last_until_they_resolve(tiny_bundle: ModelBundle, pump: LabelledSeries) -> None:
    scored = score_series(tiny_bundle, pump)
    first, last = scored.opened[[0, -1]]
    assert 100 <= first < 110 and 390 <= last < 400
    begins = np.flatnonzero(np.diff(scored.under_alert.astype(int), prepend=0) == 1)
    assert begins.tolist() == scored.opened.tolist()
    assert scored.under_alert[-1] and not scored.under_alert[:100].any()


def test_an_alert_of_the_warm_up_is_no_opening_but_goes_on(tiny_bundle: ModelBundle, pump: LabelledSeries) -> None:
    late = replace(pump, train_len=710)
    scored = score_series(tiny_bundle, late)
    assert scored.under_alert[0]
    assert not (scored.opened < 200).any()


def test_the_clock_of_the_series_sets_the_threshold(tiny_bundle: ModelBundle, pump: LabelledSeries) -> None:
    slow = replace(pump, series=replace(pump.series, period_s=300.0))
    by_second, by_minutes = (score_series(tiny_bundle, one).score for one in (pump, slow))
    assert np.nanmax(by_minutes) > np.nanmax(by_second)


def test_a_channel_that_a_recording_lacks_is_missing(tiny_bundle: ModelBundle, pump: LabelledSeries) -> None:
    series = pump.series
    flow = replace(pump, series=replace(series, values=series.values[:, :1], channels=("flow",)))
    missing = series.values.copy()
    missing[:, 1] = np.nan
    without = replace(pump, series=replace(series, values=missing))
    np.testing.assert_array_equal(score_series(tiny_bundle, flow).score, score_series(tiny_bundle, without).score)


@pytest.mark.parametrize("rows", [WARM_UP + 1, 715, ROWS - 1])
def test_scores_and_alerts_of_a_prefix_are_those_of_the_whole(
    tiny_bundle: ModelBundle, pump: LabelledSeries, rows: int
) -> None:
    assert scores_of_a_prefix_are_the_same(tiny_bundle, pump, score_series(tiny_bundle, pump), rows=rows)


def test_the_test_of_a_prefix_sees_what_differs(tiny_bundle: ModelBundle, pump: LabelledSeries) -> None:
    whole = score_series(tiny_bundle, pump)

    def differs(**columns: object) -> bool:
        changed: ScoredSeries = replace(whole, **columns)  # type: ignore[arg-type]  # columns by name
        return not scores_of_a_prefix_are_the_same(tiny_bundle, pump, changed, rows=900)

    assert differs(score=np.roll(whole.score, 1))
    assert differs(p_value=whole.p_value * (1 - 1e-16))
    assert differs(under_alert=~whole.under_alert)
    assert differs(opened=whole.opened[1:])
    assert differs(settled=whole.settled * (1 - 1e-15))
    assert not scores_of_a_prefix_are_the_same(tiny_model(weights=13), pump, whole, rows=900)


def test_a_prefix_of_a_real_recording() -> None:
    (file,) = find_series(Path(NAB)) or []
    one = read_labelled(file)
    values, clock = one.series.values[: one.train_len], one.series.period_s
    bundle = train(values, channels=one.series.channels, period_s=clock, max_updates=50)
    whole = score_series(bundle, one)
    assert len(whole.score) == 1243 - 186
    for rows in (187, 500, 1003):
        assert scores_of_a_prefix_are_the_same(bundle, one, whole, rows=rows)
