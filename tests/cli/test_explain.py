"""`explain` and `score --report`: the sentence of a sample, the pages, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.running import Verbs
from reporting.parsed_page import Page
from tiny_models import tiny_model, tiny_series

ROWS, FAULT = 900, slice(600, 640)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold a model, a ward of two streams of which the second has a fault, one stream alone, and labels."""
    folder = tmp_path_factory.mktemp("explain")
    tiny_model(prototypes=24).save(folder / "tiny.safetensors")
    lines = ["stream_id,ts,flow,pressure"]
    series = {"mill/1": tiny_series(2, ROWS), "mill/2": tiny_series(3, ROWS)}
    series["mill/2"][FAULT, 1] += 1.2
    for name, values in series.items():
        lines += [f"{name},{1_767_225_600 + row},{a:.4f},{b:.4f}" for row, (a, b) in enumerate(values.tolist())]
    (folder / "ward.csv").write_text("\n".join(lines) + "\n")
    (folder / "one.csv").write_text("\n".join(["ts,flow,pressure", *(line[7:] for line in lines[1 : ROWS + 1])]) + "\n")
    (folder / "labels.csv").write_text("stream_id,start,end\nmill/2,2026-01-01T00:10:00Z,2026-01-01T00:10:39Z\n")
    return folder


@pytest.fixture
def verbs(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verbs:
    return Verbs(folder, monkeypatch, capsys)


ASKED = ("explain", "tiny.safetensors", "ward.csv", "--stream", "mill/2", "--at", "2026-01-01T00:10:10Z")


def test_the_sentence_alone(verbs: Verbs) -> None:
    code, out, err = verbs.run(*ASKED)
    assert (code, err) == (0, "")
    assert out.startswith("mill/2: At 2026-01-01T00:10:10Z the score was ")
    assert "and a residual alert was open, since 2026-01-01T00:10:00Z: pressure was " in out


def test_a_number_is_a_time_too_and_a_quiet_stream_is_told_so(verbs: Verbs) -> None:
    out = verbs.good("explain", "tiny.safetensors", "one.csv", "--at", 1_767_225_600 + 610)
    assert out.startswith("one: At 2026-01-01T00:10:10Z the score was ") and "and no alert was open" in out


def test_the_page(verbs: Verbs, folder: Path) -> None:
    out = verbs.good(*ASKED, "--out", "why.html", "--labels", "labels.csv", "--window", "200")
    assert "wrote why.html" in out
    page = Page((folder / "why.html").read_text())
    assert "251 rows from 2026-01-01T00:06:50Z to 2026-01-01T00:11:00Z" in page.text
    assert "labelled" in page.text and "Layer 1 of 1: lstm, 24 units" in page.text
    assert out.partition(": ")[2].partition("\n")[0] in page.text


@pytest.mark.parametrize(
    ("window", "rows"), [("60s", 76), ("2 periods", 101), ("60s and 100 samples", 126), ("1", 2), (None, 301)]
)
def test_windows(verbs: Verbs, folder: Path, window: str | None, rows: int) -> None:
    verbs.good(*ASKED, "--out", "w.html", *(("--window", window) if window else ()))
    expected = {"2 periods": 601, None: 301}.get(window, rows)
    assert f"{expected} rows from" in Page((folder / "w.html").read_text()).text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--at", "2026-01-01T00:10:10Z"),
            "ward.csv: expected one stream, got 'mill/1', 'mill/2'; name one with --str",
        ),
        (
            ("--at", "x", "--stream", "mill/1"),
            "--at: expected a time such as 2026-11-21T01:20:30Z, or a number of s, g",
        ),
        (
            ("--at", "2025-01-01", "--stream", "mill/1"),
            "--at: expected a time from 2026-01-01T00:00:00Z to 2026-01-01T00:14:59Z, which the recordi",
        ),
        (("--at", "1", "--stream", "mill/9"), "--stream: expected one of 'mill/1', 'mill/2', got 'mill/9'"),
        (
            (*ASKED[5:], "--stream", "mill/1", "--window", "soon"),
            "--window: expected samples from 1 on, or a wait such",
        ),
        (
            (*ASKED[5:], "--stream", "mill/1", "--window", "90000"),
            "--window: expected at most 20,000 samples in all, g",
        ),
        ((*ASKED[5:], "--out", "tiny.safetensors"), "--out: tiny.safetensors is the model bundle itself; choose anoth"),
        ((*ASKED[5:], "--out", "no/why.html"), "--out: the folder no does not exist"),
    ],
)
def test_what_is_refused(verbs: Verbs, arguments: tuple[str, ...], message: str) -> None:
    assert verbs.bad("explain", "tiny.safetensors", "ward.csv", *arguments, code=2).startswith(message)


def test_it_says_what_score_says(verbs: Verbs, folder: Path) -> None:
    verbs.good("score", "tiny.safetensors", "ward.csv", "--out", "scores.csv")
    lines = [line.split(",") for line in (folder / "scores.csv").read_text().splitlines()]
    [score] = [line[3] for line in lines if line[1] == "mill/2" and line[2].startswith("2026-01-01T00:10:10")]
    assert f"the score was {float(score):.3g}," in verbs.good(*ASKED)


def test_a_scored_recording_has_a_page(verbs: Verbs, folder: Path) -> None:
    said = verbs.good("score", "tiny.safetensors", "ward.csv", "--out", "plain.csv")
    with_page = verbs.good(
        "score", "tiny.safetensors", "ward.csv", "--out", "s.csv", "--report", "report.html", "--labels", "labels.csv"
    )
    assert "alerts opened" in said and "wrote report.html" in with_page
    assert (folder / "s.csv").read_bytes() == (folder / "plain.csv").read_bytes()
    text = Page((folder / "report.html").read_text()).text
    assert "tiny@1 · 1,800 rows of 2 streams" in text and "mill/2 900 1" in text and "labelled" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--report", "no/r.html"), "--report: the folder no does not exist"),
        (
            ("--report", "tiny.safetensors"),
            "--report: tiny.safetensors is the model bundle itself; choose another file",
        ),
        (("--report", "s.csv", "--out", "s.csv"), "--report: s.csv is the file of --out; choose another"),
        (("--labels", "labels.csv"), "--labels: only the page shows them; add --report FILE.html"),
    ],
)
def test_a_report_that_cannot_be_is_refused_before_anything_is_scored(
    verbs: Verbs, folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    before = set(folder.iterdir())
    assert verbs.bad("score", "tiny.safetensors", "ward.csv", *arguments, code=2) == message
    assert set(folder.iterdir()) == before
