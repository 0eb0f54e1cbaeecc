"""A route's model changes while its streams run: no sample without a score, one change a stream."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import TINY_CHANNELS, tiny_model, tiny_series

from streamlstm.errors import SnapshotError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.loaded import load_model
from streamlstm.model.bundles.registry import Registry
from streamlstm.scoring.continuation import is_continued_by
from streamlstm.scoring.detector import Detector
from streamlstm.streaming.decoding.json_fast import JsonDecoder
from streamlstm.streaming.pipeline import PartitionPipeline, PipelineOptions
from streamlstm.streaming.routing import ModelRoute, Router
from streamlstm.streaming.state_format import decode_state, encode_state
from streamlstm.types import Output, Record, TopicPartition

PLACE = TopicPartition("telemetry", 0)
SWITCH = 550
"""Offset of the first record after the switch: each of the four streams has had about 137 samples."""


@pytest.fixture(scope="module")
def successors(tiny_bundle: ModelBundle) -> dict[str, ModelBundle]:
    return {
        "tuned": replace(tiny_model(data=1), version=2, training={"start": tiny_bundle.label}),
        "anew": tiny_model(weights=31, version=2),
        "wider": tiny_model(weights=32, hidden=40, data=7, version=2),
        # Of the old model's descent, with a piece of state that the old one does not keep.
        "with_prototypes": replace(tiny_model(prototypes=16), version=2, training={"start": tiny_bundle.label}),
    }


def records(telemetry: list[tuple[bytes, bytes]]) -> list[Record]:
    return [Record("telemetry", 0, n, key, value) for n, (key, value) in enumerate(telemetry)]


def pipeline(router: Router) -> PartitionPipeline:
    return PartitionPipeline(PLACE, router, JsonDecoder(), PipelineOptions())


def router_of(*bundles: ModelBundle) -> Router:
    return Router([ModelRoute.of("hall/*", bundle) for bundle in bundles])


def switched(came: list[Record], *models: tuple[int, ModelBundle]) -> list[Output]:
    """Outputs of one pipeline that goes over to each model at its offset."""
    router = router_of(models[0][1])
    running, outputs = pipeline(router), []
    for (begin, bundle), (end, _) in pairwise([*models, (len(came), models[0][1])]):
        router.switch_model(0, ModelRoute.of("", bundle).model)
        if running.is_outdated:
            assert len(running.switch_models()) == 1
        assert not running.is_outdated
        outputs += running.process(came[begin:end]).outputs
    return outputs


def scores_by_stream(outputs: list[Output]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for output in outputs:
        if output.topic.endswith("scores"):
            score = json.loads(output.value or b"")
            found[score["stream_id"]].append(score)
    return found


def alerts_of(outputs: list[Output]) -> list[dict[str, Any]]:
    return [json.loads(output.value or b"") for output in outputs if output.topic.endswith("alerts")]


@pytest.mark.parametrize("kind", ["tuned", "anew", "wider", "with_prototypes"])
def test_no_sample_is_without_a_score_and_each_stream_goes_over_once(
    tiny_bundle: ModelBundle, successors: dict[str, ModelBundle], telemetry: list[tuple[bytes, bytes]], kind: str
) -> None:
    came, warm_up = records(telemetry), successors[kind].calibration.warm_up
    streams = scores_by_stream(switched(came, (0, tiny_bundle), (SWITCH, successors[kind])))
    assert len(streams) == 4
    for scores in streams.values():
        assert len(scores) == 300
        assert [s["status"] for s in scores[: tiny_bundle.calibration.warm_up]] == ["warming"] * 48
        assert all(s["score"] is not None for s in scores[tiny_bundle.calibration.warm_up :])
        labels = [s["model"] for s in scores]
        first = labels.index("tiny@2")
        assert labels == ["tiny@1"] * first + ["tiny@2"] * (300 - first)
        samples_before = sum(s["source"][2] < SWITCH for s in scores)
        assert first == samples_before + (0 if kind == "tuned" else warm_up)


@pytest.mark.parametrize("kind", ["anew", "wider", "with_prototypes"])
def test_before_a_stream_goes_over_the_old_model_speaks_and_after_it_the_new_one(
    tiny_bundle: ModelBundle, successors: dict[str, ModelBundle], telemetry: list[tuple[bytes, bytes]], kind: str
) -> None:
    came, new = records(telemetry), successors[kind]
    found = scores_by_stream(switched(came, (0, tiny_bundle), (SWITCH, new)))
    unswitched = scores_by_stream(switched(came, (0, tiny_bundle)))
    for stream_id, scores in found.items():
        old = [s for s in scores if s["model"] == "tiny@1"]
        assert old == unswitched[stream_id][: len(old)]
    stream_id = "hall/pump3"  # has no missing value
    values = [json.loads(value)["values"] for key, value in telemetry if key == stream_id.encode()]
    begin = sum(s["source"][2] < SWITCH for s in found[stream_id])
    fresh = Detector(new)
    for row, score in zip(values[begin:], found[stream_id][begin:], strict=True):
        alone = fresh.score_one(stream_id, int(np.datetime64(score["ts"][:-1], "ms").astype(int)), row)
        if score["model"] == "tiny@2":
            assert alone.score is not None
            assert score["expected"] == pytest.approx(alone.expected, rel=1e-5)
            assert score["contribution"] == pytest.approx(alone.contribution, abs=1e-4)


def test_a_stream_s_own_alarm_level_goes_over_with_it(
    tiny_bundle: ModelBundle, successors: dict[str, ModelBundle], telemetry: list[tuple[bytes, bytes]]
) -> None:
    old, new = Detector(tiny_bundle), Detector(successors["wider"])
    rows = np.array([[50.0, 3.0], [51.0, np.nan]], np.float32)
    old.score(["b", "a"], [5, 7], rows)
    old.states.levels[:2], old.states.excesses[:2] = (11.0, 12.0), (2.0, 3.0)
    assert not new.take_over(old)
    slots = new.states.slots_of(["a", "b"])
    assert new.states.levels[slots].tolist() == [12.0, 11.0]
    assert new.states.excesses[slots].tolist() == [3.0, 2.0]
    assert new.states.last_time[slots].tolist() == [7, 5]
    assert not new.states.ages[slots].any()
    units = new.bundle.standardizer
    in_units = new.states.last[slots] * units.scale + units.mean
    assert in_units[1] == pytest.approx([50.0, 3.0], rel=1e-5)
    assert in_units[0] == pytest.approx([51.0, tiny_bundle.standardizer.mean[1]], rel=1e-5)


def test_states_go_on_under_equal_or_fine_tuned_weights_only(
    tiny_bundle: ModelBundle, successors: dict[str, ModelBundle]
) -> None:
    renamed = replace(tiny_bundle, name="other", version=9)
    tuned = replace(successors["anew"], standardizer=tiny_bundle.standardizer, training={"start": "tiny@1"})
    of_another = replace(tuned, training={"start": "tiny@3"})
    other_units = replace(renamed, standardizer=replace(tiny_bundle.standardizer, mean=np.ones(2, np.float32)))
    assert is_continued_by(tiny_bundle, renamed)
    assert is_continued_by(tiny_bundle, tuned) and is_continued_by(tuned, tiny_bundle)
    for other in (of_another, other_units, successors["anew"], successors["wider"]):
        assert not is_continued_by(tiny_bundle, other)


@settings(max_examples=12)
@given(
    st.sampled_from(["tuned", "anew", "wider", "with_prototypes"]),
    st.sets(st.integers(SWITCH + 1, 1200), max_size=8),
    st.booleans(),
)
def test_outputs_across_a_switch_do_not_depend_on_batches_or_restarts(
    tiny_bundle: ModelBundle,
    successors: dict[str, ModelBundle],
    telemetry: list[tuple[bytes, bytes]],
    kind: str,
    cuts: set[int],
    restart: bool,
) -> None:
    came, new = records(telemetry), successors[kind]
    whole = switched(came, (0, tiny_bundle), (SWITCH, new))
    router = router_of(tiny_bundle)
    running = pipeline(router)
    parts = running.process(came[:SWITCH]).outputs
    router.switch_model(0, ModelRoute.of("", new).model)
    running.switch_models()
    for begin, end in pairwise(sorted({SWITCH, len(came), *(c for c in cuts if c < len(came))})):
        if restart:  # the newest model is in force, and an older one is to be found in the snapshot
            state, running = running.export_state(), pipeline(router_of(new))
            running.import_state(state)
            assert not running.is_outdated
        parts += running.process(came[begin:end]).outputs
    assert parts == whole


def test_a_model_that_comes_while_streams_are_still_going_over(
    tiny_bundle: ModelBundle, successors: dict[str, ModelBundle], telemetry: list[tuple[bytes, bytes]]
) -> None:
    came, third = records(telemetry), replace(tiny_model(weights=77, hidden=12), version=3)
    models = ((0, tiny_bundle), (SWITCH, successors["wider"]), (SWITCH + 60, third))
    for scores in scores_by_stream(switched(came, *models)).values():
        assert all(s["score"] is not None for s in scores[48:])
        labels = list(dict.fromkeys(s["model"] for s in scores))
        assert labels == ["tiny@1", "tiny@3"]
    models = ((0, tiny_bundle), (300, successors["wider"]), (SWITCH, third))
    for scores in scores_by_stream(switched(came, *models)).values():
        assert all(s["score"] is not None for s in scores[48:])
        labels = list(dict.fromkeys(s["model"] for s in scores))
        assert labels == ["tiny@1", "tiny@2", "tiny@3"]


def test_a_draining_model_is_dropped_when_no_stream_needs_it(
    tiny_bundle: ModelBundle, successors: dict[str, ModelBundle], telemetry: list[tuple[bytes, bytes]]
) -> None:
    came, router = records(telemetry), router_of(tiny_bundle)
    running = pipeline(router)
    running.process(came[:SWITCH])
    router.switch_model(0, ModelRoute.of("", successors["wider"]).model)
    running.switch_models()
    (streams,) = running._routes
    assert streams.draining == {"tiny@1": 4}
    sizes = [len(running.export_state())]
    running.process(came[SWITCH:])
    assert streams.draining == {}
    sizes.append(len(running.export_state()))
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("kind", ["tuned", "wider"])
def test_an_alert_that_is_open_at_the_switch_is_resolved_once_under_its_own_name(
    tiny_bundle: ModelBundle, successors: dict[str, ModelBundle], kind: str
) -> None:
    values = tiny_series(102, 600)
    values[200:215] += np.array([15, -0.8], np.float32)
    times = np.datetime64("2026-05-28T20:00:00") + np.arange(600)
    samples = [{"stream_id": "hall/p", "ts": f"{times[row]}Z", "values": values[row].tolist()} for row in range(600)]
    came = [Record("telemetry", 0, row, None, json.dumps(sample).encode()) for row, sample in enumerate(samples)]
    (opened,) = (a for a in alerts_of(switched(came, (0, tiny_bundle))) if a["revision"] == 1)
    begin = next(n for n, record in enumerate(came) if opened["detected_at"][:19].encode() in (record.value or b"")) + 1
    for end in (begin, begin + 10, begin + 40):
        alerts = alerts_of(switched(came, (0, tiny_bundle), (end, successors[kind])))
        assert alerts[0] == opened
        assert {a["alert_id"] for a in alerts} == {opened["alert_id"]}
        assert [a["revision"] for a in alerts] == list(range(1, len(alerts) + 1))
        assert [a["state"] for a in alerts] == ["open"] * (len(alerts) - 1) + ["resolved"]
        assert {a["model"] for a in alerts} == {"tiny@1"}


def test_under_other_channels_streams_warm_up_again_and_the_sentence_says_so(
    tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]]
) -> None:
    came, router = records(telemetry), router_of(tiny_bundle)
    running = pipeline(router)
    running.process(came[:SWITCH])
    router.switch_model(0, ModelRoute.of("", replace(tiny_bundle, version=2, channels=("flow", "level"))).model)
    (sentence,) = running.switch_models()
    assert "4 streams warm up again: its channels are flow, level, not flow, pressure" in sentence
    scores = scores_by_stream(running.process(came[SWITCH:]).outputs)["hall/pump3"]
    assert {s["status"] for s in scores[:48]} == {"warming"} and set(scores[0]["expected"]) == {"flow", "level"}
    assert TINY_CHANNELS == ("flow", "pressure")


def test_a_version_of_a_registry_is_found_by_its_digest_and_a_missing_one_is_named(
    tmp_path: Path, tiny_bundle: ModelBundle, successors: dict[str, ModelBundle], telemetry: list[tuple[bytes, bytes]]
) -> None:
    registry, came = Registry(tmp_path), records(telemetry)
    registry.promote("tiny", registry.publish("tiny", tiny_bundle))
    champion = tmp_path / "tiny" / "champion"

    def running() -> PartitionPipeline:
        model = load_model(champion)
        return pipeline(Router([ModelRoute("hall/*", model)]))

    before = running()
    outputs = before.process(came[:SWITCH]).outputs
    state = before.export_state()
    assert len(state) < len(load_model(champion).raw) + 20_000  # the version stays in the registry: named, not copied
    registry.promote("tiny", registry.publish("tiny", successors["anew"]))
    after = running()
    after.import_state(state)
    assert after.is_outdated
    assert outputs + after.process(came[SWITCH:]).outputs == switched(came, (0, tiny_bundle))
    (tmp_path / "tiny" / "1.safetensors").unlink()
    with pytest.raises(
        SnapshotError, match=r"written under tiny@1 .* neither .*champion nor one .* put that version back"
    ):
        running().import_state(state)


def test_a_file_that_was_overwritten_travels_with_the_state(
    tmp_path: Path, tiny_bundle: ModelBundle, successors: dict[str, ModelBundle], telemetry: list[tuple[bytes, bytes]]
) -> None:
    file, came = tmp_path / "tiny.safetensors", records(telemetry)
    tiny_bundle.save(file)

    def running() -> PartitionPipeline:
        model = load_model(file)
        return pipeline(Router([ModelRoute("hall/*", model)]))

    before = running()
    outputs = before.process(came[:SWITCH]).outputs
    successors["wider"].save(file)
    after = running()
    after.import_state(before.export_state())
    outputs += after.process(came[SWITCH:700]).outputs
    assert after.is_outdated
    after.switch_models()
    outputs += after.process(came[700:]).outputs
    assert outputs == switched(came, (0, tiny_bundle), (700, successors["wider"]))


def test_a_route_that_the_snapshot_does_not_know_warms_up_and_says_so(
    tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    before = pipeline(router_of(tiny_bundle))
    before.process(records(telemetry)[:100])
    other = pipeline(Router([ModelRoute.of("cellar/*", replace(tiny_bundle, version=2))]))
    with caplog.at_level(logging.WARNING):
        other.import_state(before.export_state())
    assert (
        f"{PLACE.topic}-{PLACE.partition}: the snapshot holds no state of model tiny@2" in caplog.text
        and other.streams == 0
    )


def test_a_new_route_does_not_keep_the_others_from_their_state(
    tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]]
) -> None:
    before = pipeline(router_of(tiny_bundle))
    before.process(records(telemetry)[:100])
    routes = [ModelRoute.of("cellar/*", replace(tiny_bundle, version=2)), ModelRoute.of("hall/*", tiny_bundle)]
    other = pipeline(Router(routes))
    other.import_state(before.export_state())
    assert other.streams == before.streams == 4


def test_a_route_whose_pattern_was_changed_finds_its_state_by_its_model(
    tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]]
) -> None:
    came = records(telemetry)
    before = pipeline(router_of(tiny_bundle))
    outputs = before.process(came[:SWITCH]).outputs
    after = pipeline(Router([ModelRoute.of("**", tiny_bundle)]))
    after.import_state(before.export_state())
    assert outputs + after.process(came[SWITCH:]).outputs == switched(came, (0, tiny_bundle))


def test_an_empty_snapshot_is_nothing_to_warn_of(tiny_bundle: ModelBundle, caplog: pytest.LogCaptureFixture) -> None:
    pipeline(router_of(tiny_bundle)).import_state(encode_state([], {}))
    assert not caplog.messages


def _restored(payload: bytes, *bundles: ModelBundle, **options: Any) -> PartitionPipeline:
    restored = PartitionPipeline(PLACE, router_of(*bundles), JsonDecoder(), PipelineOptions(**options))
    restored.import_state(payload)
    return restored


def test_a_snapshot_of_as_many_streams_as_there_is_room_for_is_restored(
    tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]]
) -> None:
    before = pipeline(router_of(tiny_bundle))
    before.process(records(telemetry)[:100])
    payload = before.export_state()
    assert _restored(payload, tiny_bundle, max_streams=4).streams == 4
    with pytest.raises(SnapshotError, match=r"holds 4 streams, and state\.max_streams is 3; raise it"):
        _restored(payload, tiny_bundle, max_streams=3)


def test_a_snapshot_of_other_bits_is_restored_with_a_warning(
    tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    before = pipeline(router_of(tiny_bundle))
    before.process(records(telemetry)[:100])
    states, counts = decode_state(before.export_state())
    assert _restored(encode_state(states, counts), tiny_bundle).streams == 4 and not caplog.messages
    states[0].isa = "abacus"
    assert _restored(encode_state(states, counts), tiny_bundle).streams == 4
    (message,) = caplog.messages
    assert message.startswith(
        f"tiny@1: the snapshot was written on abacus, and this worker runs on {Detector(tiny_bundle).isa}"
    )


def _two_draining(
    tiny_bundle: ModelBundle, second: ModelBundle, third: ModelBundle, came: list[Record]
) -> PartitionPipeline:
    """Some streams of the first model begin late, so that both older models have streams when the third one comes."""
    router = router_of(tiny_bundle)
    running = pipeline(router)
    running.process([record for record in came[:SWITCH] if record.key in (b"hall/pump0", b"hall/pump1")])
    router.switch_model(0, ModelRoute.of("", second).model)
    running.switch_models()
    # Two streams the first model never saw; of the other two, one has no sample before the next switch.
    running.process([record for record in came[:SWITCH] if record.key in (b"hall/pump2", b"hall/pump3")])
    running.process([record for record in came[SWITCH:700] if record.key == b"hall/pump0"])
    router.switch_model(0, ModelRoute.of("", third).model)
    running.switch_models()
    return running


def test_each_stream_drains_from_the_model_that_scores_it_also_after_a_restart(
    tiny_bundle: ModelBundle, successors: dict[str, ModelBundle], telemetry: list[tuple[bytes, bytes]]
) -> None:
    came, third = records(telemetry), replace(tiny_model(weights=77, hidden=12), version=3)
    running = _two_draining(tiny_bundle, successors["wider"], third, came)
    (streams,) = running._routes
    assert streams.draining == {"tiny@1": 2, "tiny@2": 2}
    restored = _restored(running.export_state(), third)
    assert restored._routes[0].draining == streams.draining
    outputs = running.process(came[700:]).outputs
    assert restored.process(came[700:]).outputs == outputs
    for name, scores in scores_by_stream(outputs).items():
        old = "tiny@1" if name in ("hall/pump0", "hall/pump1") else "tiny@2"
        assert list(dict.fromkeys(score["model"] for score in scores)) == [old, "tiny@3"]
    assert streams.draining == {}


@pytest.mark.parametrize(("stream_id", "label"), [("hall/pump0", "tiny@1"), ("hall/pump2", "tiny@2")])
def test_so_it_does_in_a_batch_without_streams_of_the_other_draining_model(
    tiny_bundle: ModelBundle,
    successors: dict[str, ModelBundle],
    telemetry: list[tuple[bytes, bytes]],
    stream_id: str,
    label: str,
) -> None:
    came, third = records(telemetry), replace(tiny_model(weights=77, hidden=12), version=3)
    running = _two_draining(tiny_bundle, successors["wider"], third, came)
    one = next(record for record in came[700:] if record.key == stream_id.encode())
    ((score,),) = scores_by_stream(running.process([one]).outputs).values()
    assert score["model"] == label and score["score"] is not None


def test_silent_streams_leave_draining_models_too(
    tiny_bundle: ModelBundle, successors: dict[str, ModelBundle], telemetry: list[tuple[bytes, bytes]]
) -> None:
    third = replace(tiny_model(weights=77, hidden=12), version=3)
    (streams,) = _two_draining(tiny_bundle, successors["wider"], third, records(telemetry))._routes
    newest_ms = {
        name: int(old.detector.states.last_time[slot])
        for old in streams._draining
        for name, slot in old.detector.states.slots.items()
    }
    assert newest_ms["hall/pump1"] < newest_ms["hall/pump2"] < newest_ms["hall/pump3"] < newest_ms["hall/pump0"]
    assert streams.release_older_than(newest_ms["hall/pump2"]) == 1
    assert streams.draining == {"tiny@1": 1, "tiny@2": 2}
    assert streams.release_older_than(newest_ms["hall/pump0"]) == 2
    assert streams.draining == {"tiny@1": 1}


def test_a_version_of_a_registry_is_found_where_it_was_when_the_route_s_model_is_in_memory(
    tmp_path: Path, tiny_bundle: ModelBundle, successors: dict[str, ModelBundle], telemetry: list[tuple[bytes, bytes]]
) -> None:
    registry = Registry(tmp_path)
    registry.promote("tiny", registry.publish("tiny", tiny_bundle))
    before = pipeline(Router([ModelRoute("hall/*", load_model(tmp_path / "tiny" / "champion"))]))
    before.process(records(telemetry)[:100])
    assert _restored(before.export_state(), successors["wider"]).streams == 4
