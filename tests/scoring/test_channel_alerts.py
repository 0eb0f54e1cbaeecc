"""Stuck channels and channels without a value: found through the detector, one alert a fault, that ends with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_models import tiny_model, tiny_series

from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.alert_tracker import AlertTracker
from streamlstm.scoring.alerts import Alert, AlertPolicy
from streamlstm.scoring.budget import OpeningBudget
from streamlstm.scoring.channel_runs import fit_runs
from streamlstm.scoring.detector import Detector
from streamlstm.types import GapPolicy, Position

NAN = float("nan")
HANG = (300, 360)
GAPS = GapPolicy(reset_after_ms=60_000)


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return tiny_model()


def alerts_of(
    bundle: ModelBundle,
    values: NDArray[np.float32],
    *,
    cuts: tuple[int, ...] = (),
    times: NDArray[np.int64] | None = None,
    streams: int = 1,
    budget: OpeningBudget | None = None,
    kinds: tuple[str, ...] = ("flat", "missing"),
) -> list[tuple[int, Alert]]:
    """Follow the alerts of rows that streams share in turn; detector and tracker are restored at every cut."""
    times = np.arange(len(values)) * 1000 if times is None else times
    ids = [f"bed{row % streams}" for row in range(len(values))]
    detector, tracker = Detector(bundle, gaps=GAPS), AlertTracker.of(bundle, AlertPolicy(), budget)
    found = []
    for begin, end in pairwise(sorted({0, len(values), *(cut for cut in cuts if cut < len(values))})):
        part = slice(begin, end)
        scores = detector.score(ids[part], times[part], values[part])
        positions = [Position("telemetry", 0, row) for row in range(begin, end)]
        changes = tracker.update(ids[part], times[part], values[part], scores, positions)
        found += [(begin + row, alert) for row, alert in changes if alert.kind in kinds]
        restored = Detector(bundle, gaps=GAPS)
        restored.states.restore(list(detector.states.slots), detector.states.export())
        alerts, state = AlertTracker.of(bundle, AlertPolicy(), budget), tracker.export_state()
        alerts.import_state(state)
        assert alerts.export_state() == state
        detector, tracker = restored, alerts
    return found


def stuck(rows: tuple[int, int] = HANG, channels: tuple[int, ...] = (0,), seed: int = 7) -> NDArray[np.float32]:
    values = tiny_series(seed, 700)
    for channel in channels:
        values[slice(*rows), channel] = values[rows[0], channel]
    return values


def lives_of(found: list[tuple[int, Alert]]) -> list[tuple[int, int, str, str]]:
    return [(row, alert.revision, alert.state, alert.severity) for row, alert in found]


def test_a_stuck_channel_is_named_with_its_value_and_since_when(bundle: ModelBundle) -> None:
    values = stuck()
    found = alerts_of(bundle, values)
    assert lives_of(found) == [
        (315, 1, "open", "low"),
        (331, 2, "open", "medium"),
        (360, 3, "resolved", "medium"),
    ], "16 samples, twice as many, and the first that moves"
    opened, resolved = found[0][1], found[-1][1]
    assert (opened.kind, opened.started_at, opened.detected_at) == ("flat", 300_000, 315_000)
    assert opened.samples == 16 and opened.peak.score == 1.0 and opened.peak.p_value is None
    assert [part.name for part in opened.channels] == ["flow"] and opened.channels[0].contribution == 1.0
    assert opened.channels[0].value == float(f"{values[300, 0]:.6g}")
    assert opened.summary == f"bed0: flow stuck at {values[300, 0]:.4g} l/min, since 1970-01-01T00:05:00Z (16 samples)"
    assert resolved.resolved_at == 360_000 and resolved.alert_id == opened.alert_id


def test_holes_neither_extend_a_run_nor_end_it(bundle: ModelBundle) -> None:
    values = stuck()
    values[305:325:2, 0] = NAN
    assert [row for row, alert in alerts_of(bundle, values) if alert.kind == "flat"] == [325, 341, 360]


def test_a_device_that_hangs_is_one_alert_and_what_sticks_later_another(bundle: ModelBundle) -> None:
    values = stuck(channels=(0, 1))
    found = alerts_of(bundle, values)
    assert [(row, alert.revision) for row, alert in found] == [(315, 1), (331, 2), (360, 3)]
    assert [part.name for part in found[0][1].channels] == ["flow", "pressure"]
    assert "flow stuck at" in found[0][1].summary and "pressure stuck at" in found[0][1].summary
    values = stuck((300, 500))
    values[400:450, 1] = values[400, 1]
    opened = [(row, alert.channels[0].name) for row, alert in alerts_of(bundle, values) if alert.revision == 1]
    assert opened == [(315, "flow"), (415, "pressure")]


def test_a_lead_that_is_off_is_one_alert_until_it_is_back(bundle: ModelBundle) -> None:
    values = tiny_series(7, 700)
    values[300:340] = NAN
    found = alerts_of(bundle, values)
    assert [(row, alert.kind, alert.state) for row, alert in found if alert.revision == 1 or alert.resolved_at] == [
        (315, "missing", "open"),
        (340, "missing", "resolved"),
    ]
    opened = found[0][1]
    assert opened.started_at == 300_000 and [part.value for part in opened.channels] == [None, None]
    assert opened.summary == "bed0: all 2 channels without a value, since 1970-01-01T00:05:00Z (16 samples)"


def test_a_channel_that_comes_back_before_the_others_leaves_their_alert(bundle: ModelBundle) -> None:
    values = tiny_series(7, 700)
    values[300:340, 0] = values[300:320, 1] = NAN
    found = alerts_of(bundle, values)
    named = {row: [part.name for part in alert.channels] for row, alert in found}
    assert named[315] == ["flow", "pressure"] and named[320] == ["flow"] and found[-1][0] == 340
    assert [alert.revision for _, alert in found] == list(range(1, len(found) + 1))


def test_an_alert_ends_where_the_stream_starts_again(bundle: ModelBundle) -> None:
    times = np.arange(700) * 1000
    times[330:] += 3_600_000
    found = alerts_of(bundle, stuck(), times=times)
    rows = [(row, alert.state) for row, alert in found if alert.revision == 1 or alert.resolved_at]
    assert rows == [(315, "open"), (330, "resolved"), (345, "open"), (360, "resolved")]


def test_what_is_clean_is_quiet(bundle: ModelBundle) -> None:
    for seed in range(20):
        assert alerts_of(bundle, tiny_series(seed, 4000)) == []


def test_a_bundle_that_knows_no_runs_has_no_such_alerts(bundle: ModelBundle) -> None:
    older = replace(bundle, calibration=replace(bundle.calibration, runs={}))
    assert alerts_of(older, stuck()) == []
    one = Detector(older).score(["a"] * 700, np.arange(700), stuck())
    assert one.findings is None
    assert replace(Detector(bundle).score(["a"] * 700, np.arange(700), stuck()), findings=None) == one


def test_a_stuck_channel_draws_on_the_same_budget_as_residuals(bundle: ModelBundle) -> None:
    values = np.concatenate([stuck((40 * n, 40 * n + 30))[40 * n : 40 * n + 40] for n in range(12)])
    found = alerts_of(bundle, values, budget=OpeningBudget(10**15), kinds=("flat", "residual"))
    opened = [(row, alert.kind, alert.peak.score) for row, alert in found if alert.revision == 1]
    assert opened[0] == (15, "flat", 1.0) and opened[1][1] == "residual"
    assert opened[2] == (63, "flat", 1.5), "two are owed, so it must last half as long again"
    assert len(opened) <= 6
    assert sum(alert.revision == 1 for _, alert in alerts_of(bundle, values)) == 12


def test_what_is_missing_does_not_count(bundle: ModelBundle) -> None:
    values = tiny_series(7, 12 * 60)
    for n in range(12):
        values[60 * n : 60 * n + 30, 1] = NAN
    found = alerts_of(bundle, values, budget=OpeningBudget(10**15))
    assert sum(alert.revision == 1 for _, alert in found) == 12


def test_bounds_are_three_times_what_training_held_and_ten_times_where_a_channel_rests() -> None:
    values = np.arange(4000, dtype=np.float32)[:, None].repeat(6, axis=1)
    values[100:116, 1] = 7  # rests for 16 samples
    values[:, 2] = np.repeat([1.0, 2.0], 2000)  # a switch
    values[:, 3] = NAN
    values[50:90, 4] = NAN
    values[100:115, 5] = 7
    runs = fit_runs([values, values[:100]], period_s=0.0)
    assert runs.flat_after.tolist() == [16, 160, 0, 0, 16, 45]
    assert runs.missing_after.tolist() == [16, 16, 16, 0, 120, 16]
    fast = fit_runs([values], period_s=0.004)
    assert fast.flat_after.tolist() == [250, 250, 0, 0, 250, 250] and fast.missing_after[0] == 2500


VALUES = st.sampled_from(["moves", "stays", "missing", "all missing"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(VALUES, VALUES, st.integers(1, 40)), min_size=1, max_size=12),
    st.sets(st.integers(0, 300), max_size=6),
    st.sampled_from([None, OpeningBudget(400_000)]),
    st.integers(1, 3),
)
def test_the_laws_of_alerts_hold_in_any_batches(
    bundle: ModelBundle,
    episodes: list[tuple[str, str, int]],
    cuts: set[int],
    budget: OpeningBudget | None,
    streams: int,
) -> None:
    rows = sum(length for *_, length in episodes)
    values, at = tiny_series(rows, rows), 0
    for *both, length in episodes:
        for channel, what in enumerate(both):
            if what == "stays":
                values[at : at + length, channel] = 1.5
            elif what != "moves":
                values[at : at + length, slice(None) if what == "all missing" else channel] = NAN
        at += length
    kinds = ("flat", "missing", "residual")
    whole = alerts_of(bundle, values, budget=budget, streams=streams, kinds=kinds)
    assert alerts_of(bundle, values, cuts=tuple(cuts), budget=budget, streams=streams, kinds=kinds) == whole
    by_id: dict[str, list[Alert]] = {}
    for _, alert in whole:
        by_id.setdefault(alert.alert_id, []).append(alert)
    for revisions in by_id.values():
        assert [one.revision for one in revisions] == list(range(1, len(revisions) + 1))
        assert [one.state for one in revisions[:-1]] == ["open"] * (len(revisions) - 1)
        assert len({(one.kind, one.stream_id, one.started_at, one.detected_at) for one in revisions}) == 1
        assert revisions[0].started_at <= revisions[0].detected_at
    if budget is not None:
        for stream_id in {alert.stream_id for _, alert in whole}:
            bounded = [a for _, a in whole if a.revision == 1 and a.kind != "missing" and a.stream_id == stream_id]
            assert len(bounded) <= rows * 1000 / 400_000 + 6
