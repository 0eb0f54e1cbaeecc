"""A replay gives what the detector and the alert tracker give, whatever its chunks and parts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_models import tiny_series

from streamlstm.errors import DataError
from streamlstm.evaluation.recording import Recording
from streamlstm.evaluation.replay import CHUNK_ROWS, ScoredChunk, replay
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.recordings.series import Series, StreamSamples, make_series
from streamlstm.scoring.alert_tracker import AlertTracker
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.delays import Delay
from streamlstm.scoring.detector import Detector
from streamlstm.types import Position, Scores

COLUMNS = ("score", "p_value", "status", "expected", "contribution")
ALERTS = AlertPolicy(Delay(samples=2), Delay(samples=3), refractory=Delay(ms=5_000))


def two_streams(rows: int = 300) -> list[Series]:
    """Two pumps, whose rows stand in one file by turns; both with faults, the first in a channel order of its own."""
    found = []
    for number, name in enumerate(("hall/a", "hall/b")):
        values = tiny_series(30 + number, rows)
        values[200 + 7 * number : 215] += np.array([15, -0.8], np.float32)
        values[260:263, 1] = np.nan
        channels = ("flow", "pressure") if number else ("pressure", "lid", "flow")
        columns = values if number else np.stack([values[:, 1], values[:, 0] * 9, values[:, 0]], axis=1)
        found.append(
            make_series(
                "hall.csv",
                name,
                values=columns,
                event_time_ms=np.arange(rows, dtype=np.int64) * 1000 + 1_780_000_000_000,
                channels=channels,
                rows=2 * np.arange(rows) + number,
            )
        )
    return found


def recording() -> Recording:
    return Recording.of_series(two_streams(), ("flow", "pressure"), source="hall.csv")


def joined(chunks: Sequence[ScoredChunk]) -> tuple[dict[str, NDArray[np.generic]], list[object], list[int]]:
    """Put chunks together: columns of scores, alerts by row of the recording, and rows at which they opened."""
    scores = {name: np.concatenate([getattr(chunk.scores, name) for chunk in chunks]) for name in COLUMNS}
    alerts = [(chunk.begin + row, alert) for chunk in chunks for row, alert in chunk.alerts]
    return scores, alerts, [row for chunk in chunks for row in chunk.opened]


def definition(bundle: ModelBundle, samples: Recording) -> tuple[Scores, list[object]]:
    """Score everything at once."""
    scores = Detector(bundle).score(samples.stream_ids, samples.event_time_ms, samples.values)
    tracker = AlertTracker.of(bundle, ALERTS, Detector(bundle).openings)
    positions = [Position("hall.csv", 0, row) for row in range(len(samples))]
    alerts = tracker.update(samples.stream_ids, samples.event_time_ms, samples.values, scores, positions)
    return scores, list(alerts)


@settings(max_examples=30)
@example(1, 0)
@example(600, 600)
@example(599, 420)
@given(st.integers(1, 700), st.integers(0, 600))
def test_chunks_and_parts_change_nothing(tiny_bundle: ModelBundle, chunk_rows: int, cut: int) -> None:
    samples = recording()
    want, alerts = definition(tiny_bundle, samples)
    assert len(alerts) >= 3
    whole = list(replay(Detector(tiny_bundle), samples, alerts=ALERTS, chunk_rows=chunk_rows))
    found, found_alerts, opened = joined(whole)
    assert all(np.array_equal(found[name], getattr(want, name), equal_nan=name != "status") for name in COLUMNS)
    assert found_alerts == alerts
    assert opened == [row for row, alert in alerts if alert.state == "open" and alert.revision == 1]
    edges = [*range(0, 600, chunk_rows), 600]
    assert [(chunk.begin, chunk.end) for chunk in whole] == list(pairwise(edges))
    detector = Detector(tiny_bundle)
    parts = [*replay(detector, samples, end=cut, alerts=None, chunk_rows=chunk_rows)]
    assert all(not chunk.alerts for chunk in parts)
    parts += replay(detector, samples, begin=cut, alerts=None, chunk_rows=chunk_rows)
    assert np.array_equal(joined(parts)[0]["score"], want.score, equal_nan=True)
    assert sorted({*edges, cut}) == [0, *(chunk.end for chunk in parts)]


def test_by_itself_a_chunk_is_what_a_detector_scores_at_a_time(tiny_bundle: ModelBundle) -> None:
    values = tiny_series(3, 2 * CHUNK_ROWS + 5)
    samples = Recording.of_stream(StreamSamples("s", values, np.arange(len(values), dtype=np.int64) * 1000))
    chunks = list(replay(Detector(tiny_bundle), samples, begin=7, end=2 * CHUNK_ROWS + 1, alerts=None))
    assert [(c.begin, c.end) for c in chunks] == [(7, 4096), (4096, 8192), (8192, 8193)]
    assert list(replay(Detector(tiny_bundle), samples, begin=9, end=9, alerts=None)) == []
    assert samples.source == "s"
    assert chunks[1].positions[3] == Position("s", 0, 4099)


class MeanOfAll:
    """A scorer whose scores rest on all that it is given."""

    needs_whole_series = True
    openings = None

    def __init__(self, bundle: ModelBundle) -> None:
        self.bundle = bundle

    def score(
        self,
        stream_ids: Sequence[str],
        times: NDArray[np.int64],
        values: NDArray[np.float32],
        *,
        marks: NDArray[np.int64] | None = None,
    ) -> Scores:
        count = len(values)
        score = np.full(count, float(np.nanmean(values)))
        return Scores(score, score, np.zeros(count, np.uint8), values, values)


def test_a_scorer_of_whole_series_is_given_all_rows_at_once(tiny_bundle: ModelBundle) -> None:
    samples = recording()
    (chunk,) = replay(MeanOfAll(tiny_bundle), samples, alerts=ALERTS, chunk_rows=50)
    assert (chunk.begin, chunk.end) == (0, 600)
    assert chunk.scores.score[0] == pytest.approx(float(np.nanmean(samples.values)))
    assert chunk.opened == [2, 3]  # two in a row of each stream, for the mean is far above 1


def test_a_recording_has_the_rows_of_its_file_and_the_channels_of_the_model() -> None:
    first, second = two_streams()
    samples = recording()
    assert samples.stream_ids[:4] == ["hall/a", "hall/b"] * 2
    assert np.array_equal(samples.rows, np.arange(600))
    assert np.array_equal(samples.event_time_ms, np.repeat(first.event_time_ms, 2))
    assert np.array_equal(samples.values[::2], first.values[:, [2, 0]], equal_nan=True)
    assert np.array_equal(samples.values[1::2], second.values, equal_nan=True)
    with_lid = Recording.of_series([first, second], ("lid", "flow"), source="hall.csv")
    assert np.array_equal(with_lid.values[::2], first.values[:, [1, 2]], equal_nan=True)
    assert np.isnan(with_lid.values[1::2, 0]).all()
    with pytest.raises(DataError, match=r"^hall\.csv: expected channels \['lid'\], got \['flow', 'pressure'\]$"):
        Recording.of_series([first, second], ("lid",), source="hall.csv")


def test_rows_keep_the_places_that_they_had_in_their_file() -> None:
    (first, _) = two_streams()
    samples = Recording.of_series([first], first.channels, source="hall.csv")
    assert samples.rows.tolist()[:3] == [0, 2, 4]
    assert len(samples) == 300
