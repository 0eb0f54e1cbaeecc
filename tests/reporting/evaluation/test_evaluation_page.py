"""The page of an evaluation: well formed, self-contained, with the worst of each set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation.labelled_data import labelled, scored
from reporting.parsed_page import Page

from streamlstm.errors import DataError
from streamlstm.evaluation.excerpts import Excerpt, excerpts
from streamlstm.reporting.evaluation.page import render_evaluation, write_evaluation_page
from streamlstm.reporting.evaluation.report import EvaluationReport, SetTable, Table


def found(name: str, badness: float, *, kind: str = "miss") -> Excerpt:
    """An excerpt of 180 rows, of a miss at row 320 or a false alarm at 220."""
    labels = np.zeros(500, np.bool_)
    labels[300:340] = True
    score = np.linspace(0, 2, 500)
    score[250] = np.nan
    miss, alarm = excerpts(labelled(labels, period_s=60.0), scored(score, (200, 240)), tolerance=5)
    return replace(miss if kind == "miss" else alarm, series=name, badness=badness)


def report(*shown: Excerpt) -> EvaluationReport:
    table = Table(("ranking", "VUS-PR"), (("streamlstm", "0.512"), ("<b>ewma</b>", "-")))
    sets = (
        SetTable("pumps", "3 series", (table,), ("streamlstm: SCORES OF A PREFIX DIFFER",)),
        SetTable("fans", "1 series", ()),
    )
    return EvaluationReport("sets & more", ("data: 1 seed.",), sets, shown)


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    shown = report(found("a<1>", 0.5), found("b", 0.1, kind="false alarm"))
    text = render_evaluation(shown)
    page = Page(text)
    assert "src=" not in text and "http" not in text.replace("http://www.w3.org", "")
    for words in ("data: 1 seed.", "0.512", "<b>ewma</b>", "SCORES OF A PREFIX DIFFER", "a<1>", "fans"):
        assert words in page.text
    assert "sets & more \u00b7 evaluation" in page.text
    assert render_evaluation(shown) == text


def test_a_miss_and_a_false_alarm_say_what_they_are() -> None:
    page = Page(render_evaluation(report(found("a", 0.5), found("b", 0.5, kind="false alarm"))))
    assert "An event from row 320, 40 min, without an alert: the score reaches 1.36, and 50 % of" in page.text
    assert "An alert from row 220, 40 min, away from every label: the score reaches 0.958." in page.text
    assert page.text.index("The worst misses") < page.text.index("The worst false alarms")
    assert page.text.count("pressure bar") == 2


def test_without_a_clock_spans_are_rows() -> None:
    page = Page(render_evaluation(report(replace(found("a", 0.5), period_s=0.0))))
    assert "An event from row 320, 40 rows, without an alert" in page.text and "rows from the start" in page.text


def test_the_four_worst_of_each_kind_are_shown_the_worst_first() -> None:
    misses = [found(f"stream{n}", n / 10) for n in (3, 9, 1, 5, 7)]
    other = replace(found("elsewhere", 0.9), set_name="fans")
    page = Page(render_evaluation(report(*misses, other)))
    places = [page.text.index(f"stream{n}") for n in (9, 7, 5, 3)]
    assert places == sorted(places) and "stream1" not in page.text
    assert page.text.index("elsewhere") > page.text.index("fans")


def test_scores_out_of_sight_are_cut_off_and_long_excerpts_drawn_with_few_points() -> None:
    one = found("a", 0.5)
    assert "cut off" not in render_evaluation(report(one))
    high = replace(one, score=np.where(np.arange(len(one.score)) == 90, 1e6, one.score))
    assert "above 10 it is cut off" in Page(render_evaluation(report(high))).text
    rng = np.random.default_rng(1)
    long = replace(
        one,
        values=rng.normal(size=(5000, 2)).astype(np.float32),
        expected=np.full((5000, 2), np.nan, np.float32),
        score=rng.random(5000),
        labels=np.zeros(5000, np.bool_),
        under_alert=np.zeros(5000, np.bool_),
    )
    assert len(render_evaluation(report(long))) < 60_000


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    write_evaluation_page(tmp_path / "index.html", report())
    assert (tmp_path / "index.html").read_text().startswith("<!doctype html>")
    with pytest.raises(DataError, match=r"page .*nowhere.index\.html: cannot be written"):
        write_evaluation_page(tmp_path / "nowhere" / "index.html", report())
