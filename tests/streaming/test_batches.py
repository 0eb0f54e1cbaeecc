"""What comes of records does not depend on how they were batched, nor on restarts in between: whatever they hold."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_model, tiny_series

from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.streaming.decoding.json_fast import JsonDecoder
from streamlstm.streaming.pipeline import PartitionPipeline, PipelineOptions
from streamlstm.streaming.routing import ModelRoute, Router
from streamlstm.types import GapPolicy, Output, Record, TopicPartition

PLACE = TopicPartition("telemetry", 3)
START_MS = 1_780_000_000_000
ROWS = 180
SWITCH = 400
"""Offset of the first record after the switch to other models; each of the four pumps has had 80 to 90 samples."""
OPTIONS = PipelineOptions(gaps=GapPolicy(reset_after_ms=15_000, forget_after_ms=20_000), max_streams=5)


def sample(stream_id: str, row: float, values: Any) -> dict[str, Any]:
    return {"stream_id": stream_id, "ts": f"{np.datetime64(START_MS + int(1000 * row), 'ms')}Z", "values": values}


def named(row: Any) -> dict[str, float]:
    return {"flow": round(float(row[0]), 3), "pressure": round(float(row[1]), 3)}


@dataclass(frozen=True, repr=False)
class Scene:
    """Records, and the routes before and after the switch."""

    came: list[Record]
    before: list[ModelRoute]
    after: list[ModelRoute]


def records() -> list[Record]:
    """Return records of every shape: four pumps in two routes, visitors for which there is no room, and what is bad."""
    series = [tiny_series(100 + number, ROWS) for number in range(4)]
    series[2][90:94] += np.array([15, -0.8], np.float32)
    series[0][120:123] += np.array([-15, 0.8], np.float32)
    values: list[Any] = []
    for row in range(ROWS):
        pumps = [sample(f"hall/pump{number}", row, named(series[number][row])) for number in range(4)]
        first, second, third, fourth = pumps
        if row % 7 == 3:
            first["values"] = dict(reversed(first["values"].items()))
        if row % 11 == 5:
            second["values"] = second["values"] | {"smell": 1.0, "noise": None}
        if row % 13 == 4:
            third["values"] = {"smell": 1.0, **third["values"]}
        if row % 5 == 1:
            fourth["values"] = list(fourth["values"].values())
        if row % 17 == 6:
            first["values"]["flow"] = None
        if row % 19 == 9:
            second["quality"] = "bad"
        if row % 23 == 8:
            fourth["values"] = [1.0, 2.0, 3.0]
        if 60 <= row < 77:  # a gap of pump3
            fourth = sample("cellar/pump", row, {})
        if row % 6 == 2:
            values += [[first, second, sample("cellar/pump", row, {}), third] if row % 4 else [first, second, third]]
            values += [fourth]
        elif row % 6 == 5:
            values += [first, second, [third, fourth | {"ts": "soon"}, fourth]]
        else:
            values += [first, second, third, fourth]
        if row % 9 == 0:
            frame = sample(f"hall/visitor{row}", row, {"flow": [50.0, 51.0], "pressure": [3.0, None]})
            values += [frame | {"ts": [sample("", row + part / 2, {})["ts"] for part in (0, 1)]}]
        if row % 12 == 7:
            values += [[sample(f"hall/guest{row}", row, [50.0, 3.0]), sample(f"hall/guest{row + 1}", row, {"x": 1.0})]]
        if row % 29 == 10:
            values += [b"{", None, b"[]", sample("hall/pump1", row - 2, {"flow": 1.0}), sample("", row, {})]
            values += [sample("hall/pump3", row + 90_000, {"flow": 1.0}), sample("hall/visitor0", row - 40, {})]
    return [
        Record("telemetry", 3, n, b"key", v if v is None or isinstance(v, bytes) else json.dumps(v).encode(), START_MS)
        for n, v in enumerate(values)
    ]


@pytest.fixture(scope="module")
def scene(tiny_bundle: ModelBundle) -> Scene:
    """At the switch one route's model begins anew, and the other's goes on with the states there are."""
    alone, other = replace(tiny_bundle, name="alone"), tiny_model(weights=32, hidden=40, data=7, version=2)
    before, after = (alone, tiny_bundle), (replace(alone, version=2), other)
    patterns = ("hall/pump0", "hall/*")
    return Scene(
        records(), *([ModelRoute.of(*pair) for pair in zip(patterns, own, strict=True)] for own in (before, after))
    )


def processed(scene: Scene, cuts: set[int], *, restart: bool) -> tuple[list[Output], Counter[str]]:
    """Process records in batches that end at the cuts, and at the switch; save and restore the state at each."""
    router = Router(scene.before)
    running, outputs = PartitionPipeline(PLACE, router, JsonDecoder(), OPTIONS), list[Output]()
    for begin, end in pairwise(sorted({0, SWITCH, len(scene.came), *(c for c in cuts if c < len(scene.came))})):
        if begin == SWITCH:
            for number, route in enumerate(scene.after):
                router.switch_model(number, route.model)
            running.switch_models()
        if restart:
            state, running = running.export_state(), PartitionPipeline(PLACE, router, JsonDecoder(), OPTIONS)
            running.import_state(state)
        outputs += running.process(scene.came[begin:end]).outputs
    return outputs, running.counts


def test_the_records_meet_what_can_happen(scene: Scene) -> None:
    outputs, counts = processed(scene, set(), restart=False)
    reasons = Counter(dict(o.headers)["slstm.reason"].decode() for o in outputs if o.topic.endswith("dlq"))
    assert set(reasons) == {
        "malformed_json",
        "empty",
        "bad_timestamp",
        "missing_stream_id",
        "timestamp_ahead",
        "no_model",
        "unknown_channel",
        "too_many_streams",
    }
    assert {f"dead_letters_{reason}": count for reason, count in reasons.items()}.items() <= counts.items()
    assert counts["records"] == len(scene.came) and counts["streams_released"] > 5
    for status in ("ready", "warming", "imputed", "gap", "late"):
        assert counts[f"samples_{status}"] > 0, status
    scores = [json.loads(o.value or b"") for o in outputs if o.topic.endswith("scores")]
    assert {s["model"] for s in scores if s["source"][2] < SWITCH} == {"alone@1", "tiny@1"}
    later = {(s["stream_id"] == "hall/pump0", s["model"]) for s in scores if s["source"][2] >= SWITCH}
    assert later == {(True, "alone@2"), (False, "tiny@1"), (False, "tiny@2")}
    alerts = [json.loads(o.value or b"") for o in outputs if o.topic.endswith("alerts")]
    assert {a["stream_id"] for a in alerts} >= {"hall/pump0", "hall/pump2"}
    assert counts["alerts_open"] == sum(a["revision"] == 1 for a in alerts)
    assert counts["alerts_resolved"] == sum(a["state"] == "resolved" for a in alerts) > 0


def test_outputs_come_in_the_order_of_samples(scene: Scene) -> None:
    """A sample's score, then its alert; a record's dead letter after all of them."""
    outputs, _ = processed(scene, set(), restart=False)
    ranks: list[tuple[int, int]] = []
    seen: dict[int, list[str]] = {}
    for output in outputs:
        if output.topic.endswith("dlq"):
            ranks.append((int(dict(output.headers)["slstm.offset"]), 1))
        elif output.topic.endswith("scores"):
            score = json.loads(output.value or b"")
            ranks.append((score["source"][2], 0))
            seen.setdefault(score["source"][2], []).append(score["stream_id"])
            last = score
        else:
            alert = json.loads(output.value or b"")
            assert alert["stream_id"] == last["stream_id"]
            assert last["ts"] in (alert["detected_at"], alert["resolved_at"]) or alert["revision"] > 1
    assert ranks == sorted(ranks)
    for offset, streams in seen.items():
        held = json.loads(scene.came[offset].value or b"")
        in_record = [one["stream_id"] for one in (held if isinstance(held, list) else [held])]
        assert [s for s in dict.fromkeys(in_record) if s in streams] == list(dict.fromkeys(streams))


def test_record_by_record_is_as_all_at_once(scene: Scene) -> None:
    whole, counts = processed(scene, set(), restart=False)
    alone, its_counts = processed(scene, set(range(len(scene.came))), restart=False)
    assert alone == whole
    assert its_counts == counts


@settings(max_examples=15)
@given(st.sets(st.integers(0, 700), max_size=12), st.booleans())
def test_outputs_do_not_depend_on_batches_or_restarts(scene: Scene, cuts: set[int], restart: bool) -> None:
    assert processed(scene, cuts, restart=restart) == processed(scene, set(), restart=False)


def test_a_batch_in_which_an_alert_opens_must_be_committed_at_once(scene: Scene) -> None:
    running, opened = PartitionPipeline(PLACE, Router(scene.before), JsonDecoder(), OPTIONS), list[bool]()
    for record in scene.came:
        done = running.process([record])
        alerts = [json.loads(output.value or b"") for output in done.outputs if output.topic.endswith("alerts")]
        opened += [alert["revision"] == 1 for alert in alerts]
        assert done.must_commit == any(alert["revision"] == 1 for alert in alerts)
    assert any(opened) and not all(opened)
