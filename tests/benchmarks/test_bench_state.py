"""`bench state` as a user types it, with few streams; what it says of memory and growth is what the states are."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from streamlstm.benchmarks.state import STEP_STREAMS, resident_bytes
from streamlstm.cli import main

STREAMS = 20_000  # capacities double up to 16,384, then grow to this
STATE_VALUES = 256  # two layers of 64 hidden units, h and c


def bench(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["streamlstm", "bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_state_writes_lines_and_json_and_report_makes_a_page_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "state.json"
    options = ("--rounds", 2, "--slice-ms", 1, "--streams", STREAMS, "--json", out)
    assert bench(monkeypatch, "state", *options) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("machine   ")
    assert any(f"step of {STEP_STREAMS} streams anywhere among 20,000, float32" in line for line in said)
    assert any("gather and scatter" in line and "% of the resident step" in line for line in said)

    result = json.loads(out.read_text("utf-8"))
    assert result["schema"] == "streamlstm.bench/1" and result["bench"] == "state"
    rows = {row["name"].removeprefix("state."): row for row in result["measurements"]}
    assert rows.keys() >= {
        *(f"{what}.{dtype}" for what in ("step", "gather_scatter") for dtype in ("float32", "float16")),
        *("claim", "growth", "export", "load", "release", "reclaim"),
    }
    for name in ("step.float32", "step.float16", "claim", "growth", "export", "load", "release", "reclaim"):
        assert rows[name]["value"] > 0 and rows[name]["unit"], name
    assert rows["growth"]["title"] == "growth from 16,384 to 20,000 streams"
    for name in ("export", "load"):
        assert rows[name]["values"].keys() == {"numpy copy"}
        assert rows[name]["limit"] == rows[name]["values"]["numpy copy"] and rows[name]["share_of_limit"] > 0

    page = tmp_path / "page.md"
    assert bench(monkeypatch, "report", out, "--out", page) == 0
    assert "## state: " in page.read_text("utf-8") and "million streams/s |" in page.read_text("utf-8")


@pytest.mark.skipif(resident_bytes() is None, reason="the system does not say what a process holds")
def test_memory_is_that_of_the_states_and_half_of_them_is_saved_by_float16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "state.json"
    assert bench(monkeypatch, "state", "--rounds", 1, "--slice-ms", 0.1, "--streams", STREAMS, "--json", out) == 0
    rows = {row["name"]: row["value"] for row in json.loads(out.read_text("utf-8"))["measurements"]}
    single, half = (rows[f"state.memory_by_stream.{dtype}"] for dtype in ("float32", "float16"))
    assert rows["state.memory.float32"] * 1e6 == pytest.approx(single * STREAMS)
    assert single > STATE_VALUES * 4
    assert single - half == pytest.approx(STATE_VALUES * 2, rel=0.5)  # huge pages are taken whole


def test_resident_bytes_grow_with_what_is_written() -> None:
    before = resident_bytes()
    if before is None:
        pytest.skip("the system does not say what a process holds")
    kept = np.ones(8_000_000)
    after = resident_bytes()
    assert after is not None and 0.9 * kept.nbytes < after - before < 2 * kept.nbytes


def test_too_few_streams_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(monkeypatch, "state", "--streams", 5000) == 2
    assert "--streams" in capsys.readouterr().err
