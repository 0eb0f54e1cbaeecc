"""`bench train` as a user types it, its arithmetic, and that who trains something else is not timed."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from streamlstm.benchmarks import peers
from streamlstm.benchmarks.contestants import WrongOutputs
from streamlstm.benchmarks.our_training import OurTraining
from streamlstm.benchmarks.rounds import PairedTimes
from streamlstm.benchmarks.training import TrainingBench, first_losses, training_measurement
from streamlstm.benchmarks.training_work import TrainingWork, first_loss, training_workloads
from streamlstm.benchmarks.workloads import RecurrentNetwork, Shape
from streamlstm.cli import main
from streamlstm.kernels import CellKind

WORK = TrainingWork(Shape(3, 13, 2), lanes=5, steps=11)


def in_this_process(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["streamlstm", "bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_train_writes_lines_and_json_and_report_makes_a_page_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "train.json", tmp_path / "page.md"
    options = ("--no-peers", "--rounds", 2, "--slice-ms", 1, "--json", out)
    assert in_this_process(monkeypatch, "train", "--quick", *options) == 0
    said = capsys.readouterr().out
    assert "train (8,64,2) B=64 T=128: " in said and "of the limit" in said
    assert "train (8,64,2) B=64 T=128, best rounds: streamlstm " in said
    result = json.loads(out.read_text("utf-8"))
    assert result["bench"] == "train" and result["gauges"]["fma_peak"] > 0 and "gate_cost" not in result["gauges"]
    names = [row["name"] for row in result["measurements"]]
    assert names == [f"train.{cell}c8_h64_l2.t128_b64" for cell in ("", "gru.", "rnn.")]
    row = result["measurements"][0]
    assert row["unit"] == "ms a batch"
    assert 0 < row["best"]["streamlstm"] <= row["value"] and row["limit"] > 0 and row["share_of_limit"] > 0
    assert in_this_process(monkeypatch, "report", out, "--out", page) == 0
    text = page.read_text("utf-8")
    assert "## train: " in text and "| train (8,64,2) B=64 T=128 |" in text and "best rounds" in text


def test_a_peer_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(peers.TRAINING_PEERS, "jax", ("a_package_that_nobody_has",))
    options = ("--peer", "jax", "--rounds", 1, "--slice-ms", 1)
    assert in_this_process(monkeypatch, "train", "--quick", *options) == 0
    assert "absent    jax: a_package_that_nobody_has not installed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--peer", "onnxruntime"], "--peer: expected one of pytorch, jax, keras, got 'onnxruntime'"),
        (["--peer", "keras", "--peer", "pytorch"], "pytorch and keras cannot run in one process"),
        (["--cell", "h7"], "no cell's name contains 'h7'"),
        (["--json", "nowhere/at/all.json"], "the folder nowhere/at does not exist"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_timed(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert in_this_process(monkeypatch, "train", *arguments) == 2
    assert says in capsys.readouterr().err


class FromOtherWeights:
    """A peer that trains as we do, from weights that differ in one value."""

    def __init__(self, difference: float) -> None:
        self._difference = difference

    def prepare(self) -> None:
        pass

    def training(self, network: RecurrentNetwork, work: TrainingWork) -> Sequence[OurTraining]:
        head_bias = network.head_bias.copy()
        head_bias[0] += self._difference
        return [OurTraining(RecurrentNetwork(network.layers, network.head_weight, head_bias), work)]


def test_a_peer_that_computes_another_loss_is_left_out() -> None:
    bench = TrainingBench({"right": FromOtherWeights(0), "wrong": FromOtherWeights(0.1)}, rounds=2, slice_s=1e-4)
    (row,) = bench.run([WORK], on_contestant=lambda _: None)
    assert row.ratios.keys() == row.values.keys() == {"right"} and row.best.keys() == {"streamlstm", "right"}
    assert row.left_out.keys() == {"wrong"} and "the loss of update 1 is" in row.left_out["wrong"]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_our_own_first_loss_is_the_float64_one_and_training_lowers_it(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = dataclasses.replace(WORK, cell=CellKind(cell))
    network = RecurrentNetwork.random(work.shape, work.cell)
    losses = first_losses(OurTraining(network, work))
    assert losses[0] == pytest.approx(first_loss(network, work), rel=1e-5)
    assert losses[-1] < losses[0]
    monkeypatch.setattr("streamlstm.benchmarks.training.first_loss", lambda *_: losses[0] * 1.01)
    with pytest.raises(WrongOutputs, match="streamlstm, train"):
        list(TrainingBench({}, rounds=1, slice_s=1e-4).run([work], on_contestant=lambda _: None))


def test_the_limit_counts_every_product_once_forward_and_twice_backward() -> None:
    # Layers 2 (8 + 64) 256 and 2 (64 + 64) 256, the head 2 * 64 * 8; no gradient by x: 2 * 8 * 256.
    work = TrainingWork(Shape(8, 64, 2), lanes=10, steps=7)
    assert work.flops == 70 * (3 * (36_864 + 65_536 + 1_024) - 4_096)
    assert work.limit_s(peak_gflops=100) == pytest.approx(work.flops * 1e-11)
    # A GRU has three gates where an LSTM has four.
    gru = dataclasses.replace(work, cell=CellKind.GRU)
    assert gru.flops == 70 * (3 * (27_648 + 49_152 + 1_024) - 3_072)


def test_a_peer_without_the_cell_is_not_in_its_row() -> None:
    class LstmAlone(FromOtherWeights):
        def training(self, network: RecurrentNetwork, work: TrainingWork) -> Sequence[OurTraining]:
            return [OurTraining(network, work)] if work.cell is CellKind.LSTM else []

    bench = TrainingBench({"lstm alone": LstmAlone(0)}, rounds=1, slice_s=1e-4)
    rows = bench.run([WORK, dataclasses.replace(WORK, cell=CellKind.RNN)], on_contestant=lambda _: None)
    assert [list(row.ratios) for row in rows] == [["lstm alone"], []]


def test_a_row_holds_medians_paired_ratios_and_best_rounds() -> None:
    seconds = {"streamlstm": np.array([1.0, 4.0, 2.0]) * 1e-3, "peer": np.array([3.0, 8.0, 8.0]) * 1e-3}
    row = training_measurement(WORK, PairedTimes(seconds, {"fma_peak": np.full(3, 50.0)}), left_out={})
    assert row.value == pytest.approx(2.0) and row.values == pytest.approx({"peer": 8.0})
    assert row.ratios == pytest.approx({"peer": 3.0}) and row.best == pytest.approx({"streamlstm": 1.0, "peer": 3.0})
    assert row.limit == pytest.approx(WORK.flops / 50e9 * 1e3)
    assert row.share_of_limit == pytest.approx(WORK.flops / 50e9 / 2e-3)


def test_the_table_begins_with_the_cell_of_the_goals() -> None:
    names = [work.name for work in training_workloads(is_quick=False)]
    shapes = ["c8_h64_l2.t128_b64", "c1_h32_l1.t128_b64", "c38_h128_l2.t128_b64"]
    assert names == [f"{cell}{shape}" for cell in ("", "gru.", "rnn.") for shape in shapes]
    assert [work.name for work in training_workloads(is_quick=True)] == names[::3]
