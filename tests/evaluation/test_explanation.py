"""A window explained: every number in it is the one that a plain replay has."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_models import TINY_CHANNELS, tiny_model, tiny_series

from streamlstm.evaluation.explanation import Explanation, Window, explain
from streamlstm.evaluation.recording import Recording
from streamlstm.evaluation.replay import put_settled, replay
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.recordings.labels import Span
from streamlstm.recordings.series import StreamSamples
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.detector import Detector

ROWS, FAULT = 5000, slice(4400, 4440)
WINDOWS = (Window(4300, 4500, 4420), Window(0, 60, 59), Window(4090, 4110, 4096))


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return tiny_model(prototypes=24)


def a_recording() -> Recording:
    values = tiny_series(9, ROWS)
    values[FAULT, 1] += 1.2
    return Recording.of_stream(StreamSamples("mill/3", values, np.arange(ROWS, dtype=np.int64) * 1000))


@pytest.fixture(scope="module")
def explained(bundle: ModelBundle) -> list[Explanation]:
    labels = [Span("mill/3", 4_400_000, 4_440_000), Span("mill/3", 0, 10), Span("other", 4_400_000, 4_440_000)]
    return explain(
        Detector(bundle, settled=True), a_recording(), WINDOWS, policy=AlertPolicy(), labels=labels, has_gates=True
    )


def column(name: str, bundle: ModelBundle) -> NDArray[np.float64]:
    chunks = replay(Detector(bundle), a_recording(), alerts=AlertPolicy())
    return np.concatenate([getattr(chunk.scores, name) for chunk in chunks])


@pytest.mark.parametrize("name", ["score", "p_value", "status", "expected", "contribution"])
def test_scores_are_those_of_a_plain_replay(name: str, bundle: ModelBundle, explained: list[Explanation]) -> None:
    whole = column(name, bundle)
    for window, found in zip(WINDOWS, explained, strict=True):
        assert np.array_equal(getattr(found, name), whole[window.begin : window.end], equal_nan=name != "status")


def test_verdicts_are_those_of_a_plain_replay(bundle: ModelBundle, explained: list[Explanation]) -> None:
    whole, detector = np.full(ROWS, np.nan), Detector(bundle, settled=True)
    for chunk in replay(detector, a_recording(), alerts=AlertPolicy()):
        put_settled(chunk.scores, whole)
    for window, found in zip(WINDOWS, explained, strict=True):
        assert np.array_equal(found.settled, whole[window.begin : window.end], equal_nan=True)
    assert np.isfinite(explained[0].settled).all(), "the replay goes on until the last row is settled"
    [without] = explain(Detector(bundle), a_recording(), [Window(4300, 4500, 4420)], policy=AlertPolicy())
    assert np.isnan(without.settled).all() and np.array_equal(without.score, explained[0].score)


def test_what_was_asked_about(bundle: ModelBundle, explained: list[Explanation]) -> None:
    found = explained[0]
    assert (found.stream_id, found.channels, found.units) == ("mill/3", TINY_CHANNELS, ("l/min", "bar"))
    assert found.event_time_ms[found.at] == 4_420_000 and found.at == 120
    assert found.labels == (Span("mill/3", 4_400_000, 4_440_000),)
    assert explained[1].labels == (Span("mill/3", 0, 10),)
    scales = bundle.calibration.branches["network_residuals"]["scales"][1]
    assert found.usual == pytest.approx(scales * bundle.standardizer.scale)


def test_the_alert_that_was_open(explained: list[Explanation]) -> None:
    found = explained[0]
    [alert] = [one for one in found.open_alerts if one.kind == "residual"]
    assert alert.channels[0].name == "pressure" and alert.state == "resolved"
    assert alert in found.alerts and explained[1].alerts == () and explained[1].open_alerts == []


def test_branches_share_what_was_said(explained: list[Explanation]) -> None:
    found = explained[0]
    shares = found.share_of_branches()
    assert shares.shape == (200, 2) and found.said.shape == (200, 14)
    assert shares[found.at].sum() == pytest.approx(1)
    of_first = found.said[found.at, :12].sum() / found.said[found.at].sum()
    assert shares[found.at, 0] == pytest.approx(of_first) and 0.1 < of_first < 0.9


def test_gates_are_those_of_the_window_wherever_it_begins(bundle: ModelBundle, explained: list[Explanation]) -> None:
    [alone] = explain(Detector(bundle), a_recording(), [Window(0, 4110, 4100)], policy=AlertPolicy(), has_gates=True)
    part = explained[2].gates[0]
    assert part.gates["forget"].shape == (20, 24)
    for name, gate in alone.gates[0].gates.items():
        assert part.gates[name] == pytest.approx(gate[4090:], abs=2e-5), name
    assert explained[1].gates[0].outputs == pytest.approx(alone.gates[0].outputs[:60], abs=2e-5)


def test_gates_that_nobody_asked_for_are_not_traced(bundle: ModelBundle) -> None:
    [found] = explain(Detector(bundle), a_recording(), [Window(0, 90, 80)], policy=AlertPolicy())
    assert found.gates == ()
