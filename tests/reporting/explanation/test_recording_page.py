"""The page of a scored recording: small whatever the recording, and with the counts that it shows."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray
from reporting.parsed_page import Page
from tiny_models import least_squares_model, tiny_model, tiny_series

from streamlstm.evaluation.overview import Tally
from streamlstm.evaluation.recording import Recording
from streamlstm.evaluation.replay import replay
from streamlstm.evaluation.summary import summarise_streams
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.recordings.labels import Span
from streamlstm.reporting.explanation.recording_page import RecordingReport, render_recording
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.detector import Detector


def report_of(bundle: ModelBundle, streams: dict[str, NDArray[np.float32]], labels: list[Span]) -> RecordingReport:
    lengths = [len(values) for values in streams.values()]
    hall = Recording(
        source="hall.csv",
        stream_ids=[name for name, values in streams.items() for _ in values],
        event_time_ms=np.concatenate([np.arange(rows, dtype=np.int64) * 1000 for rows in lengths]),
        values=np.concatenate(list(streams.values())),
        rows=np.arange(sum(lengths)),
    )
    tally = Tally(hall)
    for chunk in replay(Detector(bundle), hall, alerts=AlertPolicy()):
        tally.add(chunk)
    summaries = summarise_streams(
        lambda: Detector(bundle, settled=True), hall, tally, policy=AlertPolicy(), labels=labels
    )
    units = bundle.units or ("",) * len(bundle.channels)
    return RecordingReport("hall.csv", bundle.channels, units, ("tiny@1 · facts",), tally.streams, summaries)


def faulty(seed: int, rows: int, *faults: int) -> NDArray[np.float32]:
    values = tiny_series(seed, rows)
    for at in faults:
        values[at : at + 40, 1] += 1.2
    return values


@pytest.fixture(scope="module")
def page() -> str:
    streams = {"mill/1": faulty(1, 3000), "mill/2": faulty(2, 3000, 800, 1500, 2200)}
    return render_recording(report_of(tiny_model(), streams, [Span("mill/2", 800_000, 839_000)]))


def test_it_counts_and_lists(page: str) -> None:
    text = Page(page).text
    assert "3 alerts opened in 1 of 2 streams." in text
    assert re.search(r"stream rows alerts highest score mill/2 3,000 3 \d", text)
    assert text.index("mill/2 3,000") < text.index("mill/1 3,000")


def test_places_of_alerts_say_why_and_show_channels(page: str) -> None:
    parsed = Page(page)
    assert parsed.text.count("and a residual alert was open, since") == 3
    assert "1 further places with alerts" in parsed.text
    groups = [attrs for _, attrs in parsed.tags if attrs.get("class") == "zoom"]
    assert len(groups) == 2 + 3  # an overview of each stream, and a place of each alert
    pictures = [attrs["aria-label"] or "" for _, attrs in parsed.tags if attrs.get("role") == "img"]
    assert any(label.startswith("Score: ") and "3 alerts" in label for label in pictures)
    assert [attrs for _, attrs in parsed.tags if attrs.get("class") == "area c2 faint"], "labels are drawn"
    assert [attrs for _, attrs in parsed.tags if attrs.get("class") == "line alarm thin"], "verdicts are drawn"


def test_it_fetches_nothing_and_no_number_is_nan(page: str) -> None:
    parsed = Page(page)
    assert not {tag for tag, _ in parsed.tags} & {"link", "img", "iframe", "object", "use", "a"}
    assert not re.search(r"https?://|url\(|@import", page)
    for tag, attrs in parsed.tags:
        for name in ("d", "x", "y", "width", "height", "data-low", "data-high"):
            assert not re.search(r"nan|inf", attrs.get(name) or ""), (tag, attrs)


def test_without_alerts_it_says_so() -> None:
    values = faulty(1, 2000)
    values[500:503, 0] = np.nan
    text = Page(render_recording(report_of(tiny_model(), {"mill/1": values}, []))).text
    assert "No alert opened in 1 stream." in text and "2,000 rows from 1970" in text
    assert "Streams" not in text


def test_a_stream_too_short_for_a_score_and_one_of_a_row() -> None:
    text = Page(render_recording(report_of(tiny_model(), {"a": faulty(1, 20), "b": faulty(1, 1)}, []))).text
    assert "a 20 0 \u2013" in text and "b 1 0 \u2013" in text


def test_many_streams_rows_and_channels_stay_small() -> None:
    rng = np.random.default_rng(3)
    bundle = least_squares_model(
        rng.normal(size=(2000, 40)).astype(np.float32),
        weights=3,
        hidden=8,
        period_rows=0,
        channels=tuple(f"sensor {n}" for n in range(40)),
    )
    streams = {}
    for n in range(60):
        values = rng.normal(size=(4000 if n < 2 else 300, 40)).astype(np.float32)
        values[200:240, :5] += 9.0
        values[:, 39] = np.nan  # never observed
        streams[f"stream-{n:02d}"] = values
    page = render_recording(report_of(bundle, streams, []))
    text = Page(page).text
    assert len(page) < 4_000_000 and not re.search(r'd="[^"]*nan', page)
    assert "Shown below are the 6 streams with the most alerts. 10 more streams have no more alerts" in text
    assert "6 further channels of 34" in text
