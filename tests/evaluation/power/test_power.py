"""The power of a model in its bundle and in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_models import tiny_model

from streamlstm.evaluation.power.power import Found, Power, PowerCell
from streamlstm.evaluation.power.sentences import least_found, power_sentences, span_of
from streamlstm.model.bundles.causal import ModelBundle


def step(size: int, found: int, delay: int | None, *channels: Found) -> PowerCell:
    return PowerCell("step", f"{size}", f"a step of {size} usual deviations", Found(20, found, found, delay), channels)


POWER = Power(
    128,
    6,
    5,
    (
        step(1, 19, 60, Found(10, 10, 10, 60), Found(10, 9, 9, 61)),
        step(2, 10, 20, Found(10, 10, 10, 20), Found(10, 0, 0, None)),
        step(4, 18, 8, Found(10, 10, 10, 8), Found(10, 8, 8, 9)),
        step(8, 20, 1, Found(10, 10, 10, 1), Found(10, 10, 0, 2)),
        PowerCell("stuck", "", "a stuck value", Found(20, 3, 1, 90), (Found(10, 0, 0, None), Found(10, 3, 1, 90))),
        PowerCell("no values", "", "a channel without values", Found()),
    ),
)


def test_a_bundle_keeps_it(tmp_path: Path) -> None:
    model = tiny_model()
    assert Power.of(model.training) is None
    measured = replace(model, training=POWER.within(model.training))
    measured.save(tmp_path / "m.safetensors")
    kept = ModelBundle.load(tmp_path / "m.safetensors")
    assert Power.of(kept.training) == POWER and kept.digest == measured.digest != model.digest


@pytest.mark.parametrize("foreign", [None, 7, {}, {"followed_rows": 1, "places": 2, "quiet": "all", "cells": []}])
def test_what_another_release_measured_in_another_way_is_not_shown(foreign: object) -> None:
    assert Power.of({"power": foreign}) is None


def test_the_least_size_is_one_from_which_on_all_are_found() -> None:
    """One size that is found by luck below one that is not does not count."""
    steps = POWER.of_kind("step")
    assert least_found(steps) == steps[2]
    assert least_found(steps, channel=0) == steps[0] and least_found(steps, channel=1) == steps[3]
    assert least_found(POWER.of_kind("stuck")) is None and least_found(POWER.of_kind("no values")) is None


def test_sentences() -> None:
    assert power_sentences(POWER, period_s=1.0) == [
        "finds a step of 4 usual deviations in 90% of cases, half of them within 8 s",
        "misses a stuck value (15% found)",
    ]
    often = Power(128, 6, 5, (PowerCell("stuck", "", "a stuck value", Found(20, 15, 15, 22)),))
    assert power_sentences(often, period_s=1.0) == ["finds a stuck value in 75% of cases, half of them within 22 s"]
    assert power_sentences(POWER, period_s=0.0)[0].endswith("within 8 samples")


def test_spans() -> None:
    assert [span_of(8, 1.0), span_of(8, 60.0), span_of(90, 1.0), span_of(150, 1.0)] == [
        "8 s",
        "8 min",
        "90 s",
        "2.5 min",
    ]
    assert [span_of(3, 1 / 360), span_of(1, 0.0), span_of(2000, 0.0)] == ["8.33 ms", "1 sample", "2,000 samples"]


def test_how_often_the_right_channel_is_named() -> None:
    assert POWER.named_share == pytest.approx((19 + 10 + 18 + 20 + 1) / (19 + 10 + 18 + 20 + 3))
