"""One partition's pipeline: outputs in the samples' order whatever the batches, dead letters that name their place."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_series

from streamlstm.errors import SnapshotError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.patterns import glob_to_regex
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.delays import Delay
from streamlstm.scoring.detector import Detector
from streamlstm.streaming import record_batch
from streamlstm.streaming.decoding.json_fast import JsonDecoder
from streamlstm.streaming.pipeline import PartitionPipeline, PipelineOptions, ScoresPublished
from streamlstm.streaming.routing import NO_ROUTE, ModelRoute, Router
from streamlstm.types import GapPolicy, Output, Record, Scores, TopicPartition

PLACE = TopicPartition("telemetry", 3)


def records(telemetry: list[tuple[bytes, bytes]]) -> list[Record]:
    return [Record("telemetry", 3, 1000 + n, key, value) for n, (key, value) in enumerate(telemetry)]


def pipeline(bundle: ModelBundle, **options: object) -> PartitionPipeline:
    """Two models: one for pump 0 alone, one for the rest of the hall."""
    alone = replace(bundle, name="alone")
    routes = [ModelRoute.of("hall/pump0", alone), ModelRoute.of("hall/*", bundle)]
    return PartitionPipeline(PLACE, Router(routes), JsonDecoder(), PipelineOptions(**options))  # type: ignore[arg-type]


def by_topic(outputs: list[Output]) -> dict[str, list[Output]]:
    topics: dict[str, list[Output]] = {"scores": [], "alerts": [], "dlq": []}
    for output in outputs:
        topics[output.topic.removeprefix("streamlstm.")].append(output)
    return topics


def sample(stream_id: str, ts: int, **values: float) -> bytes:
    return json.dumps({"stream_id": stream_id, "ts": str(np.datetime64(ts, "ms")) + "Z", "values": values}).encode()


@settings(max_examples=12)
@given(st.sets(st.integers(1, 1200), max_size=10), st.booleans())
def test_outputs_do_not_depend_on_batches_or_restarts(
    tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]], cuts: set[int], restart: bool
) -> None:
    came = records(telemetry)
    whole = pipeline(tiny_bundle).process(came).outputs
    running, parts = pipeline(tiny_bundle), []
    for begin, end in pairwise(sorted({0, len(came), *(c for c in cuts if c < len(came))})):
        parts += running.process(came[begin:end]).outputs
        if restart:
            state, running = running.export_state(), pipeline(tiny_bundle)
            running.import_state(state)
    assert parts == whole
    sources = [json.loads(output.value or b"")["source"][2] for output in by_topic(whole)["scores"]]
    assert sources == sorted(sources)


def test_a_score_record_holds_what_the_contract_says(
    tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]]
) -> None:
    score = json.loads(by_topic(pipeline(tiny_bundle).process(records(telemetry)).outputs)["scores"][-1].value or b"")
    assert list(score) == [
        "schema",
        "stream_id",
        "ts",
        "score",
        "p_value",
        "status",
        "expected",
        "contribution",
        "model",
        "source",
    ]
    assert score["schema"] == "streamlstm.score/1"
    assert score["model"] == "tiny@1"
    assert score["source"] == ["telemetry", 3, 1000 + len(telemetry) - 1]
    assert score["ts"].endswith("Z") and set(score["expected"]) == {"flow", "pressure"}


def test_the_faulty_pump_is_alerted_on_and_the_alert_resolves(
    tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]]
) -> None:
    alerts = [
        json.loads(o.value or b"")
        for o in by_topic(pipeline(tiny_bundle).process(records(telemetry)).outputs)["alerts"]
    ]
    mine = [alert for alert in alerts if alert["stream_id"] == "hall/pump2"]
    assert mine[0]["state"] == "open"
    assert [alert["revision"] for alert in mine] == list(range(1, len(mine) + 1))
    assert len({alert["alert_id"] for alert in mine}) == 1
    assert mine[0]["channels"][0]["name"] in ("flow", "pressure")
    assert all(alert["schema"] == "streamlstm.alert/1" for alert in alerts)


BAD = {
    "malformed_json": b'{"stream_id": "hall/pump1", ',
    "wrong_type": b'{"stream_id": "hall/pump1", "ts": "2026-05-28T20:30:00Z", "values": {"flow": "fast"}}',
    "missing_stream_id": b'{"ts": "2026-05-28T20:30:00Z", "values": {"flow": 1.0}}',
    "bad_timestamp": b'{"stream_id": "hall/pump1", "ts": "9999-01-01T00:00:00Z", "values": {"flow": 1.0}}',
    "no_model": b'{"stream_id": "cellar/pump1", "ts": "2026-05-28T20:30:00Z", "values": {"flow": 1.0}}',
    "empty": None,
    "oversized": b" " * 1_000_001,
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_record_goes_to_the_dead_letters_and_its_neighbours_are_scored(
    tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]], reason: str
) -> None:
    good = [pair for pair in telemetry if pair[1].startswith(b'{"stream_id"')][:200]
    clean = by_topic(pipeline(tiny_bundle).process(records(good)).outputs)
    bad = Record("telemetry", 3, 1099, b"the key", BAD[reason])
    came = records(good)
    came[99] = bad
    running = pipeline(tiny_bundle)
    found = by_topic(running.process(came).outputs)
    (letter,) = found["dlq"]
    headers = dict(letter.headers)
    assert headers["slstm.reason"].decode() == reason
    assert (headers["slstm.topic"], headers["slstm.partition"], headers["slstm.offset"]) == (
        b"telemetry",
        b"3",
        b"1099",
    )
    assert headers["slstm.error"]
    assert letter.key == b"the key"
    assert letter.value == (BAD[reason] if reason != "oversized" else BAD[reason][:900_000])  # type: ignore[index]
    assert running.counts[f"dead_letters_{reason}"] == 1
    assert len(found["scores"]) == len(clean["scores"]) - 1


def test_a_score_that_no_broker_takes_is_a_dead_letter(
    tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = [pair for pair in telemetry if pair[1].startswith(b'{"stream_id"')][:200]
    clean = by_topic(pipeline(tiny_bundle).process(records(good)).outputs)["scores"]
    sizes = [len(output.value or b"") for output in clean]
    most = sorted(sizes)[150]
    monkeypatch.setattr(record_batch, "_MAX_OUTPUT_BYTES", most)
    running = pipeline(tiny_bundle)
    found = by_topic(running.process(records(good)).outputs)
    assert found["scores"] == [output for output, size in zip(clean, sizes, strict=True) if size <= most]
    assert running.counts["dead_letters_oversized"] == len(found["dlq"]) == 200 - len(found["scores"]) > 0
    assert dict(found["dlq"][0].headers)["slstm.error"].startswith(b"Expected a score record of at most")


def test_a_sample_far_ahead_of_its_record_is_dead_lettered_and_the_next_is_not_late(tiny_bundle: ModelBundle) -> None:
    now = 1_780_000_000_000
    ahead = Record("telemetry", 3, 1, None, sample("hall/pump1", now + 90 * 86_400_000, flow=50.0), now)
    timely = Record("telemetry", 3, 2, None, sample("hall/pump1", now + 1000, flow=50.0, pressure=3.0), now)
    found = by_topic(pipeline(tiny_bundle).process([ahead, timely]).outputs)
    (letter,) = found["dlq"]
    assert dict(letter.headers)["slstm.reason"] == b"timestamp_ahead" and letter.value == ahead.value
    assert [json.loads(o.value or b"")["status"] for o in found["scores"]] == ["warming"]


def test_known_channels_are_scored_beside_unknown_ones(tiny_bundle: ModelBundle) -> None:
    odd = Record("telemetry", 3, 7, None, sample("hall/pump1", 1_780_000_000_000, flow=50.0, pressure=3.0, smell=1.0))
    found = by_topic(pipeline(tiny_bundle).process([odd]).outputs)
    assert json.loads(found["scores"][0].value or b"")["status"] == "warming"
    headers = dict(found["dlq"][0].headers)
    assert headers["slstm.reason"] == b"unknown_channel"
    assert b"smell" in headers["slstm.error"]


def test_more_streams_than_there_is_room_for_are_dead_lettered(tiny_bundle: ModelBundle) -> None:
    came = [
        Record("telemetry", 3, n, None, sample(f"hall/p{n % 4}", 1_780_000_000_000 + n, flow=50.0, pressure=3.0))
        for n in range(12)
    ]
    found = by_topic(pipeline(tiny_bundle, max_streams=3).process(came).outputs)
    assert len(found["scores"]) == 9
    assert {dict(o.headers)["slstm.reason"] for o in found["dlq"]} == {b"too_many_streams"}
    assert len(found["dlq"]) == 3


@pytest.mark.parametrize(("mode", "least", "most"), [("off", 0, 0), ("anomalous", 1, 200), ("all", 1200, 1200)])
def test_which_scores_are_published(
    tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]], mode: str, least: int, most: int
) -> None:
    found = by_topic(pipeline(tiny_bundle, scores=ScoresPublished(mode)).process(records(telemetry)).outputs)
    assert least <= len(found["scores"]) <= most
    assert all((json.loads(o.value or b"")["score"] or 0) >= 1 for o in found["scores"]) or mode == "all"


def test_scores_from_the_threshold_on_are_anomalous(tiny_bundle: ModelBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    told = np.array([0.999999, 1.0, 1.5, np.nan])
    real = Detector.score

    def score(detector: Detector, *columns: Any, marks: Any) -> Scores:
        return replace(real(detector, *columns), score=told)

    monkeypatch.setattr(Detector, "score", score)
    now = 1_780_000_000_000
    came = [
        Record("telemetry", 3, n, None, sample("hall/p", now + 1000 * n, flow=50.0, pressure=3.0)) for n in range(4)
    ]
    found = by_topic(pipeline(tiny_bundle, scores=ScoresPublished.ANOMALOUS).process(came).outputs)["scores"]
    assert [json.loads(output.value or b"")["score"] for output in found] == [1.0, 1.5]


@pytest.mark.parametrize(("period_ms", "period_s"), [(None, 1.0), (600_000.0, 600.0)])
def test_the_period_of_the_streams_sets_the_threshold(
    tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]], period_ms: float | None, period_s: float
) -> None:
    came = [record for record in records(telemetry) if record.key == b"hall/pump3"]
    alone = Detector(tiny_bundle, period_s=period_s)
    found = by_topic(pipeline(tiny_bundle, period_ms=period_ms).process(came).outputs)["scores"]
    for output, record in zip(found, came, strict=True):
        told, held = json.loads(output.value or b""), json.loads(record.value or b"")
        time_ms = int(np.datetime64(held["ts"][:-1], "ms").astype(np.int64))
        score = alone.score_one("p", time_ms, held["values"]).score
        assert told["score"] == (None if score is None else round(score, 6))
    assert told["score"] is not None


def test_counts_go_on_after_a_restart(tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]]) -> None:
    whole, before, after = (pipeline(tiny_bundle) for _ in range(3))
    came = records(telemetry)[:400]
    whole.process(came)
    before.process(came[:200])
    after.import_state(before.export_state())
    assert after.counts == before.counts and after.counts["records"] == 200
    after.process(came[200:])
    assert after.counts == whole.counts


def flicker() -> list[Record]:
    """A pump with a fault of ten samples every hundred, in packed frames of fifty."""
    values = tiny_series(7, 2500)
    for start in range(200, 2400, 100):
        values[start : start + 10] += np.array([40, -2], np.float32)
    found = []
    for begin in range(0, len(values), 50):
        rows = values[begin : begin + 50].astype(np.float64).round(3)
        times = [str(np.datetime64(1_780_000_000_000 + 1000 * n, "ms")) + "Z" for n in range(begin, begin + 50)]
        frame = {"flow": rows[:, 0].tolist(), "pressure": rows[:, 1].tolist()}
        value = json.dumps({"stream_id": "hall/pump1", "ts": times, "values": frame}).encode()
        found.append(Record("telemetry", 3, begin, b"hall/pump1", value))
    return found


@pytest.mark.parametrize("outside", [None, "high", "low"])
def test_a_stream_opens_no_more_than_its_budget_over_restarts(tiny_bundle: ModelBundle, outside: Any) -> None:
    policy = AlertPolicy(refractory=Delay(), outside_budget=outside)
    running, outputs = pipeline(tiny_bundle, alerts=policy, gaps=GapPolicy()), list[Output]()
    for record in flicker():
        outputs += running.process([record]).outputs
        state, running = running.export_state(), pipeline(tiny_bundle, alerts=policy)
        running.import_state(state)
    opened = [json.loads(one.value or b"") for one in by_topic(outputs)["alerts"]]
    within = [alert for alert in opened if alert["revision"] == 1 and not alert["outside_budget"]]
    beyond = [alert for alert in opened if alert["revision"] == 1 and alert["outside_budget"]]
    assert 2 <= len(within) <= 6  # of 22 faults in less than an hour
    assert len(beyond) == running.counts["alerts_outside_budget"]
    assert running.counts["alerts_open"] == len(within) + len(beyond)
    least = {"high": 4.0, "low": 1.0}.get(outside, math.inf)
    assert all(alert["peak"]["score"] >= least for alert in beyond)
    assert len(beyond) + running.counts["alerts_held_back"] >= 2
    assert (running.counts["alerts_held_back"] == 0) == (outside == "low")


def test_what_a_stream_owes_outlasts_a_change_of_model(tiny_bundle: ModelBundle) -> None:
    came, options = flicker(), {"alerts": AlertPolicy(refractory=Delay())}
    routes = [ModelRoute.of("hall/*", tiny_bundle)]
    running = PartitionPipeline(PLACE, Router(routes), JsonDecoder(), PipelineOptions(**options))
    running.process(came[:25])
    before = running.counts["alerts_open"]
    router = Router([ModelRoute.of("hall/*", replace(tiny_bundle, version=2))])
    switched = PartitionPipeline(PLACE, router, JsonDecoder(), PipelineOptions(**options))
    switched.import_state(running.export_state())
    assert switched.is_outdated
    switched.switch_models()
    switched.process(came[25:])
    assert before >= 2 and switched.counts["alerts_open"] <= 6


def test_a_broken_snapshot_is_refused_with_a_sentence(
    tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]]
) -> None:
    running = pipeline(tiny_bundle)
    running.process(records(telemetry[:400]))
    payload = running.export_state()
    for broken in (b"", payload[:-3], payload[:100], payload.replace(b"state/4", b"state/9")):
        with pytest.raises(SnapshotError, match=r"expected a whole|this release reads"):
            pipeline(tiny_bundle).import_state(broken)


@pytest.mark.parametrize(
    ("pattern", "stream_id", "matches"),
    [
        ("ward*/**", "ward3/bed7/ecg", True),
        ("ward*/**", "hall/pump", False),
        ("ward*/*", "ward3/bed7/ecg", False),
        ("*/pump?", "hall/pump7", True),
        ("*/pump?", "hall/pump77", False),
        ("a.b", "aXb", False),
        ("**", "anything/at\nall", True),
    ],
)
def test_stream_patterns(pattern: str, stream_id: str, matches: bool) -> None:
    assert bool(glob_to_regex(pattern).fullmatch(stream_id)) == matches


def test_routes_are_found_again_and_not_remembered_without_end(tiny_bundle: ModelBundle) -> None:
    router = Router([ModelRoute.of("a*", tiny_bundle), ModelRoute.of("*b", tiny_bundle)], remembered_streams=3)
    for _ in range(2):
        assert router.routes_of(["ab", "b", "c", "ab"]).tolist() == [0, 1, NO_ROUTE, 0]
    for number in range(50):
        assert router.routes_of([f"a{number}", f"{number}b", "c"]).tolist() == [0, 1, NO_ROUTE]
        assert len(router._known) <= 3 + 3
    assert router.routes_of([]).tolist() == []
