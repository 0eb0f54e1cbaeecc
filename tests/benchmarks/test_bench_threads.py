"""`bench threads` as a user types it: both conditions, a ratio to one thread, and no process left behind."""

from __future__ import annotations

import json
import multiprocessing
import sys
from pathlib import Path

import pytest

from streamlstm.cli import main


def test_threads_are_compared_with_one_on_an_idle_and_on_a_busy_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "threads.json"
    arguments = [
        "bench",
        "threads",
        "--quick",
        "--rounds",
        "2",
        "--slice-ms",
        "1",
        "--threads",
        "2",
        "--json",
        str(out),
    ]
    monkeypatch.setattr(sys, "argv", ["streamlstm", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code and not multiprocessing.active_children()
    said = capsys.readouterr().out
    assert "2 threads beside one, not pinned" in said
    result = json.loads(out.read_text("utf-8"))
    names = [row["name"] for row in result["measurements"]]
    assert names == [f"threads.{condition}.c8_h64_l2.s{s}" for condition in ("idle", "busy") for s in (8, 512)]
    for row in result["measurements"]:
        assert row["value"] > 0 and row["ratios"]["one thread"] > 0 and row["values"]["one thread"] > 0
        assert f"{row['title']}: " in said
