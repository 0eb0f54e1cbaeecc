"""Scores as CSV: every line in its order, with its verdict, and none that waits for what cannot come."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest

from streamlstm.cli.score.scores_csv import ScoresCsv
from streamlstm.evaluation.recording import Recording
from streamlstm.evaluation.replay import replay
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.detector import Detector
from streamlstm.types import GapPolicy

GAPS = GapPolicy(reset_after_ms=60_000)


def recording(rows: dict[str, int], *, gap_at: int = 10**9) -> Recording:
    """Streams that take turns, each for as many rows; a gap of five minutes in all of them."""
    rng = np.random.default_rng(0)
    order = [(row, stream) for row in range(max(rows.values())) for stream, count in rows.items() if row < count]
    phase = np.array([row for row, _ in order]) / 40 * 2 * np.pi  # as `tiny_bundle` knows them
    flow = 50 + 8 * np.sin(phase) + rng.normal(0, 0.5, len(order))
    pressure = 3 + 0.4 * np.sin(phase + 1.1) + 0.1 * np.sin(2 * phase) + rng.normal(0, 0.03, len(order))
    values = np.stack([flow, pressure], axis=1).astype(np.float32)
    times = np.array([1000 * row + 300_000 * (row >= gap_at) for row, _ in order], np.int64)
    return Recording("test", [stream for _, stream in order], times, values, np.arange(len(order)))


def written(bundle: ModelBundle, one: Recording, chunk_rows: int) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the lines, and how many were written after each chunk."""
    out, counts = io.StringIO(), []
    table = ScoresCsv(out, one)
    for chunk in replay(Detector(bundle, gaps=GAPS, settled=True), one, alerts=None, chunk_rows=chunk_rows):
        table.write(chunk)
        counts.append(out.getvalue().count("\n") - 1)
    table.close()
    return list(csv.DictReader(io.StringIO(out.getvalue()))), counts


@pytest.mark.parametrize("chunk_rows", [7, 64, 10_000])
def test_every_line_stands_in_its_place_with_its_verdict(tiny_bundle: ModelBundle, chunk_rows: int) -> None:
    one = recording({"a": 200, "b,": 120, "c": 150})
    lines, _ = written(tiny_bundle, one, chunk_rows)
    assert [int(line["row"]) for line in lines] == list(range(len(one)))
    assert [line["stream_id"] for line in lines] == one.stream_ids
    length = Detector(tiny_bundle, settled=True).settled_samples
    for stream in set(one.stream_ids):
        own = [line for line in lines if line["stream_id"] == stream]
        scored = [float(line["score"]) for line in own if line["score"]]
        settled = [line["settled"] for line in own if line["score"]]
        assert all(line["settled"] == "" for line in own if not line["score"])
        assert settled[len(scored) - length + 1 :] == [""] * (length - 1)
        means = [np.mean(scored[row : row + length]) for row in range(len(scored) - length + 1)]
        assert list(map(float, settled[: len(means)])) == pytest.approx(means, abs=1e-4)


def test_lines_wait_no_longer_than_something_can_come(tiny_bundle: ModelBundle) -> None:
    length = Detector(tiny_bundle, settled=True).settled_samples
    one = recording({"a": 900, "b": 100})
    _, counts = written(tiny_bundle, one, 10)
    behind = [10 * (chunk + 1) - count for chunk, count in enumerate(counts)]
    assert counts[-1] >= 0
    assert max(behind) <= 2 * length + 20  # two streams take turns: so many lines are not settled, and one chunk
    one = recording({"a": 900}, gap_at=300)
    _, counts = written(tiny_bundle, one, 10)
    behind = [10 * (chunk + 1) - count for chunk, count in enumerate(counts)]
    warm_up = tiny_bundle.calibration.warm_up
    assert max(behind) <= 2 * length + warm_up + 20  # what a gap leaves unsettled waits for the first verdict after it
