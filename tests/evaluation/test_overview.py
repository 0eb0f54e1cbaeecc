"""Long recordings in few numbers: what streams came to, and extremes of stretches."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from tiny_models import tiny_model, tiny_series

from streamlstm.evaluation.overview import Overview, Tally, rows_of_stream
from streamlstm.evaluation.recording import Recording
from streamlstm.evaluation.replay import put_settled, replay
from streamlstm.evaluation.summary import summarise_streams
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.recordings.labels import Span
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.detector import Detector

ROWS, FAULTS = 6000, (1000, 2500, 4100, 5960)


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return tiny_model()


def a_hall(streams: int = 3) -> Recording:
    """Return streams row by row; the second has faults, the last of which it ends in, and the third has one."""
    values = np.stack([tiny_series(20 + n, ROWS) for n in range(streams)], axis=1)
    for at in FAULTS if streams > 1 else ():
        values[at : at + 40, 1, 1] += 1.2
    if streams > 2:
        values[3000:3040, 2, 1] += 1.0
    return Recording(
        source="hall.csv",
        stream_ids=[f"mill/{n}" for n in range(streams)] * ROWS,
        event_time_ms=np.repeat(np.arange(ROWS, dtype=np.int64) * 1000, streams),
        values=values.reshape(ROWS * streams, 2),
        rows=np.arange(ROWS * streams),
    )


def tallied(bundle: ModelBundle, hall: Recording) -> Tally:
    tally = Tally(hall)
    for chunk in replay(Detector(bundle), hall, alerts=AlertPolicy()):
        tally.add(chunk)
    return tally


def test_streams_are_counted_and_the_most_alerted_are_the_foremost(bundle: ModelBundle) -> None:
    hall = a_hall()
    tally = tallied(bundle, hall)
    assert [(one.stream_id, one.rows) for one in tally.streams] == [(f"mill/{n}", ROWS) for n in range(3)]
    opened = [one.opened for one in tally.streams]
    assert opened[1] == 4 and opened[0] < opened[2] < opened[1]
    assert [one.stream_id for one in tally.foremost(2)] == ["mill/1", "mill/2"]
    scores = [chunk.scores.score for chunk in replay(Detector(bundle), hall, alerts=None)]
    highest = np.fmax.reduce(np.concatenate(scores)[1::3])
    assert tally.streams[1].highest == highest


def test_only_the_strongest_alerts_are_kept_and_as_they_stood_at_the_end(bundle: ModelBundle) -> None:
    hall = a_hall()
    seen: dict[str, float] = {}
    latest = {}
    tally = Tally(hall)
    for chunk in replay(Detector(bundle), hall, alerts=AlertPolicy()):
        tally.add(chunk)
        for _, alert in chunk.alerts:
            if alert.stream_id == "mill/1":
                seen[alert.alert_id], latest[alert.alert_id] = alert.peak.score, alert
    kept = tally.streams[1].strongest
    assert len(kept) == 4 and all(latest[name] == alert for name, alert in kept.items())
    for alert in latest.values():
        tally.streams[1].keep(alert)
    tally.streams[1].keep(type(alert)(**{name: getattr(alert, name) for name in alert.__struct_fields__}))
    assert len(tally.streams[1].strongest) == 4


def test_an_overview_has_the_extremes_of_its_stretches(bundle: ModelBundle) -> None:
    stream = rows_of_stream(a_hall(), "mill/1")
    overview, chunks, settled = Overview(stream), [], np.full(ROWS, np.nan)
    for chunk in replay(Detector(bundle, settled=True), stream, alerts=AlertPolicy(), chunk_rows=777):
        overview.add(chunk)
        chunks.append(chunk.scores)
        put_settled(chunk.scores, settled)
    overview.close()
    edges = np.arange(401) * ROWS // 400
    score, expected = np.concatenate([c.score for c in chunks]), np.concatenate([c.expected for c in chunks])
    for k, (a, b) in enumerate(pairwise(edges.tolist())):
        assert np.array_equal(overview.low[k], stream.values[a:b].min(axis=0))
        assert np.array_equal(overview.high[k], stream.values[a:b].max(axis=0))
        assert np.array_equal(overview.expected_high[k], expected[a:b].max(axis=0))
        assert np.array_equal(overview.expected_low[k], expected[a:b].min(axis=0))
        assert np.array_equal(overview.score[k], np.fmax.reduce(score[a:b]), equal_nan=True)
        assert np.array_equal(overview.settled[k], np.fmax.reduce(settled[a:b]), equal_nan=True)
    assert np.array_equal(overview.event_time_ms, edges[:-1] * 1000)
    shaded = np.flatnonzero(overview.under_alert)
    for at in FAULTS:
        assert at * 400 // ROWS + 1 in shaded
    assert overview.under_alert[-1], "the last alert is open to the end"
    assert overview.under_alert.mean() < 0.1


def test_a_short_stream_has_as_many_stretches_as_rows(bundle: ModelBundle) -> None:
    stream = rows_of_stream(a_hall(), "mill/0")
    short = Recording(
        stream.source, stream.stream_ids[:30], stream.event_time_ms[:30], stream.values[:30], stream.rows[:30]
    )
    overview = Overview(short)
    for chunk in replay(Detector(bundle), short, alerts=AlertPolicy()):
        overview.add(chunk)
    overview.close()
    assert np.array_equal(overview.low, short.values) and np.isnan(overview.score).all()
    assert not overview.under_alert.any()


def test_one_stream_alone_is_not_copied() -> None:
    hall = a_hall(1)
    assert rows_of_stream(hall, "mill/0") is hall
    assert rows_of_stream(a_hall(), "mill/2").rows[:3].tolist() == [2, 5, 8]


def test_the_second_run_says_what_the_first_did(bundle: ModelBundle) -> None:
    hall = a_hall()
    labels = [Span("mill/1", 1_000_000, 1_039_000), Span("mill/0", 0, 1)]
    tally = tallied(bundle, hall)
    found = summarise_streams(
        lambda: Detector(bundle, max_streams=16), hall, tally, policy=AlertPolicy(), labels=labels
    )
    first = found[0]
    assert first.tally.stream_id == "mill/1" and first.labels == (labels[0],)
    assert np.nanmax(first.overview.score) == first.tally.highest
    assert len(first.windows) == 4
    for window, alert in zip(
        first.windows, sorted(first.tally.strongest.values(), key=lambda a: a.peak.ts), strict=True
    ):
        assert alert in window.alerts and window.score[window.at] == pytest.approx(alert.peak.score, abs=1e-6)
        assert window.event_time_ms[window.at] == alert.peak.ts
        assert len(window.score) <= 2000
    assert [one.tally.stream_id for one in found][:2] == ["mill/1", "mill/2"]
