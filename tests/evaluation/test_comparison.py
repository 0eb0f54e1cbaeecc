"""The comparison of two models, against the definition written out."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
from kernels.oracle import run
from numpy.typing import NDArray

from streamlstm.evaluation.comparison import false_alarms, forecast_errors, later_part
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.standardizer import Standardizer
from streamlstm.recordings.series import StreamSamples
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.delays import Delay
from streamlstm.scoring.forward import run_series
from streamlstm.scoring.thresholds import Threshold
from streamlstm.types import GapPolicy

SCALE = np.array([3.0, 0.2], np.float32)


def values(seed: int, rows: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * np.arange(rows) / 40
    flow, pressure = 50 + 8 * np.sin(phase), 3 + 0.4 * np.sin(phase + 1.1)
    noisy = np.stack([flow + rng.normal(0, 0.5, rows), pressure + rng.normal(0, 0.03, rows)], axis=1)
    return noisy.astype(np.float32)


def stream(array: NDArray[np.float32], name: str = "hall/pump1") -> StreamSamples:
    return StreamSamples(name, array, np.arange(len(array), dtype=np.int64) * 1000)


def test_errors_are_those_of_the_definition(tiny_bundle: ModelBundle) -> None:
    array = values(3, 190)
    array[50:60] = np.nan
    array[150:155, 0] = np.nan
    array[160, 1] = 60.0  # counts for 20 scales, not for 285
    bundle = dataclasses.replace(
        tiny_bundle, standardizer=Standardizer(np.array([47.0, 3.3], np.float32), np.array([6.5, 0.3], np.float32))
    )
    errors = forecast_errors(bundle, later_part([stream(array)], 140_000), SCALE)
    mean, scale = bundle.standardizer.mean.astype(float), bundle.standardizer.scale.astype(float)
    x, last = np.zeros((len(array), 2)), np.zeros(2)
    for row, sample in enumerate(array):
        for c in range(2):
            if math.isfinite(sample[c]):
                last[c] = min(max((float(sample[c]) - mean[c]) / scale[c], -20.0), 20.0)
        x[row] = last
    outputs, _ = run(bundle.network.layers, x[:, None], np.zeros((1, 2 * 24)))
    hidden = np.array(outputs)[:, 0]
    head = hidden @ bundle.network.head_weight.astype(float).T + bundle.network.head_bias
    squares: list[list[float]] = [[], []]
    for row in range(140, 190):
        for c in range(2):
            if math.isfinite(array[row, c]):
                forecast = head[row - 1, 2 + c] * scale[c] + mean[c]
                squares[c].append(min(abs(float(array[row, c]) - forecast) / float(SCALE[c]), 20.0) ** 2)
    assert errors.values == sum(map(len, squares)) == 2 * 50 - 5
    assert list(errors.by_channel.values()) == pytest.approx([np.mean(one) for one in squares], rel=1e-4)
    assert errors.mean == pytest.approx(np.mean([np.mean(one) for one in squares]), rel=1e-4)


def test_the_warm_up_is_not_judged_and_series_that_begin_later_give_theirs() -> None:
    early, late = stream(values(1, 3000)), stream(values(2, 500), "hall/pump2")
    late = StreamSamples(late.stream_id, late.values, late.event_time_ms + 2_900_000)
    parts = later_part([early, late, stream(values(1, 200), "hall/short")], 2_800_000)
    assert [(part.samples.stream_id, part.first, len(part.samples.values)) for part in parts] == [
        ("hall/pump1", 1024, 1224),
        ("hall/pump2", 128, 500),
    ]
    assert parts[0].samples.event_time_ms[parts[0].first] == 2_800_000


def test_chunks_do_not_change_the_errors(tiny_bundle: ModelBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = later_part([stream(values(5, 700))], 300_000)
    whole = forecast_errors(tiny_bundle, parts, SCALE)
    monkeypatch.setattr("streamlstm.evaluation.comparison.run_series", partial(run_series, chunk_rows=37))
    in_chunks = forecast_errors(tiny_bundle, parts, SCALE)
    assert in_chunks.values == whole.values == 800
    assert in_chunks.by_channel == pytest.approx(whole.by_channel, rel=1e-9)


def test_alerts_of_the_compared_part_are_counted(tiny_bundle: ModelBundle) -> None:
    array = values(9, 3600)
    array[1900:1930] += np.array([15, -0.8], np.float32)  # before the part
    array[2500:2530] += np.array([15, -0.8], np.float32)
    array[3200:3230] += np.array([-15, 0.8], np.float32)
    parts = later_part([stream(array)], 2_160_000)
    rate = false_alarms(
        tiny_bundle,
        parts,
        threshold=Threshold(20.0),  # so many that none is held back
        policy=AlertPolicy(refractory=Delay(ms=300_000)),
        gaps=GapPolicy(),
        period_s=1.0,
    )
    assert rate == pytest.approx(2 / (1440 / 86_400))
    nothing = false_alarms(tiny_bundle, [], threshold=Threshold(), policy=AlertPolicy(), gaps=GapPolicy(), period_s=1.0)
    assert math.isnan(nothing)
