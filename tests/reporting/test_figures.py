"""The numbers on the page, against the same computed another way."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from numpy.typing import NDArray
from reporting.reports import make_report, waves
from scipy.stats import poisson

from streamlstm.kernels import advance
from streamlstm.reporting.axes import Axis, covering
from streamlstm.reporting.calibration_section import chance_band
from streamlstm.reporting.channel_figures import describe_channels, outline
from streamlstm.reporting.findings import explained_in_all, find
from streamlstm.reporting.measurements import BINS, measure
from streamlstm.reporting.page import TrainingReport, render_report
from streamlstm.reporting.quantities import duration, number, share
from streamlstm.reporting.worst_windows import find_peaks, trace_windows, window_rows
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.forward import Forward
from streamlstm.scoring.state import StreamStates


@pytest.fixture(scope="module")
def report() -> TrainingReport:
    values = waves(1, 5000, 3)
    values[2000:2040, 1] = np.nan
    values[3300:3330, 0] += 9
    values[4500:4510, 2] -= 15
    return make_report({"mill/1": values, "mill/2": waves(2, 700, 3)}, ("hot", "cold", "warm"))


def one_by_one(report: TrainingReport, stream_id: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Errors of both heads by a loop over rows, each one a call of its own, in the channels' units [2, T, C]."""
    bundle, values = report.bundle, report.series[stream_id].astype(np.float64)
    mean, scale = bundle.standardizer.mean.astype(np.float64), bundle.standardizer.scale.astype(np.float64)
    forward = Forward(bundle.network, bundle.standardizer)
    states = StreamStates(bundle.network.architecture, forward.weights, max_streams=16)
    slot = states.slots_of(["x"])
    errors = np.full((2, *values.shape), np.nan)
    before = np.full(values.shape[1], np.nan)
    last = np.zeros(values.shape[1])
    for t, row in enumerate(values):
        last = np.where(np.isnan(row), last, (row - mean) / scale)
        head = np.empty((1, bundle.network.architecture.head_outputs), np.float32)
        x = last[None].astype(np.float32)
        advance(forward.weights, states.arena, slot, x, np.zeros(1, np.uint8), head)
        c = len(row)
        errors[0, t] = row - (head[0, :c] * scale + mean)
        errors[1, t] = row - before
        before = head[0, c : 2 * c] * scale + mean
    return errors, values


def test_errors_are_those_of_a_loop_over_rows(report: TrainingReport) -> None:
    found = measure(report).errors
    parts, guesses, lasts = [], [], []
    for stream_id in report.series:
        errors, values = one_by_one(report, stream_id)
        start = report.cuts[stream_id][1]
        parts.append(errors[:, start:])
        guesses.append(values[start:] - report.bundle.standardizer.mean)
        lasts.append(values[start:] - values[start - 1 : -1])
    errors = np.concatenate(parts, axis=1)
    np.testing.assert_allclose(found.rms, np.sqrt(np.nanmean(errors**2, axis=1)), rtol=1e-4)
    np.testing.assert_allclose(found.guess_rms, np.sqrt(np.mean(np.concatenate(guesses) ** 2, axis=0)), rtol=1e-4)
    np.testing.assert_allclose(found.last_rms, np.sqrt(np.mean(np.concatenate(lasts) ** 2, axis=0)), rtol=1e-4)
    for kind in range(2):
        for c in range(3):
            edges = np.linspace(-found.half[c], found.half[c], BINS + 1)
            want, _ = np.histogram(errors[kind, :, c], edges)
            assert found.counts[kind, c].sum() == found.rows[c] == errors.shape[1]
            assert np.abs(np.cumsum(found.counts[kind, c]) - np.cumsum(want)).max() <= 2  # float32 at an edge


def test_the_page_names_the_errors_and_what_they_explain(report: TrainingReport) -> None:
    page, measured = render_report(report), measure(report)
    for c in range(3):
        assert number(float(measured.errors.rms[1, c])) in page
    ahead, _ = explained_in_all(measured)
    scale = report.bundle.standardizer.scale
    want = 1 - np.sum((measured.errors.rms[1] / scale) ** 2) / np.sum((measured.errors.guess_rms / scale) ** 2)
    assert ahead == pytest.approx(want, rel=1e-9)
    assert share(ahead) in page


