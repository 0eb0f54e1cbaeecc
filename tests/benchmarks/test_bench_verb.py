"""`bench` as a user types it, with the one peer that is always there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli.running import start
from waiting import PATIENCE_S

from streamlstm.benchmarks import peers
from streamlstm.cli import main
from streamlstm.kernels import backends

TINY = ("--quick", "--peer", "numpy", "--rounds", "3", "--slice-ms", "0.2", "--cell", "c1_h32")


def in_this_process(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["streamlstm", "bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_kernel_writes_lines_and_json_and_report_makes_a_page_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "kernel.json", tmp_path / "page.md"
    before = os.sched_getaffinity(0)
    assert in_this_process(monkeypatch, "kernel", *TINY, "--json", out) == 0
    assert os.sched_getaffinity(0) == before
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("machine   ")
    assert any(line.startswith("step (1,32,1) S=8: ") and "numpy x" in line and "of the limit" in line for line in said)

    result = json.loads(out.read_text("utf-8"))
    assert result["schema"] == "streamlstm.bench/1" and result["bench"] == "kernel"
    assert result["machine"]["cpu"] and result["machine"]["cores"] >= 1 and result["machine"]["blas"]
    assert {"numpy", "scipy"} <= result["versions"].keys()
    assert result["method"]["rounds"] == 3 and result["method"]["is_quick"] is True
    assert result["gauges"]["fma_peak"] > 0 and result["gauges"]["gate_cost"] > 0
    assert [row["name"] for row in result["measurements"]] == [
        "kernel.step.c1_h32_l1.s1",
        "kernel.step.c1_h32_l1.s8",
        "kernel.step.c1_h32_l1.s512",
        "kernel.block.c1_h32_l1.t1000_s1",
    ]
    for row in result["measurements"]:
        assert row["unit"] == "million steps/s" and row["value"] > 0 and row["limit"] > 0 and row["share_of_limit"] > 0
        assert row["ratios"].keys() == row["values"].keys() == {*backends()[1:], "numpy"}
        assert all(low <= row["ratios"][name] <= high for name, (low, high) in row["spreads"].items())

    assert in_this_process(monkeypatch, "report", out, "--out", page) == 0
    text = page.read_text("utf-8")
    assert text.index("## What these figures do not show") < text.index("## Method") < text.index("## kernel: ")
    assert "| step (1,32,1) S=512 |" in text and result["started_at"][:10] in text


def test_no_peers_measures_ours_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "alone.json"
    options = ("--no-peers", "--rounds", 1, "--slice-ms", 0.1, "--cell", "step.c1_h32_l1.s1")
    assert in_this_process(monkeypatch, "kernel", "--quick", *options, "--json", out) == 0
    (row,) = json.loads(out.read_text("utf-8"))["measurements"]
    assert row["ratios"].keys() == set(backends()[1:])
    assert "peer" not in capsys.readouterr().out


def test_peers_that_are_not_installed_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(peers.PEERS, "numpy", ("numpy", "a_package_that_nobody_has"))
    options = ("--peer", "numpy", "--rounds", 1, "--slice-ms", 0.1, "--cell", "step.c1_h32_l1.s1")
    assert in_this_process(monkeypatch, "kernel", "--quick", *options) == 0
    said = capsys.readouterr().out
    assert "absent    numpy: a_package_that_nobody_has not installed (pip install 'streamlstm[bench]')" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["kernel", "--peer", "matlab"], "--peer: expected one of numpy, pytorch, jax, onnxruntime, openvino"),
        (["kernel", "--peer", "numpy", "--no-peers"], "exclude each other"),
        (["kernel", "--cell", "s7"], "no cell's name contains 's7'"),
        (["kernel", "--json", "nowhere/at/all.json"], "the folder nowhere/at does not exist"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_timed(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert in_this_process(monkeypatch, *arguments) == 2
    assert says in capsys.readouterr().err


def test_report_refuses_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"schema": "streamlstm.bench/2", "bench": "kernel"}')
    assert in_this_process(monkeypatch, "report", other) == 1
    assert "expected the JSON of `streamlstm bench` (streamlstm.bench/1)" in capsys.readouterr().err


def test_ctrl_c_ends_it_with_130(tmp_path: Path) -> None:
    arguments = ("bench", "kernel", "--peer", "numpy", "--rounds", 100_000)
    with start(tmp_path, *arguments, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        try:
            assert running.stdout.readline().startswith("machine")
            running.send_signal(signal.SIGINT)
            assert running.wait(timeout=PATIENCE_S) == 130
        finally:
            running.kill()
