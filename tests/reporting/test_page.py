"""The page as a whole: well formed, self-contained, the same bytes again, and of bounded size whatever the data."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reporting.parsed_page import Page
from reporting.reports import make_report, points, waves

from streamlstm.errors import DataError, ShapeError
from streamlstm.reporting.page import TrainingReport, render_report, write_report


@pytest.fixture(scope="module")
def report() -> TrainingReport:
    return make_report({"mill/1": waves(1, 1500, 3)}, ("hot", "cold", "warm"))


@pytest.fixture(scope="module")
def page(report: TrainingReport) -> str:
    return render_report(report)


def test_every_tag_closes_and_every_picture_is_described(page: str) -> None:
    parsed = Page(page)
    pictures = [attrs for _, attrs in parsed.tags if attrs.get("role") == "img"]
    assert len(pictures) >= 10
    assert all(len(attrs["aria-label"] or "") > 8 for attrs in pictures)
    assert [tag for tag, _ in parsed.tags].count("h1") == 1
    for heading in ("Data", "Training", "Worst windows", "Calibration", "Power", "Errors", "Channels", "Settings"):
        assert f"<h2>{heading}</h2>" in page


def test_nothing_is_fetched_and_nothing_runs(page: str) -> None:
    parsed = Page(page)
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "img", "iframe", "object", "use", "a"}
    assert not re.search(r"https?://|url\(|@import|javascript:", page)
    assert not [name for _, attrs in parsed.tags for name in attrs if name.startswith("on") or name in ("src", "href")]


def test_no_number_is_nan_in_the_drawing(page: str) -> None:
    for tag, attrs in Page(page).tags:
        for name in ("d", "x", "y", "cx", "cy", "width", "height"):
            assert not re.search(r"nan|inf", attrs.get(name) or ""), (tag, attrs)


def test_the_same_training_gives_the_same_bytes(report: TrainingReport, page: str, tmp_path: Path) -> None:
    target = tmp_path / "mill.html"
    write_report(target, report)
    assert target.read_bytes() == page.encode()
    assert list(tmp_path.iterdir()) == [target]


def test_names_cannot_become_markup() -> None:
    names = ("<script>alert(1)</script>", "a\"b' onload=x &amp;", "\x00bell\x07")
    stream = "</title><img src=x>"
    report = make_report({stream: waves(1, 900, 3), "b": waves(2, 900, 3)}, names, command="train '<b>' & more")
    bundle = replace(report.bundle, name="<i>m</i>", units=("<u>", "&", "</svg>"))
    text = render_report(replace(report, bundle=bundle, choices=("<em>",), sources=("<s>.csv",)))
    parsed = Page(text)
    assert not {tag for tag, _ in parsed.tags} & {"script", "img", "u", "em", "s"}
    assert {attrs.get("class", "").split()[0] for tag, attrs in parsed.tags if tag == "i"} == {"mark"}  # none is a name
    assert names[0] in parsed.text and stream in parsed.text and "train '<b>' & more" in parsed.text
    assert "&amp;amp;" in text and "\x00" not in text and "\ufffdbell" in text


def test_lone_surrogates_can_be_written(tmp_path: Path) -> None:
    report = make_report({"\ud800a": waves(1, 600, 1)}, ("one",), sources=("file\udcff.csv",))
    write_report(tmp_path / "r.html", report)
    Page((tmp_path / "r.html").read_text("utf-8"))


def test_a_page_that_cannot_be_written_leaves_the_old_one(report: TrainingReport, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^report .*no/r.html: cannot be written \(No such file"):
        write_report(tmp_path / "no" / "r.html", report)
    folder = tmp_path / "taken"
    folder.mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        write_report(folder, report)
    assert list(tmp_path.iterdir()) == [folder]


def test_what_every_look_noted_is_drawn(report: TrainingReport, page: str) -> None:
    text = Page(page).text
    assert "Learning rate" in text and "Gradient norm" not in text  # nothing of which there is no number
    assert "update 200, epoch 3: training 0.189, validation 0.258" in text
    history = tuple(replace(point, gradient_norm=0.5 + point.update) for point in report.history)
    assert "Gradient norm" in Page(render_report(replace(report, history=history))).text


def test_without_a_validation_loss_it_says_so(report: TrainingReport) -> None:
    history = tuple(replace(point, validation_loss=math.nan) for point in points())
    text = Page(render_report(replace(report, history=history))).text
    assert "No validation loss could be measured" in text
    assert "There was no validation" in Page(render_report(replace(report, history=(), best_update=0))).text


def test_a_constant_and_a_missing_channel() -> None:
    values = waves(4, 900, 4)
    values[:, 1] = 7.0
    values[:, 2] = np.nan
    values[100:500, 3] = np.nan
    text = Page(render_report(make_report({"a": values}, ("moves", "still", "gone", "gaps")))).text
    assert "Constant or never observed, so any change will stand out: still, gone." in text
    assert "Often missing: gone 100 %, gaps 44 %." in text


@pytest.mark.parametrize("rows", [100, 130])
def test_short_series(rows: int) -> None:
    text = Page(render_report(make_report({"a": waves(5, rows, 1)}, ("one",)))).text
    assert f"{rows} rows of 1 stream, 1 channel" in text


def test_without_a_clock(report: TrainingReport) -> None:
    text = Page(render_report(replace(report, bundle=replace(report.bundle, period_s=0.0)))).text
    assert "the sampling period is unknown" in text and "10,000 rows count as a day" in text


def test_many_streams_and_channels_are_summarised() -> None:
    streams = {f"stream-{n:03d}": waves(n, 150 + n, 2) for n in range(200)}
    text = render_report(make_report(streams, ("a", "b"), sources=tuple(f"{n}.csv" for n in range(200))))
    assert "200 streams of 150 to 349 rows; the 12 longest" in text and "and 180 more" in text
    assert "stream-199" in text and "stream-000" not in text
    assert len(text) < 400_000
    wide = render_report(make_report({"a": waves(1, 2000, 130)}, tuple(f"sensor {n}" for n in range(130))))
    assert "The 12 of 130 channels that are explained least" in wide and "The first 100 of 130 channels" in wide
    assert len(wide) < 1_000_000


def test_streams_and_cuts_must_fit(report: TrainingReport) -> None:
    with pytest.raises(ShapeError, match=r"mill/1: expected two cuts between 0 and its 1500 rows, got 900 and 1600"):
        replace(report, cuts={"mill/1": (900, 1600)})
    with pytest.raises(ShapeError, match=r"mill/1: expected values \[T, 3\], got \[1500, 2\]"):
        replace(report, series={"mill/1": waves(1, 1500, 2)})
