"""What the page says of injected faults, for models that have such figures and for those that have none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reporting.parsed_page import Page
from reporting.reports import make_report, waves

from streamlstm.evaluation.power.measuring import measure_power
from streamlstm.reporting.power_section import power_section
from streamlstm.reporting.report import TrainingReport


@pytest.fixture(scope="module")
def report() -> TrainingReport:
    report = make_report({"mill/1": waves(1, 3000, 2)}, ("hot", "cold"))
    power = measure_power(report.bundle, report.series, {"mill/1": 2400})  # type: ignore[arg-type]  # it is causal
    assert power is not None and power.quiet >= 4
    bundle = replace(report.bundle, training=power.within(report.bundle.training))
    return replace(report, bundle=bundle)


def test_a_cell_for_each_kind_and_size_and_a_row_for_each_channel(report: TrainingReport) -> None:
    section = power_section(report)
    page = Page(section)
    cells = [attrs for tag, attrs in page.tags if tag == "rect"]
    assert len(cells) == 4 * 4 + 3 + 4 + 4  # spike, step, drift, noise; smoother; faster; four without sizes
    assert all(0 <= float(attrs["fill-opacity"] or "nan") <= 1 for attrs in cells)
    (picture,) = [attrs for _, attrs in page.tags if attrs.get("role") == "img"]
    assert "a step of 8 usual deviations" in (picture["aria-label"] or "")
    for words in ("Finds ", "names the faulty channel", "hot", "cold", "missing beat", "1/4"):
        assert words in page.text, words


def test_a_model_without_says_so(report: TrainingReport) -> None:
    training = {key: value for key, value in report.bundle.training.items() if key != "power"}
    without = replace(report, bundle=replace(report.bundle, training=training))
    assert "Not measured: it was switched off" in power_section(without)
