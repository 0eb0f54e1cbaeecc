"""Declared channels: what is input only, what counts, and which range is allowed; no declaration changes no bit."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_models import TINY_CHANNELS, tiny_model, tiny_series

from streamlstm.errors import BundleError, UsageError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.channels import ChannelDeclaration, ChannelRules, Limits
from streamlstm.scoring.alert_tracker import AlertTracker
from streamlstm.scoring.alerts import Alert, AlertPolicy
from streamlstm.scoring.budget import OpeningBudget
from streamlstm.scoring.calibration import CalibrationSeries, calibrate
from streamlstm.scoring.detector import Detector
from streamlstm.types import Position, Scores


@pytest.fixture(scope="module")
def plain() -> ModelBundle:
    return tiny_model(prototypes=16)


def declared(bundle: ModelBundle, **channels: ChannelDeclaration) -> ModelBundle:
    """The same network, calibrated again with these declarations."""
    rules = ChannelRules.of(channels, bundle.channels, bundle.standardizer)
    calibration = calibrate(
        bundle.network,
        bundle.standardizer,
        [CalibrationSeries(tiny_series(1, 4000), 2000)],
        period_rows=40,
        rules=rules,
        prototypes=16,
    )
    return replace(bundle, calibration=calibration, declared=channels)


def scored(bundle: ModelBundle, values: NDArray[np.float32]) -> Scores:
    return Detector(bundle).score(["bed7"] * len(values), np.arange(len(values)) * 1000, values)


def with_fault(channel: int, size: float, rows: slice = slice(500, 540)) -> NDArray[np.float32]:
    values = tiny_series(7, 700)
    values[rows, channel] += size
    return values


def highest(bundle: ModelBundle, values: NDArray[np.float32], rows: slice = slice(500, 540)) -> float:
    return float(np.nanmax(scored(bundle, values).score[rows]))


def test_nothing_declared_changes_no_bit(plain: ModelBundle) -> None:
    for same in (replace(plain, declared={"flow": ChannelDeclaration()}), declared(plain)):
        assert same.digest == plain.digest
        assert scored(same, with_fault(0, 9.0)) == scored(plain, with_fault(0, 9.0))


def test_an_input_only_channel_is_not_scored(plain: ModelBundle) -> None:
    bundle = declared(plain, flow=ChannelDeclaration(input_only=True))
    assert highest(plain, with_fault(0, 9.0)) > 2
    values = with_fault(0, 9.0)
    values[500:540, 1] = np.nan  # only the input is left: nothing is scored
    result = scored(bundle, values)
    assert np.isnan(result.score[500:540]).all() and not result.contribution[450:, 0].any()
    assert highest(bundle, with_fault(1, 1.0)) > 2, "the other one still is"
    changed = scored(bundle, with_fault(0, 9.0)).score[499:520]
    assert not np.array_equal(changed, scored(bundle, tiny_series(7, 700)).score[499:520]), "the network sees it"


@pytest.mark.parametrize(("direction", "sign"), [("up", 1), ("down", -1)])
def test_deviations_of_one_direction_count(plain: ModelBundle, direction: str, sign: int) -> None:
    one = ChannelDeclaration(direction=direction)  # type: ignore[arg-type]  # the parameter is a plain str
    bundle = declared(plain, flow=one, pressure=one)
    rows = slice(500, 502)  # afterwards the network's own forecasts move the other way
    assert highest(bundle, with_fault(0, sign * 15.0, rows), slice(500, 501)) >= 1
    assert highest(bundle, with_fault(0, -sign * 15.0, rows), slice(500, 501)) < 1
    assert "prototypes" not in bundle.calibration.branches


def test_deviations_below_the_least_do_not_count(plain: ModelBundle) -> None:
    least = {"flow": ChannelDeclaration(least_deviation=30.0), "pressure": ChannelDeclaration(least_deviation=3.0)}
    bundle = declared(plain, **least)
    assert highest(plain, with_fault(0, 9.0)) > 2
    assert highest(bundle, with_fault(0, 9.0)) < 1
    assert highest(bundle, with_fault(0, 90.0)) > 2


def test_declarations_travel_in_the_bundle(plain: ModelBundle, tmp_path: Path) -> None:
    one = ChannelDeclaration(direction="up", least_deviation=0.5, limits=Limits(low=1, high=9, delay_samples=3))
    bundle = replace(plain, declared={"flow": one})
    bundle.save(tmp_path / "a.safetensors")
    loaded = ModelBundle.load(tmp_path / "a.safetensors")
    assert loaded == bundle and loaded.declared == {"flow": one}
    for wrong in ({"gas": one}, dict.fromkeys(TINY_CHANNELS, ChannelDeclaration(input_only=True))):
        replace(plain, declared=wrong).save(tmp_path / "b.safetensors")
        with pytest.raises(BundleError, match="channels: expected"):
            ModelBundle.load(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"low": 3, "high": 2},
        {"low": 1, "high": 2, "hysteresis": 0.5},
        {"low": float("nan")},
        {"low": 1, "delay_ms": -1},
    ],
)
def test_limits_that_are_no_range_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"^limits: expected"):
        Limits(**limits)  # type: ignore[arg-type]  # delays are whole numbers


def limit_alerts(
    bundle: ModelBundle,
    values: NDArray[np.float32],
    *,
    cuts: set[int] = frozenset(),
    streams: int = 1,  # type: ignore[assignment]
) -> list[tuple[int, Alert]]:
    rows, budget = len(values), OpeningBudget(10**15)
    ids, times = [f"bed{row % streams}" for row in range(rows)], np.arange(rows) * 1000
    scores = Detector(bundle).score(ids, times, values)
    tracker, found = AlertTracker.of(bundle, AlertPolicy(), budget), []
    for begin, end in pairwise(sorted({0, rows, *(cut for cut in cuts if cut < rows)})):
        part = np.arange(begin, end)
        positions = [Position("telemetry", 0, row) for row in range(begin, end)]
        changes = tracker.update(ids[begin:end], times[part], values[part], scores.take(part), positions)
        found += [(begin + row, alert) for row, alert in changes if alert.kind == "limit"]
        state, tracker = tracker.export_state(), AlertTracker.of(bundle, AlertPolicy(), budget)
        tracker.import_state(state)
        assert tracker.export_state() == state
    return found


def limited(bundle: ModelBundle, **limits: Limits) -> ModelBundle:
    return replace(bundle, declared={name: ChannelDeclaration(limits=one) for name, one in limits.items()})


def test_a_limit_waits_for_its_delay_and_resolves_by_its_hysteresis(plain: ModelBundle) -> None:
    bundle = limited(plain, flow=Limits(low=30, high=70, hysteresis=5, delay_samples=3))
    values = np.full((30, 2), 50, np.float32)
    values[3:5, 0] = 80  # too short
    values[10:16, 0] = [29, 28, 27, 26, 31, 34]  # 34 is not yet back inside by the hysteresis
    values[16, 0] = np.nan
    (opened_at, opened), (resolved_at, resolved) = limit_alerts(bundle, values)
    assert (opened_at, resolved_at) == (12, 17) and opened.kind == "limit"
    assert (opened.started_at, opened.detected_at, resolved.resolved_at) == (10_000, 12_000, 17_000)
    assert opened.summary == "bed0: flow 27 l/min, below its limit of 30 l/min, since 1970-01-01T00:00:10Z"
    assert [part.name for part in opened.channels] == ["flow"] and resolved.channels[0].value == 26
    scale = float(plain.standardizer.scale[0])
    assert opened.peak.score == pytest.approx(1 + 3 / scale, abs=1e-5)


def test_limits_are_outside_the_budget_and_each_channel_has_its_own_alert(plain: ModelBundle) -> None:
    bundle = limited(plain, flow=Limits(high=70), pressure=Limits(high=5))
    values = np.full((60, 2), 3, np.float32)
    values[::3] = 100
    found = limit_alerts(bundle, values)
    assert sum(alert.revision == 1 for _, alert in found) == 40
    assert len({alert.alert_id for _, alert in found}) == 40


def test_a_limit_that_is_none_any_more_resolves_its_alert(plain: ModelBundle) -> None:
    values = np.full((6, 2), 100, np.float32)
    tracker = AlertTracker.of(limited(plain, flow=Limits(high=70)), AlertPolicy(), None)
    scores = Detector(plain).score(["a"] * 6, np.arange(6) * 1000, values)
    positions = [Position("telemetry", 0, row) for row in range(6)]
    list(tracker.update(["a"] * 3, np.arange(3) * 1000, values[:3], scores.take(np.arange(3)), positions[:3]))
    after = AlertTracker.of(plain, AlertPolicy(), None)
    after.import_state(tracker.export_state())
    rest = after.update(["a"] * 3, np.arange(3, 6) * 1000, values[3:], scores.take(np.arange(3, 6)), positions[3:])
    assert [(row, alert.state) for row, alert in rest if alert.kind == "limit"] == [(0, "resolved")]
    assert not [alert for alert in after.open_alerts if alert.kind == "limit"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([20.0, 29.0, 31.0, 50.0, 69.0, 71.0, 300.0, float("nan")]), min_size=1, max_size=60),
    st.sets(st.integers(0, 60), max_size=5),
    st.integers(1, 2),
    st.integers(0, 3),
)
def test_the_laws_of_limits_hold_in_any_batches(
    plain: ModelBundle, flow: list[float], cuts: set[int], streams: int, delay: int
) -> None:
    bundle = limited(plain, flow=Limits(low=30, high=70, hysteresis=2, delay_samples=delay))
    values = np.column_stack([flow, np.full(len(flow), 3.0)]).astype(np.float32)
    whole = limit_alerts(bundle, values, streams=streams)
    assert limit_alerts(bundle, values, cuts=cuts, streams=streams) == whole
    by_id: dict[str, list[Alert]] = {}
    for row, alert in whole:
        by_id.setdefault(alert.alert_id, []).append(alert)
        if alert.revision == 1:
            assert not 30 <= flow[row] <= 70
        if alert.state == "resolved":
            assert 32 <= flow[row] <= 68
    for revisions in by_id.values():
        assert [one.revision for one in revisions] == list(range(1, len(revisions) + 1))
        assert [one.state for one in revisions[:-1]] == ["open"] * (len(revisions) - 1)
