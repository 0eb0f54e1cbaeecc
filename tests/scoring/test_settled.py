"""Settled verdicts: known one period later, the same bits whatever the batches and restarts, and never in the score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.score_result import SettledScore
from streamlstm.scoring.settled import settled_samples
from streamlstm.types import GapPolicy, Scores

ROWS = 200


def wave(seed: int, rows: int = ROWS) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    values = np.stack([np.sin(t / 6), np.cos(t / 6)], axis=1) + rng.normal(0, 0.05, (rows, 2))
    return (np.array([50.0, 3.0]) + np.array([8.0, 0.4]) * values).astype(np.float32)  # as the model's own streams


def settle(detector: Detector, values: NDArray[np.float32], *, start: int = 0) -> Scores:
    rows = np.arange(start, start + len(values))
    return detector.score(["s"] * len(values), rows * 1000, values, marks=7 * rows)


def verdicts(scores: Scores) -> dict[int, tuple[float, float, int]]:
    """Return settled, score and mark by the time of the sample that they are of."""
    assert scores.settled is not None
    found = scores.settled
    known = np.flatnonzero(~np.isnan(found.settled))
    columns = (found.event_time_ms, found.settled, found.score, found.mark)
    return {int(t): (float(v), float(s), int(m)) for t, v, s, m in zip(*(c[known] for c in columns), strict=True)}


@pytest.mark.parametrize(("period", "samples"), [(0, 64), (3, 8), (20, 20), (300, 128), (400, 128), (1440, 16)])
def test_a_verdict_waits_for_one_period_within_bounds(period: int, samples: int) -> None:
    assert settled_samples(period) == samples


def test_a_verdict_is_the_mean_of_the_scores_of_the_period_from_its_sample_on(tiny_bundle: ModelBundle) -> None:
    values = wave(1)
    values[120:130] *= 1.5
    detector = Detector(tiny_bundle, settled=True)
    scores, length = settle(detector, values), detector.settled_samples
    found = verdicts(scores)
    scored = np.flatnonzero(~np.isnan(scores.score))
    assert list(found) == [1000 * row for row in scored[: len(scored) - length + 1]]
    for row in scored[: len(scored) - length + 1]:
        settled, score, mark = found[1000 * row]
        assert settled == pytest.approx(scores.score[row : row + length].mean(), abs=1e-5)
        assert score == pytest.approx(scores.score[row], abs=1e-5)
        assert mark == 7 * row


def test_scores_are_the_same_to_the_bit_with_and_without_verdicts(tiny_bundle: ModelBundle) -> None:
    values = wave(2)
    values[90] = np.nan
    off, on = Detector(tiny_bundle), Detector(tiny_bundle, settled=True)
    one, other = settle(off, values), settle(on, values)
    assert one.settled is None
    assert one == replace(other, settled=None)
    assert not [name for name in off.states.pieces if name.startswith("settled")]


def test_verdicts_of_a_prefix_are_those_of_the_whole_where_they_are_known(tiny_bundle: ModelBundle) -> None:
    values = wave(3)
    whole = verdicts(settle(Detector(tiny_bundle, settled=True), values))
    part = verdicts(settle(Detector(tiny_bundle, settled=True), values[:150]))
    assert 0 < len(part) < len(whole)
    assert part == {time: whole[time] for time in part}


@settings(max_examples=15)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 100))
def test_verdicts_are_the_same_bits_whatever_the_batches_and_restarts(
    tiny_bundle: ModelBundle, sizes: list[int], seed: int
) -> None:
    values = wave(seed)
    values[140:150] *= 1.4
    values[100] = np.nan
    whole = verdicts(settle(Detector(tiny_bundle, settled=True), values))
    detector, begin, turn, found = Detector(tiny_bundle, settled=True), 0, 0, dict[int, tuple[float, float, int]]()
    while begin < ROWS:
        size = sizes[turn % len(sizes)]
        found |= verdicts(settle(detector, values[begin : begin + size], start=begin))
        begin, turn = begin + size, turn + 1
        if turn % 2:
            arrays = {name: array.copy() for name, array in detector.states.export().items()}
            detector = Detector(tiny_bundle, settled=True)
            detector.states.slots_of(["stranger"])
            detector.states.release(["stranger"])
            detector.states.restore(["s"], arrays)
    assert found == whole


def test_after_a_gap_what_waited_is_never_settled(tiny_bundle: ModelBundle) -> None:
    detector = Detector(tiny_bundle, gaps=GapPolicy(reset_after_ms=60_000), settled=True)
    before = settle(detector, wave(4))
    after = settle(detector, wave(5), start=ROWS + 100)
    last = 1000 * (ROWS - detector.settled_samples)
    assert max(verdicts(before)) == last
    assert min(verdicts(after)) > 1000 * (ROWS + 100)


def test_a_state_without_verdicts_begins_them_and_one_with_them_is_read_without(tiny_bundle: ModelBundle) -> None:
    values = wave(6)
    on, off = Detector(tiny_bundle, settled=True), Detector(tiny_bundle)
    settle(on, values[:120])
    settle(off, values[:120])
    begun, ended = Detector(tiny_bundle, settled=True), Detector(tiny_bundle)
    begun.states.restore(["s"], off.states.export())
    ended.states.restore(["s"], on.states.export())
    one, other = settle(begun, values[120:], start=120), settle(ended, values[120:], start=120)
    assert one.score.tolist() == other.score.tolist() == settle(on, values[120:], start=120).score.tolist()
    assert min(verdicts(one)) == 120_000


def test_verdicts_go_on_under_a_model_that_goes_on_unless_its_period_is_another(tiny_bundle: ModelBundle) -> None:
    values = wave(7)
    for period, goes_on in ((tiny_bundle.period_rows, True), (1440, False)):
        old = Detector(tiny_bundle, settled=True)
        settle(old, values[:150])
        other = replace(tiny_bundle, version=2, training={**tiny_bundle.training, "period_rows": period})
        new = Detector(other, settled=True)
        assert new.take_over(old)
        assert (min(verdicts(settle(new, values[150:], start=150))) < 150_000) is goes_on


def test_one_sample_brings_its_verdict_with_it(tiny_bundle: ModelBundle) -> None:
    values = wave(8)
    detector = Detector(tiny_bundle, settled=True)
    results = [detector.score_one("s", 1000 * row, value) for row, value in enumerate(values)]
    whole = verdicts(settle(Detector(tiny_bundle, settled=True), values))
    assert [one.settled for one in results if one.settled] == [SettledScore(t, v[0]) for t, v in whole.items()]
    assert Detector(tiny_bundle).score_one("s", 0, values[0]).settled is None


def test_marks_are_one_a_row(tiny_bundle: ModelBundle) -> None:
    with pytest.raises(ShapeError, match=r"^marks: expected one for each of the 3 rows, got 2"):
        Detector(tiny_bundle).score(["s"] * 3, np.arange(3), wave(0, 3), marks=np.arange(2))
