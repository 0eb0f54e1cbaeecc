"""Which channel an alert names: the one at fault, by whichever branch it was that found it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scoring.attribution_simulation import Count, count_named, make_cases
from tiny_models import tiny_model, tiny_series

from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.branches.known import branches_of
from streamlstm.scoring.detector import Detector
from streamlstm.types import GapPolicy, Status


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return tiny_model(prototypes=24)


def times(rows: int) -> NDArray[np.int64]:
    return np.arange(rows, dtype=np.int64) * 1000


def test_faults_of_one_channel_name_it(bundle: ModelBundle) -> None:
    """Of spikes, steps, drifts, noise and cut-outs alike. The full measurement is the simulation's."""
    cases = make_cases(bundle, [tiny_series(11, 4000)], each=6, before=240, fault=60)
    total = sum(count_named(bundle, cases).values(), Count())
    assert total.alerts > 0.7 * total.cases
    assert total.opened >= 0.95 * total.alerts and total.resolved >= 0.95 * total.alerts
    assert total.highest >= 0.95 * total.raised


def test_contributions_are_those_of_the_branches_by_how_much_each_said(bundle: ModelBundle) -> None:
    values = tiny_series(5, 300)
    values[200:206, 1] += 0.9
    ids, found = ["s"] * 300, Detector(bundle)
    scores, said = found.score_by_part(ids, times(300), values)
    forward = Detector(bundle)
    result = forward._forward.run(forward.states, forward.states.slots_of(ids), times(300), values, GapPolicy())
    each = [branch.advance(result, forward.states.pieces).contribution for branch in branches_of(bundle)]
    by_branch = np.stack([said[:, parts].sum(axis=1) for parts in found.branch_parts.values()])
    silent = by_branch.sum(axis=0) == 0
    shares = np.where(silent, [[1.0], [0.0]], by_branch / np.where(silent, 1.0, by_branch.sum(axis=0)))
    expected = sum(share[:, None] * one for share, one in zip(shares, each, strict=True))
    assert scores.contribution == pytest.approx(expected, abs=1e-6)
    assert scores.contribution.sum(axis=1) == pytest.approx(np.ones(300), abs=1e-6)
    assert np.abs(scores.contribution - each[0]).max() > 0.1, "the second branch counts"


def test_scores_by_part_are_the_scores_and_what_made_them(bundle: ModelBundle) -> None:
    values, when = tiny_series(6, 200), times(200)
    values[150, 0] += 3.0
    when[120] = 0  # late
    plain = Detector(bundle).score(["s"] * 200, when, values)
    detector = Detector(bundle)
    scores, said = detector.score_by_part(["s"] * 200, when, values)
    for name in ("score", "p_value", "status", "expected", "contribution"):
        assert np.array_equal(getattr(scores, name), getattr(plain, name), equal_nan=name != "status"), name
    assert said.shape == (200, len(detector.parts)) and detector.parts == tuple(bundle.calibration.tails)
    late = scores.status == Status.LATE
    assert np.isnan(said[late]).all() and np.isfinite(said[~late]).all() and late.sum() == 1
    for k, (part, tail) in enumerate(bundle.calibration.tails.items()):
        assert said[~late, k].max() <= 60 * tail.weight, part
    assert said[150].sum() > 3 * np.median(said[100:119].sum(axis=1))


def test_branches_hold_the_parts_between_them(bundle: ModelBundle) -> None:
    detector = Detector(bundle)
    held = [detector.parts[parts] for parts in detector.branch_parts.values()]
    assert list(detector.branch_parts) == ["network_residuals", "prototypes"]
    assert held[1] == ("prototypes/centred", "prototypes/normalised") and sum(held, ()) == detector.parts
