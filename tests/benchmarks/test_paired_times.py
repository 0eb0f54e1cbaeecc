"""The arithmetic of paired rounds, and what a row says of them; no test looks at how fast anything is."""

from __future__ import annotations

import numpy as np
import pytest

from streamlstm.benchmarks.kernel import measurement_of
from streamlstm.benchmarks.measurements import Measurement
from streamlstm.benchmarks.rounds import PairedTimes, fastest, run_rounds
from streamlstm.benchmarks.workloads import Shape, Workload

# A machine whose second and fourth round were disturbed, for both alike: the paired ratios are 3, 2, 4, 2.5, 3.5.
OURS = np.array([1.0, 9.0, 2.0, 40.0, 2.0])
PEER = np.array([3.0, 18.0, 8.0, 100.0, 7.0])


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    times = PairedTimes({"streamlstm": OURS, "peer": PEER}, {})
    assert times.median_s("streamlstm") == 2.0 and times.median_s("peer") == 8.0
    assert times.ratio("peer", to="streamlstm") == 3.0  # not 4, the ratio of the medians
    assert times.ratio("streamlstm", to="peer") == pytest.approx(1 / 3)
    assert times.spread("peer", to="streamlstm") == (2.5, 3.5)


def test_each_contestant_and_gauge_has_one_slice_a_round() -> None:
    called = {"a": 0, "b": 0, "gauge": 0}

    def call(name: str) -> None:
        called[name] += 1

    def gauge(seconds: float) -> float:
        called["gauge"] += 1
        return seconds * called["gauge"]

    times = run_rounds(
        {"a": lambda: call("a"), "b": lambda: call("b")}, gauges={"gauge": gauge}, rounds=4, slice_s=1e-4
    )
    assert {name: seconds.shape for name, seconds in times.seconds.items()} == {"a": (4,), "b": (4,)}
    assert all((seconds > 0).all() for seconds in times.seconds.values())
    np.testing.assert_allclose(times.readings["gauge"], [1e-4, 2e-4, 3e-4, 4e-4])
    # At least a call to begin with, one to choose the calls of a slice, and in each round an untimed and a timed one.
    assert min(called["a"], called["b"]) >= 2 + 4 * 2


def test_the_fastest_of_several_ways_is_found() -> None:
    assert fastest([lambda: sum(range(20_000)), lambda: None, lambda: sum(range(40_000))]) == 1
    assert fastest([lambda: pytest.fail("one way needs no trial")]) == 0


def test_the_limit_counts_every_product_and_gate() -> None:
    # 2 (8 + 64) 256 for the layer, 2 * 64 * 8 for the head; above it a second layer of 2 (64 + 64) 256.
    assert Shape(8, 64, 1).flops == 36_864 + 1_024
    assert Shape(8, 64, 2).flops == 36_864 + 65_536 + 1_024
    # 103,424 operations at 100 GFLOP/s are 1034.24 ns; two layers of 64 gates at 2 ns are 256 ns more.
    assert Shape(8, 64, 2).limit_s(peak_gflops=100, gate_ns=2) == pytest.approx(1290.24e-9)


def test_a_row_holds_rates_ratios_and_the_share_of_the_limit() -> None:
    work = Workload(Shape(8, 64, 2), 10)
    seconds = {"streamlstm": OURS * 1e-4, "blas": OURS * 2e-4, "peer": PEER * 1e-4}
    readings = {"fma_peak": np.full(5, 100.0), "gate_cost": np.array([2.0, 2.0, 2.0, 2.0, 2.0])}
    row = measurement_of(work, PairedTimes(seconds, readings), left_out={"other": "wrong"})
    assert (row.name, row.title, row.unit) == ("kernel.step.c8_h64_l2.s10", "step (8,64,2) S=10", "million steps/s")
    assert row.value == pytest.approx(10 / 2e-4 / 1e6)
    assert row.values == pytest.approx({"blas": 10 / 4e-4 / 1e6, "peer": 10 / 8e-4 / 1e6})
    assert row.ratios == pytest.approx({"blas": 2, "peer": 3})
    assert row.limit == pytest.approx(1 / 1.29024)
    assert row.share_of_limit == pytest.approx(10 * 1290.24e-9 / 2e-4)
    assert row.best_peer == "peer" and row.left_out == {"other": "wrong"}


def test_a_block_counts_every_step_of_every_stream() -> None:
    work = Workload(Shape(1, 32, 1), 3, 50)
    row = measurement_of(work, PairedTimes({"streamlstm": np.array([0.5, 0.25, 1.0])}, {}), left_out={})
    assert row.value == pytest.approx(150 / 0.5 / 1e6)
    assert row.best_peer is None and row.share_of_limit is None


def test_our_own_other_path_is_no_peer() -> None:
    row = Measurement(name="a", title="a", value=1, unit="u", ratios={"blas": 0.5, "x": 2.0, "y": 1.5})
    assert row.best_peer == "y" and row.peers == {"x": 2.0, "y": 1.5}
