"""What is measured of a series: which window, which tolerance, whose clock."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation.labelled_data import labelled, scored

from streamlstm.evaluation.measures.nab import PROFILES, NabFile, nab_sweep
from streamlstm.evaluation.measures.rules import estimated_window
from streamlstm.evaluation.measures.volume import auc_pr, vus_pr
from streamlstm.evaluation.series_measures import (
    alert_counts,
    clean_distance,
    days_judged,
    nab_scores,
    ranking_measures,
)

LABELS = np.isin(np.arange(400), np.arange(100, 130))
SCORES = np.random.default_rng(1).normal(0.5, 0.2, 400) + 0.3 * LABELS


@pytest.mark.parametrize(("set_name", "window"), [("kpi", 20), ("skab", 30), ("ucr", 100)])
def test_a_set_that_is_known_has_its_own_window(set_name: str, window: int) -> None:
    found = ranking_measures(labelled(LABELS, set_name=set_name), SCORES)
    assert found["vus_pr"] == vus_pr(SCORES, LABELS, window)
    assert found["auc_pr"] == auc_pr(SCORES, LABELS)
    assert ("top_1" in found) == (set_name == "ucr")


def test_the_window_of_other_sets_comes_from_the_warm_up() -> None:
    one = labelled(LABELS, set_name="pumps", warm_up=300)
    one.series.values[:, 0] = np.sin(np.arange(700) * 2 * np.pi / 25)
    window = estimated_window(one.series.values[:300, 0])
    assert window == 25
    assert ranking_measures(one, SCORES)["vus_pr"] == vus_pr(SCORES, LABELS, 25)
    one.series.values[::7, 0] = np.nan
    assert np.isfinite(ranking_measures(one, SCORES)["vus_pr"])


def test_the_one_anomaly_of_a_series_is_found_at_the_highest_score() -> None:
    for row, is_found in ((115, 1.0), (230, 1.0), (231, 0.0)):
        score = np.zeros(400)
        score[row - 1] = 1
        assert ranking_measures(labelled(LABELS, set_name="ucr"), score)["top_1"] == is_found
    assert np.isnan(ranking_measures(labelled(~LABELS & LABELS, set_name="ucr"), SCORES)["top_1"])


@pytest.mark.parametrize(("set_name", "found"), [("kpi", 0), ("skab", 1)])
def test_alerts_have_the_tolerance_of_their_set(set_name: str, found: int) -> None:
    counts = alert_counts(labelled(LABELS, set_name=set_name), scored(SCORES, (50, 60), (140, 145)))
    assert (counts.events, counts.found, counts.openings, counts.false_openings) == (1, found, 2, 2 - found)
    assert counts.rows_under_alert == 15
    assert counts.delays.tolist() == ([40] if found else [])


def test_days_are_those_of_the_clock_or_of_ten_thousand_rows() -> None:
    assert days_judged(labelled(LABELS, period_s=60.0)) == pytest.approx(400 * 60 / 86_400)
    assert days_judged(labelled(LABELS, period_s=0.0)) == pytest.approx(0.04)


def test_the_distance_is_that_of_unlabelled_rows_that_have_a_score() -> None:
    score = -np.log(np.linspace(0.001, 0.999, 400))
    score[LABELS] = 50
    score[:10] = np.nan
    even = clean_distance(labelled(LABELS), scored(score))
    assert even < 0.1
    assert clean_distance(labelled(np.zeros(400, np.bool_)), scored(score)) > even


def test_the_scorer_of_nab_sees_the_whole_file() -> None:
    one = labelled(LABELS, set_name="nab", warm_up=60)
    found = nab_scores(one, SCORES, np.array([105]))
    assert found is not None and found.openings is not None and found.openings.tolist() == [165]
    whole = np.concatenate([np.full(60, np.nan), SCORES])
    expected = nab_sweep([NabFile(460, [[160, 189]])], [whole], PROFILES[0])
    assert nab_sweep([found.file], [found.scores], PROFILES[0]) == expected
    assert nab_scores(labelled(LABELS), SCORES, None) is None
