"""The figures of a set, and the tables they stand in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from evaluation.labelled_data import labelled

from streamlstm.evaluation.measures.events import EventCounts
from streamlstm.evaluation.measures.nab import PROFILES, nab_score
from streamlstm.evaluation.series_measures import nab_scores
from streamlstm.jobs.evaluation.outcome import OURS, Alerts, CaseOutcome, Evaluation, MethodOutcome
from streamlstm.jobs.evaluation.summary import summarise
from streamlstm.jobs.evaluation.tables import set_table


def counts(*, events: int = 4, found: int = 2, false: int = 1, delays: tuple[int, ...] = (3, 5)) -> EventCounts:
    return EventCounts(
        events=events,
        found=found,
        openings=found + false,
        false_openings=false,
        rows=1000,
        rows_under_alert=50,
        delays=np.array(delays, np.int64),
    )


def measured(series: str, vus_pr: float, **other: Any) -> MethodOutcome:
    given: dict[str, Any] = {
        "set_name": "pumps",
        "method": OURS,
        "seed": 1,
        "rows": 1000,
        "events": 4,
        "scored_rows": 1500,
        "scored_s": 0.5,
        "values": {"vus_pr": vus_pr},
    }
    return MethodOutcome(series=series, **given | other)


def evaluation(*methods: MethodOutcome) -> Evaluation:
    return Evaluation(of=1, outcomes=[CaseOutcome("case", 1, methods)])


def test_each_series_counts_the_same_and_one_without_a_figure_does_not() -> None:
    one, other, empty = measured("a", 0.2), measured("b", 0.6, rows=9), measured("c", math.nan, events=0)
    (found,) = summarise(evaluation(one, other, empty))
    assert (found.name, found.series, found.rows, found.events) == ("pumps", 3, 2009, 8)
    mean = found.figures[OURS]["vus_pr"]
    assert mean.value == pytest.approx(0.4) and math.isnan(mean.spread)
    assert found.figures[OURS]["samples_per_s"].value == 3000


def test_the_spread_is_that_of_the_sets_mean_over_seeds() -> None:
    found = [
        measured(name, v, seed=seed) for name, seed, v in (("a", 1, 0.1), ("b", 1, 0.5), ("a", 2, 0.3), ("b", 2, 0.7))
    ]
    (summary,) = summarise(evaluation(*found, measured("a", 0.9, method="PCA"), measured("b", 0.7, method="PCA")))
    ours, pca = summary.figures[OURS]["vus_pr"], summary.figures["PCA"]["vus_pr"]
    assert ours.value == pytest.approx(0.4) and ours.spread == pytest.approx(np.std([0.3, 0.5], ddof=1))
    assert pca.value == pytest.approx(0.8) and math.isnan(pca.spread)
    assert (summary.series, summary.rows) == (2, 2000)


def test_events_add_up_and_the_budget_is_held_against_the_days_of_each_stream() -> None:
    busy = Alerts(counts(found=1, false=8, delays=(10,)), days=10.0, period_s=2.0)
    calm = Alerts(counts(found=3, false=2, delays=(1, 2, 3)), days=10.0, period_s=1.0)
    (summary,) = summarise(evaluation(measured("a", 0.5, alerts=busy), measured("b", 0.5, alerts=calm)))
    found = {name: mean.value for name, mean in summary.figures[OURS].items()}
    assert (found["found"], found["false_openings"], found["openings"]) == (4, 10, 14)
    assert found["precision"] == 4 / 14 and found["recall"] == 0.5
    assert (found["delay_rows"], found["delay_s"]) == (2.5, 2.5)
    assert found["false_per_day"] == 0.5
    assert found["budget_spent"] == pytest.approx(10 / (0.2 * 20))
    assert (found["budget_within_2x"], found["budget_above_2x"]) == (0.5, 0.5)
    assert found["share_under_alert"] == 0.05


def test_the_ecgs_rate_is_that_of_an_hour_and_unknown_clocks_have_no_seconds() -> None:
    alerts = Alerts(counts(false=6), days=0.5, period_s=0.0)
    (summary,) = summarise(evaluation(measured("a", 0.5, set_name="mitbih", alerts=alerts)))
    figures = summary.figures[OURS]
    assert figures["false_per_hour"].value == 0.5 and "false_per_day" not in figures
    assert math.isnan(figures["delay_s"].value)


def test_nab_adds_up_over_all_files_before_it_compares() -> None:
    labels = np.isin(np.arange(400), np.arange(200, 240))
    one = labelled(labels, set_name="nab", warm_up=60)
    scores = np.where(np.arange(400) == 205, 2.0, 0.1)
    files = [nab_scores(one, scores, np.array([205])), nab_scores(one, scores[::-1].copy(), np.array([90]))]
    outcomes = [measured(f"f{n}", 0.5, set_name="nab", nab=file) for n, file in enumerate(files)]
    (summary,) = summarise(evaluation(*outcomes))
    whole = [file for file in files if file is not None]
    for profile in PROFILES:
        expected = nab_score([file.file for file in whole], [[265], [150]], profile)
        assert summary.figures[OURS][f"nab_{profile.name}_alerts"].value == pytest.approx(expected)
        assert summary.figures[OURS][f"nab_{profile.name}_swept"].value >= expected
    silent = [measured("f", 0.5, set_name="nab", method="EWMA", nab=nab_scores(one, scores, None))]
    (summary,) = summarise(evaluation(*silent))
    assert [name for name in summary.figures["EWMA"] if name.endswith("_alerts")] == []


def test_tables_leave_out_what_nobody_has() -> None:
    alerts = Alerts(counts(), days=10.0, period_s=2.0)
    values = {"vus_pr": 0.5, "auc_pr": 0.25, "clean_distance": 0.125, "prefix_equal": 1.0}
    table = set_table(
        summarise(evaluation(measured("a", 0.5, alerts=alerts, values=values), measured("a", 0.25, method="PCA")))[0]
    )
    ranking, events, budget, speed = table.tables
    assert ranking.header == ("ranking", "VUS-PR", "AUC-PR")
    assert ranking.rows == ((OURS, "0.500", "0.250"), ("PCA", "0.250", "-"))
    assert events.header == ("events", "found of 4", "rows late", "time late", "precision", "recall", "F1")
    assert events.rows == ((OURS, "2", "4", "8\u202fs", "0.67", "0.50", "0.57"),)
    assert budget.rows == ((OURS, "3", "1", "0.1", "x0.5", "100 %", "0 %", "5 %"),)
    assert speed.rows == ((OURS, "0.12", "3,000"), ("PCA", "-", "3,000"))
    assert table.remarks == ()


def test_scores_that_rest_on_later_rows_are_told_of() -> None:
    cheating = measured("a", 0.5, values={"vus_pr": 0.9, "prefix_equal": 0.0})
    (remark,) = set_table(summarise(evaluation(cheating))[0]).remarks
    assert remark.startswith("streamlstm: SCORES OF A PREFIX DIFFER")


def test_an_unlabelled_set_has_alerts_and_no_events() -> None:
    alerts = Alerts(counts(events=0, found=0, delays=()), days=10.0, period_s=300.0)
    values = {"vus_pr": math.nan, "auc_pr": math.nan, "clean_distance": 0.1, "prefix_equal": 1.0}
    table = set_table(summarise(evaluation(measured("a", 0.5, events=0, alerts=alerts, values=values)))[0])
    assert [part.header[0] for part in table.tables] == ["alerts", "calibration, speed"]
    assert table.summary.startswith("1 series, 1,000 rows judged, 0 events")
