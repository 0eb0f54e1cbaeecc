"""The page of a whole-window model: the sections that a causal model has, in the words that hold for it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from reporting.reports import waves

from streamlstm.reporting.measurements import measure
from streamlstm.reporting.page import TrainingReport, render_report, write_report
from streamlstm.reporting.worst_windows import find_peaks, trace_windows, window_rows
from streamlstm.scoring.windows.detector import WindowDetector
from streamlstm.training.fit import run_plan
from streamlstm.training.plan import BundleLabels
from streamlstm.training.windows.plan import make_window_plan


@pytest.fixture(scope="module")
def report() -> TrainingReport:
    values = {"a": waves(1, 900, 2), "b": waves(2, 400, 2)}
    values["a"][760:775] += 9  # of the calibration part
    values["a"][100, 0] = values["b"][360, 1] = np.nan
    plan = make_window_plan(
        values, arrangement="bidirectional", window=32, hidden=8, max_updates=60, channels=["flow", "heat"]
    )
    training = run_plan(plan, BundleLabels(period_s=60.0, units=("l", "°C"), name="mill"))
    return TrainingReport(
        bundle=training.bundle,
        history=training.fit.history,
        best_update=training.fit.best_update,
        series=plan.series,
        cuts=plan.cuts,
        choices=plan.choices,
        seconds=1.5,
    )


def test_scores_and_errors_are_those_of_each_part_by_itself(report: TrainingReport) -> None:
    measured = measure(report)
    detector = WindowDetector(report.bundle)  # type: ignore[arg-type]  # the fixture makes a whole-window model
    scale = report.bundle.standardizer.scale
    squares, guesses, count, p_values = np.zeros(2), np.zeros(2), np.zeros(2), []
    for stream_id, values in report.series.items():
        first, second = report.cuts[stream_id]
        assert np.isnan(measured.scores[stream_id][:first]).all()
        for begin, end in ((first, second), (second, len(values))):
            times = np.arange(end - begin) * 60_000
            alone = detector.score([stream_id] * (end - begin), times, values[begin:end])
            np.testing.assert_array_equal(measured.scores[stream_id][begin:end], alone.score)
            if begin == first:
                p_values.append(alone.p_value[np.isfinite(alone.score)])
                continue
            error, deviation = values[begin:end] - alone.expected, values[begin:end] - report.bundle.standardizer.mean
            squares += np.nansum(np.square(error, dtype=np.float64), axis=0)
            guesses += np.nansum(np.square(deviation, dtype=np.float64), axis=0)
            count += np.isfinite(error).sum(axis=0)
    np.testing.assert_array_equal(measured.errors.rows, count)
    for kind in range(2):
        np.testing.assert_allclose(measured.errors.rms[kind], np.sqrt(squares / count), rtol=1e-4)
    np.testing.assert_allclose(measured.errors.guess_rms, np.sqrt(guesses / count), rtol=1e-4)
    np.testing.assert_array_equal(measured.errors.counts.sum(axis=2), np.stack([count, count]))
    np.testing.assert_array_equal(measured.validation.p_values, np.concatenate(p_values))
    assert (measured.errors.half > 4 * scale * report.bundle.calibration.scales).all()


def test_the_worst_window_is_the_fault(report: TrainingReport) -> None:
    measured, rows = measure(report), window_rows(report)
    worst = trace_windows(report, find_peaks(measured.scores, rows=rows, most=3), rows=rows)[0]
    assert worst.stream_id == "a" and 745 <= worst.peak < 790
    assert np.isnan(worst.rebuilt).all()
    place = slice(worst.begin, worst.begin + len(worst.score))
    np.testing.assert_array_equal(worst.score, measured.scores["a"][place])
    np.testing.assert_array_equal(worst.values, report.series["a"][place])
    assert np.isfinite(worst.expected[worst.peak - worst.begin]).all()


def test_the_page_says_nothing_that_holds_for_causal_models_only(report: TrainingReport, tmp_path: Path) -> None:
    page = render_report(report)
    text = re.sub(r"<[^>]+>", " ", page)
    for heading in ("Data", "Training", "Worst windows", "Calibration", "Errors", "Channels", "Settings"):
        assert f"<h2>{heading}</h2>" in page
    for part in (
        "From the samples around each one the network explains",
        "expected from the samples around",
        "Scores are means over the rows around.",
        "mean width, rows",
        "bidirectional",
    ):
        assert part in text, part
    for part in ("one step", "One step", "forecast", "reconstruct", "warm up", "grows older", "nan"):
        assert part not in text, part
    write_report(tmp_path / "page.html", report)
    assert (tmp_path / "page.html").read_text("utf-8") == page == render_report(report)