def test_p_values_and_alerts_are_the_detectors(report: TrainingReport) -> None:
    measured = measure(report)
    kept: list[NDArray[np.float64]] = []
    for stream_id, values in report.series.items():
        detector = Detector(report.bundle, max_streams=16)
        times = np.arange(len(values)) * 60_000
        scores = detector.score([stream_id] * len(values), times, values)
        first, second = report.cuts[stream_id]
        kept.append(scores.p_value[first:second])
        np.testing.assert_array_equal(measured.scores[stream_id][first:], scores.score[first:])
        assert np.isnan(measured.scores[stream_id][:first]).all()
    p_values = np.concatenate(kept)
    p_values = p_values[np.isfinite(p_values)]
    for level in (0.5, 0.1, 0.01):
        assert measured.validation.shares(np.array([level]))[0] == np.mean(p_values <= level)
    assert measured.validation.alerts >= 1  # of the fault at 3300, which lies in the validation part
    budget = 0.2 * len(p_values) / 1440
    assert measured.validation.allowed >= 0.99 * budget


def test_what_the_alarm_level_allows_is_the_budget_once_a_stream_is_old() -> None:
    report = make_report({"a": waves(1, 30_000, 1)}, ("one",))
    part = measure(report).calibration
    # 6,000 calibration rows and 24,000 of age: five times that bears a budget of 0.2 a day of 1,440 rows.
    assert part.allowed == pytest.approx(0.2 * len(part.p_values) / 1440, rel=1e-6)


def test_alerts_are_bounded_by_the_budget_and_what_it_holds_back_is_shown() -> None:
    values = waves(1, 9_000, 1)
    for start in range(5450, 7150, 150):  # faults in the validation part, one after the other
        values[start : start + 10] += 40.0
    report = make_report({"a": values}, ("one",))
    part = measure(report).validation
    first, second = report.cuts["a"]
    assert 2 <= part.alerts <= 6 + 0.2 * (second - first) / 1440
    assert part.held_back >= 3
    (row,) = re.findall(r"<tr><td[^>]*>validation</td>.*?</tr>", render_report(report))
    assert [re.sub("<.*?>", "", cell) for cell in row.split("</td>")][-2] == str(part.held_back)


def test_the_worst_windows_hold_the_faults(report: TrainingReport) -> None:
    measured, rows = measure(report), window_rows(report)
    assert rows == 100  # two and a half periods of 40 rows
    peaks = find_peaks(measured.scores, rows=rows, most=6)
    tops = [measured.scores[stream_id][peak] for stream_id, _, peak in peaks]
    assert tops == sorted(tops, reverse=True) and tops[0] == max(np.nanmax(s) for s in measured.scores.values())
    assert {("mill/1", True, False), ("mill/1", False, True)} <= {
        (stream_id, 3300 <= peak < 3360, 4500 <= peak < 4540) for stream_id, _, peak in peaks[:3]
    }
    windows = trace_windows(report, peaks, rows=rows)
    for window, top in zip(windows, tops, strict=True):
        assert window.peak_score == top and len(window.score) == rows
        np.testing.assert_array_equal(
            window.values, report.series[window.stream_id][window.begin : window.begin + rows]
        )
    first = next(w for w in windows if 4500 <= w.peak < 4540)
    assert np.argmax(first.contribution) == 2
    errors, _ = one_by_one(report, "mill/1")
    span = slice(first.begin, first.begin + rows)
    np.testing.assert_allclose(first.values - first.rebuilt, errors[0, span], atol=1e-3)
    np.testing.assert_allclose(first.values - first.expected, errors[1, span], atol=1e-3)


def test_windows_share_less_than_a_quarter() -> None:
    rng = np.random.default_rng(1)
    peaks = find_peaks({"a": rng.random(3000), "b": np.full(50, np.nan), "c": np.zeros(0)}, rows=100, most=20)
    begins = sorted(begin for _, begin, _ in peaks)
    assert len(peaks) == 20 and min(np.diff(begins)) >= 75
    assert all(begin <= peak < begin + 100 for _, begin, peak in peaks)


