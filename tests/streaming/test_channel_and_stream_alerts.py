"""Alerts of kinds flat, missing and silent on their topic: whatever the batches and restarts, and counted apart."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_series

from streamlstm.errors import SnapshotError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.streaming.decoding.json_fast import JsonDecoder
from streamlstm.streaming.pipeline import PartitionPipeline, PipelineOptions
from streamlstm.streaming.routing import ModelRoute, Router
from streamlstm.streaming.state_format import decode_silences, encode_state
from streamlstm.types import GapPolicy, Output, Record, TopicPartition

ROWS = 220


@pytest.fixture(scope="module")
def came() -> list[Record]:
    """Four pumps of two models: one sticks, one loses a channel and then all, one is silent for a while."""
    series = [tiny_series(seed, ROWS) for seed in range(4)]
    series[0][120:160, 0] = series[0][120, 0]
    series[1][100:140, 1] = np.nan
    series[1][110:135] = np.nan
    records = []
    for row in range(ROWS):
        for pump in range(4):
            if pump == 2 and 90 <= row < 130:
                continue
            pair = [None if np.isnan(v) else float(v) for v in series[pump][row]]
            values = dict(zip(("flow", "pressure"), pair, strict=True))
            at = str(np.datetime64(1_767_225_600_000 + 1000 * row, "ms")) + "Z"
            text = json.dumps({"stream_id": f"hall/pump{pump}", "ts": at, "values": values})
            records.append(Record("telemetry", 3, len(records), None, text.encode()))
    return records


def pipeline(bundle: ModelBundle, *, silent_after_ms: int = 10_000) -> PartitionPipeline:
    routes = [ModelRoute.of("hall/pump0", replace(bundle, name="alone")), ModelRoute.of("hall/*", bundle)]
    gaps = GapPolicy(forget_after_ms=3_600_000, silent_after_ms=silent_after_ms)
    return PartitionPipeline(TopicPartition("telemetry", 3), Router(routes), JsonDecoder(), PipelineOptions(gaps=gaps))


def alerts_of(outputs: list[Output]) -> list[dict[str, object]]:
    return [json.loads(output.value or b"") for output in outputs if output.topic.endswith("alerts")]


def test_each_kind_is_told_and_counted(tiny_bundle: ModelBundle, came: list[Record]) -> None:
    running = pipeline(tiny_bundle)
    alerts = [a for a in alerts_of(running.process(came).outputs) if a["kind"] != "residual"]
    opened = {(a["kind"], a["stream_id"], a["model"]) for a in alerts if a["revision"] == 1}
    assert opened == {
        ("flat", "hall/pump0", "alone@1"),
        ("missing", "hall/pump1", "tiny@1"),
        ("silent", "hall/pump2", "tiny@1"),
    }
    assert {a["kind"] for a in alerts if a["state"] == "resolved"} == {"flat", "missing", "silent"}
    assert [running.counts[f"alerts_{kind}"] for kind in ("flat", "missing", "silent")] == [1, 1, 1]
    (silent, _) = [a for a in alerts if a["kind"] == "silent"]
    assert silent["started_at"] == "2026-01-01T00:01:29.000Z" and silent["detected_at"] == "2026-01-01T00:01:39.000Z"
    without = pipeline(tiny_bundle, silent_after_ms=0).process(came).outputs
    assert {a["kind"] for a in alerts_of(without)} - {"residual"} == {"flat", "missing"}


@settings(max_examples=10, deadline=None)
@given(st.sets(st.integers(1, 4 * ROWS), max_size=8), st.booleans())
def test_outputs_do_not_depend_on_batches_or_restarts(
    tiny_bundle: ModelBundle, came: list[Record], cuts: set[int], restart: bool
) -> None:
    whole, parts = pipeline(tiny_bundle), []
    outputs, running = whole.process(came).outputs, pipeline(tiny_bundle)
    for begin, end in pairwise(sorted({0, len(came), *(cut for cut in cuts if cut < len(came))})):
        parts += running.process(came[begin:end]).outputs
        if restart:
            state, running = running.export_state(), pipeline(tiny_bundle)
            running.import_state(state)
    assert parts == outputs and Counter(running.counts) == Counter(whole.counts)


def test_a_snapshot_without_silences_is_read_and_a_wrong_one_refused(
    tiny_bundle: ModelBundle, came: list[Record]
) -> None:
    older = pipeline(tiny_bundle, silent_after_ms=0)
    older.process(came[:300])
    running = pipeline(tiny_bundle)
    running.import_state(older.export_state())
    outputs = running.process(came[300:]).outputs
    assert "silent" in {a["kind"] for a in alerts_of(outputs)}
    payload = encode_state([], {}, None)
    assert decode_silences(payload) is None
    wrong = running.export_state().replace(b'"watermark"', b'"watermork"')
    with pytest.raises(SnapshotError, match="silences"):
        decode_silences(wrong)
