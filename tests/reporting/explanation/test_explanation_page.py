"""The page of an explanation: well formed, self-contained, the same bytes again, and with the numbers that it shows."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reporting.explanation.windows import ROWS, START_MS, a_window, an_alert, gates_of_a_layer
from reporting.parsed_page import Page

from streamlstm.errors import DataError
from streamlstm.recordings.labels import Span
from streamlstm.reporting.explanation.page import render_explanation, write_page
from streamlstm.reporting.explanation.verdict import verdict_of
from streamlstm.types import Status


@pytest.fixture(scope="module")
def page() -> str:
    labels = (Span("mill/3", START_MS + 19_000, START_MS + 41_000),)
    return render_explanation(a_window(gates=(gates_of_a_layer(), gates_of_a_layer()), labels=labels))


def drawn(page: str, css: str) -> list[dict[str, str | None]]:
    return [attrs for _, attrs in Page(page).tags if (attrs.get("class") or "") == css]


def test_it_says_why_at_the_top(page: str) -> None:
    text = Page(page).text
    sentence = " ".join(verdict_of(a_window()).split())
    assert text.index("mill/3") < text.index(sentence) < text.index("What came")
    assert "tiny@1 · 60 rows from 2026-01-01T00:00:00Z to 2026-01-01T00:00:59Z" in text


def test_nothing_is_fetched(page: str) -> None:
    parsed = Page(page)
    tags = {tag for tag, _ in parsed.tags}
    assert not tags & {"link", "img", "iframe", "object", "use", "a"}
    assert not re.search(r"https?://|url\(|@import|fetch|XMLHttp|import\(|eval", page)
    addresses = [attrs[name] or "" for _, attrs in parsed.tags for name in attrs if name in ("src", "href")]
    assert addresses and all(address.startswith("data:image/png;base64,") for address in addresses)
    assert [tag for tag, _ in parsed.tags].count("script") == 1


def test_no_number_is_nan_in_the_drawing(page: str) -> None:
    for tag, attrs in Page(page).tags:
        for name in ("d", "x", "y", "cx", "cy", "width", "height", "data-low", "data-high"):
            assert not re.search(r"nan|inf", attrs.get(name) or ""), (tag, attrs)


def test_plots_of_one_time_axis_are_zoomed_together(page: str) -> None:
    groups = [attrs for _, attrs in Page(page).tags if attrs.get("class") == "zoom"]
    assert len(groups) == 3  # channels and score, and a layer each
    for attrs in groups:
        assert (attrs["tabindex"], attrs["role"]) == ("0", "group") and "Arrow keys" in (attrs["aria-label"] or "")
        assert (attrs["data-low"], attrs["data-high"], attrs["data-unit"]) == ("-30", "29", "s")
    buttons = [attrs for tag, attrs in Page(page).tags if tag == "button"]
    assert [attrs["data-do"] for attrs in buttons[:5]] == ["earlier", "later", "in", "out", "all"]
    assert all(attrs["type"] == "button" for attrs in buttons)


def test_the_channel_that_contributed_most_is_the_first_with_its_band(page: str) -> None:
    pictures = [attrs["aria-label"] or "" for _, attrs in Page(page).tags if attrs.get("role") == "img"]
    assert pictures[0].replace("\u202f", " ") == (
        "flow: 31 l/min came, 12 ± 0.5 l/min expected at the time asked about; 75 % of the surprise."
    )
    assert pictures[1].startswith("pressure: 3 came, 3 ± 0.25 expected")
    assert len(drawn(page, "area c1 faint")) == 2, "a band for each channel"


def test_alerts_and_labels_are_shaded(page: str) -> None:
    [alert, *_], [label, *_] = drawn(page, "area quiet"), drawn(page, "area c2 faint")
    assert float(alert["x"] or 0) == pytest.approx(1000 * 20 / 59, abs=0.1)
    assert float(alert["width"] or 0) == pytest.approx(1000 * 20 / 59, abs=0.2)
    assert float(label["x"] or 0) == pytest.approx(1000 * 19 / 59, abs=0.1)


def test_an_alert_that_is_open_is_shaded_to_the_end() -> None:
    open_one = an_alert(resolved_at=None, state="open")
    page = render_explanation(a_window(alerts=(open_one,)))
    [shade, *_] = drawn(page, "area quiet")
    assert float(shade["x"] or 0) + float(shade["width"] or 0) == pytest.approx(1000, abs=0.2)
    assert "still open" in Page(page).text


def test_the_tables_hold_the_shares(page: str) -> None:
    text = " ".join(Page(page).text.replace("\u202f", " ").split())
    assert "flow 75 % 31 l/min 12 ± 0.5 38" in text  # usual errors away: 19 / 0.5
    assert "network residuals 75 % forecast/16 50 % forecast/1 25 % prototypes 25 % prototypes/centred 25 %" in text
    assert "mill/3: flow 31 l/min where 12 l/min was expected" in text


def test_verdicts_are_drawn_where_there_are_any(page: str) -> None:
    assert "settled" not in Page(page).text.partition("{")[0] and not drawn(page, "line alarm")
    settled = np.full(ROWS, np.nan)
    settled[10:50] = 0.8
    found = render_explanation(a_window(settled=settled))
    assert "settled one period later" in Page(found).text and len(drawn(found, "line alarm")) == 2


def test_gates_are_drawn_by_layer(page: str) -> None:
    text = Page(page).text
    assert "Layer 1 of 2: lstm, 5 units" in text and "Layer 2 of 2" in text
    pictures = [attrs for tag, attrs in Page(page).tags if tag == "image"]
    assert len(pictures) == 2 * 6  # four gates, the cell state, the output
    assert len({attrs["href"] for attrs in pictures[:6]}) >= 5


def test_without_gates_there_is_no_such_part() -> None:
    page = render_explanation(a_window())
    assert "gates" not in Page(page).text and "data:image" not in page


def test_without_a_score_it_says_so() -> None:
    text = Page(render_explanation(a_window(at=2))).text
    assert "there was no score: the stream is still warming up" in text
    assert "There was no score; the sample's status is warming." in text


def test_late_rows_missing_values_and_a_window_of_one_row() -> None:
    window = a_window()
    values, expected = window.values.copy(), window.expected.copy()
    values[:, 1], expected[:3] = np.nan, np.nan
    Page(render_explanation(replace(window, values=values, expected=expected)))
    rows = slice(30, 31)
    names = ("event_time_ms", "values", "expected", "score", "settled", "p_value", "status", "contribution", "said")
    one = replace(window, at=0, **{name: getattr(window, name)[rows] for name in names})  # type: ignore[arg-type]  # arrays
    assert "nan" not in re.sub(r"<(style|script)>.*?</\1>", "", render_explanation(one), flags=re.DOTALL)


def test_many_channels_and_rows_stay_small() -> None:
    rng, rows, channels = np.random.default_rng(1), 20_000, 60
    shares = rng.dirichlet(np.ones(channels), rows).astype(np.float32)
    page = render_explanation(
        a_window(
            channels=tuple(f"sensor {n}" for n in range(channels)),
            units=("",) * channels,
            at=10_000,
            event_time_ms=START_MS + 1000 * np.arange(rows, dtype=np.int64),
            values=rng.normal(size=(rows, channels)).astype(np.float32),
            expected=rng.normal(size=(rows, channels)).astype(np.float32),
            usual=np.ones(channels, np.float32),
            score=rng.exponential(0.3, rows),
            settled=rng.exponential(0.2, rows),
            p_value=rng.uniform(0, 1, rows),
            status=np.full(rows, Status.READY, np.uint8),
            contribution=shares,
            said=rng.exponential(1, (rows, 3)),
        )
    )
    text = Page(page).text
    assert len(page) < 2_500_000
    assert "34 further channels of 54" in text and "20 more with less." in text


def test_names_cannot_become_markup() -> None:
    alert = an_alert(summary="<b>bold</b>")
    text = render_explanation(
        a_window(stream_id="</title><img src=x>", channels=("<u>", "a&b"), units=("</svg>", ""), alerts=(alert,))
    )
    parsed = Page(text)
    assert not {tag for tag, _ in parsed.tags} & {"img", "u"}
    assert "</title><img src=x>" in parsed.text and "<b>bold</b>" in parsed.text


def test_the_same_bytes_again_and_written_whole_or_not_at_all(tmp_path: Path, page: str) -> None:
    labels = (Span("mill/3", START_MS + 19_000, START_MS + 41_000),)
    again = render_explanation(a_window(gates=(gates_of_a_layer(), gates_of_a_layer()), labels=labels))
    assert again == page and ROWS == 60
    write_page(tmp_path / "why.html", page)
    assert (tmp_path / "why.html").read_bytes() == page.encode()
    with pytest.raises(DataError, match=r"^page .*cannot be written"):
        write_page(tmp_path / "no" / "why.html", page)