def test_channels_are_described() -> None:
    values = waves(3, 1000, 2)
    values[600:, 1] += 12
    values[:50, 0] = np.nan
    figures = describe_channels(make_report({"a": values}, ("a", "b")))
    report = make_report({"a": values}, ("a", "b"))
    mean, scale = report.bundle.standardizer.mean, report.bundle.standardizer.scale
    np.testing.assert_allclose(figures.low, np.nanmin(values, axis=0))
    np.testing.assert_allclose(figures.high, np.nanmax(values, axis=0))
    np.testing.assert_allclose(figures.missing, [0.05, 0.0])
    np.testing.assert_allclose(figures.drift, (np.nanmean(values[600:], axis=0) - mean) / scale, rtol=1e-4, atol=1e-4)
    x = (values[600:800] - mean) / scale
    assert figures.guess_losses[0] == pytest.approx(1.0, rel=1e-5)
    assert figures.guess_losses[1] == pytest.approx(float(np.mean(np.square(x))), rel=1e-5)
    texts = [finding.text for finding in find(report, figures, measure(report))]
    assert any(text.startswith("Moved after the training part, in training deviations: b by ") for text in texts)


def test_an_outline_keeps_the_extremes() -> None:
    column = np.random.default_rng(2).normal(size=10_000).astype(np.float32)
    column[777], column[5000:5400] = 40, np.nan
    rows, values = outline(column, 60)
    assert len(rows) <= 120 and np.all(np.diff(rows) > 0)
    assert np.nanmax(values) == 40 and np.nanmin(values) == np.nanmin(column)
    held = np.isfinite(values)
    np.testing.assert_array_equal(values[held], column[rows[held].astype(int)])
    assert (~held).sum() == 2  # the stretches that lie wholly in the gap


def test_the_band_holds_what_chance_gives() -> None:
    claimed, clusters = np.array([0.3, 0.1, 0.02]), 400.0
    low, high = chance_band(claimed, clusters)
    for p, a, b in zip(claimed, low, high, strict=True):
        inside = poisson.cdf(math.floor(b * clusters), p * clusters) - poisson.cdf(
            math.ceil(a * clusters) - 1, p * clusters
        )
        assert 0.93 < inside < 0.99
    assert np.all(low < claimed) and np.all(claimed < high)


@pytest.mark.parametrize(
    ("axis", "most", "ticks"),
    [
        (Axis(0, 1000), 5, [0, 500, 1000]),
        (Axis(-0.13, 0.27), 5, [-0.1, 0, 0.1, 0.2]),
        (Axis(0.07, 0.9, is_log=True), 4, [0.1, 0.2, 0.5]),
        (Axis(1.0, 1e-5, is_log=True), 6, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1]),
        (Axis(1.0, 1e-9, is_log=True), 4, [1e-9, 1e-6, 1e-3, 1]),
        (Axis(3.1, 3.4, is_log=True), 4, [3.1, 3.2, 3.3, 3.4]),
        (Axis(0, 1), 0, []),
    ],
)
def test_ticks_are_round_and_few(axis: Axis, most: int, ticks: list[float]) -> None:
    assert axis.ticks(most) == pytest.approx(ticks)


def test_axes_place_values() -> None:
    np.testing.assert_allclose(Axis(10, 20).place([10, 12.5, 20, np.nan]), [0, 0.25, 1, np.nan])
    np.testing.assert_allclose(Axis(1.0, 1e-4, is_log=True).place([1, 0.01, 0, -1]), [0, 0.5, np.nan, np.nan])
    assert covering([3.0, np.nan, 5.0], include=[0.0]) == Axis(0.0, 5.25)
    assert covering([], is_log=True) == Axis(1.0, 10.0, is_log=True)
    flat = covering([7.0, 7.0])
    assert flat.low < 7 < flat.high


@pytest.mark.parametrize(
    ("text", "came"),
    [
        (number(0.098012), "0.098"),
        (number(-1234.5), "\u22121,234"),
        (number(12_345_678), "1.23e7"),
        (number(0.00012345), "1.23e\u22124"),
        (number(math.nan), "\u2013"),
        (share(0.5), "50\u202f%"),
        (share(0.99999999), "99.99\u202f%"),
        (share(1.0), "100\u202f%"),
        (share(0.000123), "0.012\u202f%"),
        (duration(7200), "2\u202fh"),
        (duration(5400), "90\u202fmin"),
        (duration(1 / 360), "2.78\u202fms"),
        (duration(3 * 86_400), "3\u202fdays"),
    ],
)
def test_numbers_read_well(text: str, came: str) -> None:
    assert text == came
