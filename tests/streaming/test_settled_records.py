"""Settled records: one for each scored sample, one period later, whatever the batches and restarts."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming.test_pipeline import pipeline, records

from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.detector import Detector
from streamlstm.streaming.encoders import alert_record, encode
from streamlstm.streaming.pipeline import ScoresPublished
from streamlstm.types import Output

Telemetry = list[tuple[bytes, bytes]]


def of(outputs: list[Output], schema: str) -> list[dict[str, Any]]:
    found = [json.loads(output.value or b"") for output in outputs if output.topic == "streamlstm.scores"]
    return [record for record in found if record["schema"] == schema]


def test_each_verdict_is_of_the_sample_that_its_record_names(tiny_bundle: ModelBundle, telemetry: Telemetry) -> None:
    outputs = pipeline(tiny_bundle, settled=True).process(records(telemetry)).outputs
    settled, scores = of(outputs, "streamlstm.settled/1"), of(outputs, "streamlstm.score/1")
    assert outputs != pipeline(tiny_bundle).process(records(telemetry)).outputs
    assert scores == of(pipeline(tiny_bundle).process(records(telemetry)).outputs, "streamlstm.score/1")
    assert list(settled[0]) == ["schema", "stream_id", "ts", "settled", "model", "source"]
    length = Detector(tiny_bundle, settled=True).settled_samples
    for stream in {score["stream_id"] for score in scores}:
        own = [score for score in scores if score["stream_id"] == stream and score["score"] is not None]
        verdicts = [record for record in settled if record["stream_id"] == stream]
        assert len(verdicts) == max(len(own) - length + 1, 0)
        for place, record in enumerate(verdicts):
            assert (record["ts"], record["source"]) == (own[place]["ts"], own[place]["source"])
            mean = np.mean([score["score"] for score in own[place : place + length]])
            assert record["settled"] == pytest.approx(mean, abs=2e-5)


@settings(max_examples=8)
@given(st.sets(st.integers(1, 1200), max_size=10), st.booleans())
def test_records_do_not_depend_on_batches_or_restarts(
    tiny_bundle: ModelBundle, telemetry: Telemetry, cuts: set[int], restart: bool
) -> None:
    came = records(telemetry)
    whole = pipeline(tiny_bundle, settled=True).process(came).outputs
    running, parts = pipeline(tiny_bundle, settled=True), list[Output]()
    for begin, end in pairwise(sorted({0, len(came), *(c for c in cuts if c < len(came))})):
        parts += running.process(came[begin:end]).outputs
        if restart:
            state, running = running.export_state(), pipeline(tiny_bundle, settled=True)
            running.import_state(state)
    assert parts == whole
    assert of(whole, "streamlstm.settled/1")


def test_verdicts_are_published_where_scores_are(tiny_bundle: ModelBundle, telemetry: Telemetry) -> None:
    came = records(telemetry)
    every = of(pipeline(tiny_bundle, settled=True).process(came).outputs, "streamlstm.settled/1")
    some = pipeline(tiny_bundle, settled=True, scores=ScoresPublished.ANOMALOUS).process(came).outputs
    anomalous = {tuple(score["source"]) for score in of(some, "streamlstm.score/1")}
    assert of(some, "streamlstm.settled/1") == [
        record for record in every if record["settled"] >= 1 or tuple(record["source"]) in anomalous
    ]
    assert 0 < len(of(some, "streamlstm.settled/1")) < len(every)
    assert not of(pipeline(tiny_bundle, settled=True, scores=ScoresPublished.OFF).process(came).outputs, "")


def test_a_snapshot_of_either_kind_goes_on_as_the_other(tiny_bundle: ModelBundle, telemetry: Telemetry) -> None:
    came = records(telemetry)
    half = len(came) // 2
    whole = of(pipeline(tiny_bundle).process(came).outputs, "streamlstm.score/1")
    for before, after in ((False, True), (True, False)):
        first, second = pipeline(tiny_bundle, settled=before), pipeline(tiny_bundle, settled=after)
        outputs = first.process(came[:half]).outputs
        second.import_state(first.export_state())
        outputs += second.process(came[half:]).outputs
        assert of(outputs, "streamlstm.score/1") == whole
        assert of(outputs, "streamlstm.settled/1")


@settings(max_examples=8)
@given(st.sets(st.integers(1, 1200), max_size=10), st.booleans(), st.booleans())
def test_alerts_are_judged_the_same_whatever_the_batches_and_restarts(
    tiny_bundle: ModelBundle, telemetry: Telemetry, cuts: set[int], restart: bool, settled: bool
) -> None:
    came, options = records(telemetry), {"alerts": AlertPolicy(settled=True), "settled": settled}
    running, parts = pipeline(tiny_bundle, **options), list[Output]()
    whole = running.process(came).outputs
    counts, running = +running.counts, pipeline(tiny_bundle, **options)
    for begin, end in pairwise(sorted({0, len(came), *(c for c in cuts if c < len(came))})):
        parts += running.process(came[begin:end]).outputs
        if restart:
            state, running = running.export_state(), pipeline(tiny_bundle, **options)
            running.import_state(state)
    assert parts == whole
    assert +running.counts == counts
    alerts = [json.loads(output.value or b"") for output in whole if output.topic == "streamlstm.alerts"]
    assert counts["alerts_open"] == sum(alert["revision"] == 1 for alert in alerts)
    resolved = {alert["alert_id"] for alert in alerts if alert["state"] == "resolved"}
    assert counts["alerts_resolved"] == len(resolved)
    confirmed = {alert["alert_id"] for alert in alerts if alert.get("settled") == "confirmed"}
    assert counts["alerts_confirmed"] == len(confirmed) > 0
    assert bool(of(whole, "streamlstm.settled/1")) is settled


def test_the_end_of_a_fault_is_a_time_in_the_record(tiny_bundle: ModelBundle, telemetry: Telemetry) -> None:
    tracker = pipeline(tiny_bundle, alerts=AlertPolicy(settled=True))
    tracker.process(records(telemetry)[:1100])
    (alert,) = tracker.open_alerts
    judged = msgspec.structs.replace(alert, settled="confirmed", ended_at=1_780_000_000_250)
    record = json.loads(encode(alert_record(judged)))
    assert (record["settled"], record["ended_at"]) == ("confirmed", "2026-05-28T20:26:40.250Z")


def test_alerts_that_are_not_judged_are_as_they_were(tiny_bundle: ModelBundle, telemetry: Telemetry) -> None:
    outputs = pipeline(tiny_bundle).process(records(telemetry)).outputs
    for output in outputs:
        if output.topic == "streamlstm.alerts":
            assert not {"settled", "ended_at"} & json.loads(output.value or b"").keys()
