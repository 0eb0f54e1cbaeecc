"""The detector: equal to its definition, blind to batches and neighbours, sane on what real streams do."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamlstm.errors import BundleError, ShapeError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.thresholds import Threshold
from streamlstm.training.fit import train
from streamlstm.types import GapPolicy, Scores, Status

_spec = importlib.util.spec_from_file_location("oracle", Path(__file__).with_name("oracle.py"))
assert _spec and _spec.loader
_oracle = importlib.util.module_from_spec(_spec)
sys.modules["oracle"] = _oracle
_spec.loader.exec_module(_oracle)


def wave(seed: int, rows: int) -> NDArray[np.float32]:
    """What `tiny_bundle` was trained on, with another phase and other noise."""
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * (np.arange(rows) / 40 + rng.uniform())
    flow = 50 + 8 * np.sin(phase) + rng.normal(0, 0.5, rows)
    pressure = 3 + 0.4 * np.sin(phase + 1.1) + 0.1 * np.sin(2 * phase) + rng.normal(0, 0.03, rows)
    return np.stack([flow, pressure], axis=1).astype(np.float32)


def times(rows: int, start: int = 0) -> NDArray[np.int64]:
    return (start + np.arange(rows, dtype=np.int64)) * 1000


def score_stream(detector: Detector, values: NDArray[np.float32], stream_id: str = "s", start: int = 0) -> Scores:
    return detector.score([stream_id] * len(values), times(len(values), start), values)


def test_scores_equal_their_definition(tiny_bundle: ModelBundle) -> None:
    values = wave(5, 160)
    values[60, 0] = np.nan
    values[80] = np.nan
    values[100:110, 1] += 0.9
    detector = Detector(tiny_bundle)
    found = score_stream(detector, values)
    stream = _oracle.OracleStream(tiny_bundle, detector.budget_surprise)
    expected = [stream.score([float(v) for v in row]) for row in values]
    warm_up = tiny_bundle.calibration.warm_up
    assert [e is None for e in expected] == [row < warm_up or row == 80 for row in range(160)]
    assert found.score[warm_up:] == pytest.approx(np.array(expected[warm_up:], float), rel=2e-3, abs=1e-4, nan_ok=True)
    assert np.isnan(found.score[:warm_up]).all()
    assert found.status[60] == found.status[80] == Status.IMPUTED
    known = np.log(5 * (tiny_bundle.calibration.rows + np.arange(warm_up, 160)) / tiny_bundle.calibration.cluster_rows)
    alarm = np.where(known > detector.budget_surprise, detector.budget_surprise, np.maximum(known, 4))
    assert found.p_value[warm_up:] == pytest.approx(np.exp(-found.score[warm_up:] * alarm), nan_ok=True)


def test_a_budget_below_the_lowest_alarm_counts_when_enough_is_known(tiny_bundle: ModelBundle) -> None:
    """One calibration row in clusters of 40 bears a surprise of 2 from age 59 on: 5 * 59 / 40 < e^2 < 5 * 60 / 40."""
    calibration = dataclasses.replace(tiny_bundle.calibration, rows=1, cluster_rows=40.0)
    bundle = dataclasses.replace(tiny_bundle, calibration=calibration)
    detector = Detector(bundle, threshold=Threshold(86_400 / 40 * np.exp(-2)))
    assert detector.budget_surprise == pytest.approx(2.0)
    values = wave(5, 120)
    found, stream = score_stream(detector, values), _oracle.OracleStream(bundle, detector.budget_surprise)
    expected = [stream.score([float(v) for v in row]) for row in values]
    warm_up = calibration.warm_up
    assert warm_up < 50
    assert found.score[warm_up:] == pytest.approx(np.array(expected[warm_up:], float), rel=2e-3, abs=1e-4)
    alarm = -np.log(found.p_value) / found.score
    assert alarm[warm_up:59] == pytest.approx(np.full(59 - warm_up, 4.0))
    assert alarm[59:] == pytest.approx(np.full(120 - 59, 2.0))


@settings(max_examples=25)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(0, 1000), st.booleans())
def test_bits_depend_on_the_stream_alone(tiny_bundle: ModelBundle, sizes: list[int], seed: int, restart: bool) -> None:
    """Whatever the batches, neighbours, slots and restarts."""
    rng = np.random.default_rng(seed)
    series = {f"s{i}": wave(seed + i, 120) for i in range(5)}
    series["s1"][50:60] *= 1.3
    series["s2"][70, 1] = np.nan
    alone = {key: score_stream(Detector(tiny_bundle), values, key) for key, values in series.items()}
    order = [key for key in series for _ in range(120)]
    rng.shuffle(order)
    seen = dict.fromkeys(series, 0)
    detector, begin, turn = Detector(tiny_bundle), 0, 0
    detector.states.slots_of(["stranger"])
    while begin < len(order):
        ids = order[begin : begin + sizes[turn % len(sizes)]]
        rows = []
        for key in ids:
            rows.append(seen[key])
            seen[key] += 1
        values = np.array([series[key][row] for key, row in zip(ids, rows, strict=True)])
        scores = detector.score(ids, np.array(rows) * 1000, values)
        for place, (key, row) in enumerate(zip(ids, rows, strict=True)):
            for column in ("score", "p_value", "status", "expected", "contribution"):
                found, want = getattr(scores, column)[place], getattr(alone[key], column)[row]
                assert np.array_equal(found, want, equal_nan=column != "status"), (key, row, column)
        begin, turn = begin + len(ids), turn + 1
        if restart and turn % 3 == 0:
            ids_held, arrays = list(detector.states.slots), detector.states.export()
            detector = Detector(tiny_bundle)
            detector.states.restore(ids_held[::-1], {name: a[::-1].copy() for name, a in arrays.items()})


def test_a_prefix_scores_as_in_the_full_run(tiny_bundle: ModelBundle) -> None:
    values = wave(9, 400)
    whole = score_stream(Detector(tiny_bundle), values)
    part = score_stream(Detector(tiny_bundle), values[:250])
    assert np.array_equal(part.score, whole.score[:250], equal_nan=True)


def test_clean_data_stays_within_the_budget_of_false_alarms(tiny_bundle: ModelBundle) -> None:
    detector = Detector(tiny_bundle, threshold=Threshold(20))
    days = 86_400 * 4
    alarms = 0
    for part in range(8):
        scores = score_stream(detector, wave(77, days // 8), start=part * days // 8)
        above = np.flatnonzero(scores.score >= 1)
        alarms += len(above) and 1 + int((np.diff(above) > 20).sum())
    assert alarms <= 3 * 20 * 4


def test_a_fault_alarms_and_the_score_comes_down_again(tiny_bundle: ModelBundle) -> None:
    values = wave(3, 600)
    values[300] += np.array([4000, 300], np.float32)
    values[450:460, 1] += 1.2
    score = score_stream(Detector(tiny_bundle), values).score
    assert (score[200:300] < 1).all()
    assert score[300] > 2
    assert (score[380:450] < 1).all()
    assert score[452:462].max() > 1.5


def test_contribution_names_the_channel_at_fault(tiny_bundle: ModelBundle) -> None:
    values = wave(4, 300)
    values[250:, 1] += 1.0
    scores = score_stream(Detector(tiny_bundle), values)
    assert scores.contribution[255, 1] > 0.8
    assert scores.contribution[255].sum() == pytest.approx(1)
    assert scores.expected[255, 0] == pytest.approx(values[255, 0], abs=4)


def test_a_lasting_shift_alarms_and_then_becomes_the_new_normal(tiny_bundle: ModelBundle) -> None:
    values = wave(6, 12_000)
    values[1000:, 0] += 6
    score = score_stream(Detector(tiny_bundle), values).score
    assert score[1000:1050].max() > 2
    assert (score[10_000:] >= 1).mean() < 0.02


def test_a_flat_stream_does_not_alarm_until_it_moves() -> None:
    """On a model trained on a constant: expected equals actual is no anomaly, any movement is."""
    moving = wave(1, 2400)[:, 1]
    values = np.stack([np.full(2400, 7.0, np.float32), moving], axis=1)
    bundle = train(values[:2000], max_updates=30)
    live = values[2000:].copy()
    live[300:, 0] = 7.5
    scores = score_stream(Detector(bundle), live)
    assert (scores.score[:300] >= 1).mean() < 0.02
    assert scores.score[300:310].min() > 1
    assert scores.contribution[310, 0] > 0.8


def test_late_and_repeated_samples_are_left_out(tiny_bundle: ModelBundle) -> None:
    values = wave(8, 100)
    clean = score_stream(Detector(tiny_bundle), values)
    ids, when = ["s"] * 103, times(100)
    when = np.concatenate([when[:50], when[[20, 49, 49]], when[50:]])
    mixed = np.concatenate([values[:50], values[[20, 49, 49]] + 5, values[50:]])
    scores = Detector(tiny_bundle).score(ids, when, mixed)
    assert (scores.status[50:53] == Status.LATE).all()
    assert np.isnan(scores.score[50:53]).all()
    assert np.array_equal(np.delete(scores.score, [50, 51, 52]), clean.score, equal_nan=True)


def test_a_gap_starts_the_state_again_and_keeps_the_threshold(tiny_bundle: ModelBundle) -> None:
    values = wave(8, 200)
    when = times(200)
    when[100:] += 3_600_000
    detector = Detector(tiny_bundle, gaps=GapPolicy(reset_after_ms=60_000))
    detector.states.slots_of(["s"])
    detector.states.levels[0] = 9.0
    scores = detector.score(["s"] * 200, when, values)
    fresh = score_stream(Detector(tiny_bundle), values[100:])
    assert scores.status[100] == Status.GAP
    assert np.isnan(scores.score[100])
    assert np.array_equal(scores.expected[100:], fresh.expected)
    assert np.array_equal(np.isnan(scores.score[100:]), np.isnan(fresh.score))
    assert detector.states.levels[0] > 8


def test_a_forgotten_stream_is_as_one_never_seen_released_or_not(tiny_bundle: ModelBundle) -> None:
    values = wave(8, 200)
    gaps = GapPolicy(reset_after_ms=60_000, forget_after_ms=600_000)
    kept, released = Detector(tiny_bundle, gaps=gaps), Detector(tiny_bundle, gaps=gaps)
    fresh = score_stream(Detector(tiny_bundle, gaps=gaps), values[100:])
    for detector in (kept, released):
        score_stream(detector, values[:100] * 1.1)
    assert released.states.release_older_than(10**9) == 1
    for detector in (kept, released):
        scores = score_stream(detector, values[100:], start=10**6)
        assert np.array_equal(scores.score, fresh.score, equal_nan=True)
        assert np.array_equal(scores.status, fresh.status)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e30, -1e30])
def test_poison_leaves_the_state_finite_and_the_stream_recovers(tiny_bundle: ModelBundle, poison: float) -> None:
    values = wave(2, 400)
    values[150:160, 0] = poison
    detector = Detector(tiny_bundle)
    scores = score_stream(detector, values)
    assert all(np.isfinite(a).all() for a in detector.states.export().values())
    assert (scores.score[300:] < 1).all()


def test_score_one_is_the_same_path(tiny_bundle: ModelBundle) -> None:
    values = wave(5, 60)
    columns = score_stream(Detector(tiny_bundle), values)
    detector = Detector(tiny_bundle)
    for row in range(60):
        by_name = {"flow": float(values[row, 0]), "pressure": float(values[row, 1])}
        one = detector.score_one("s", row * 1000, by_name if row % 2 else values[row])
        assert one.status == Status(columns.status[row]).label
        assert (one.score is None) == np.isnan(columns.score[row])
        if one.score is not None:
            assert one.score == columns.score[row]
    assert set(one.contribution) == {"flow", "pressure"}
    with pytest.raises(ShapeError, match=r"expected channels among \['flow', 'pressure'\], got 'temp'"):
        detector.score_one("s", 99_000, {"temp": 1.0})


def test_wrong_shapes_raise_before_any_state_changes(tiny_bundle: ModelBundle) -> None:
    detector = Detector(tiny_bundle)
    with pytest.raises(ShapeError, match=r"expected \[N, 2\]"):
        detector.score(["a"], [0], [[1.0, 2.0, 3.0]])
    with pytest.raises(ShapeError, match="as many stream ids and times"):
        detector.score(["a", "b"], [0], [[1.0, 2.0]])
    assert len(detector.states) == 0


def test_a_million_steps_do_not_drift(tiny_bundle: ModelBundle) -> None:
    """The millionth sample is as likely, and expected to be the same, as in a stream that has just begun."""
    period = wave(21, 40 * 250)
    detector = Detector(tiny_bundle)
    for turn in range(100):
        score_stream(detector, period, start=turn * len(period))
    old = score_stream(detector, period, start=100 * len(period))
    young = Detector(tiny_bundle)
    score_stream(young, period)
    new = score_stream(young, period, start=len(period))
    assert np.median(np.log(old.p_value)) == pytest.approx(np.median(np.log(new.p_value)), rel=0.05)
    assert np.abs(old.expected - new.expected)[1000:].max() < 1e-3


def test_bundle_round_trip_scores_the_same_bits(tiny_bundle: ModelBundle, tmp_path: Path) -> None:
    tiny_bundle.save(tmp_path / "tiny.safetensors")
    loaded = ModelBundle.load(tmp_path / "tiny.safetensors")
    assert loaded.digest == tiny_bundle.digest
    values = wave(5, 120)
    first, second = score_stream(Detector(tiny_bundle), values), score_stream(Detector(loaded), values)
    assert np.array_equal(first.score, second.score, equal_nan=True)


def test_a_missing_bundle_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"none\.safetensors: cannot be read"):
        Detector.load(tmp_path / "none.safetensors")
