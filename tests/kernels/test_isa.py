"""Which instruction set runs, and that the one named by the environment does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE_S

import streamlstm as package
from streamlstm.kernels import fma_peak, gate_cost, isas

SOURCES = Path(__file__).parents[2] / "src_cython"

SCRIPT = """
import numpy as np
from streamlstm.kernels import CellWeights, NetworkWeights, StateArena, isa, step
r = np.random.default_rng(0)
weights = NetworkWeights([CellWeights("lstm", *(r.normal(size=s).astype("f4") for s in ((20, 3), (20, 5), 20)))])
out = np.empty((2, 5), "f4")
step(weights, StateArena(weights, 2), np.arange(2), r.normal(size=(2, 3)).astype("f4"), out)
print(isa(), weights.isa, bool(np.isfinite(out).all()))
"""


def run_script(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a folder of its own: in the checkout Python would import the sources, which need not be built."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"PYTHONPATH": str(Path(package.__file__).resolve().parents[1])} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize("isa", isas())
def test_the_environment_chooses(isa: str, tmp_path: Path) -> None:
    assert run_script(tmp_path, STREAMLSTM_ISA=isa).stdout.split() == [isa, isa, "True"]


def test_the_best_is_taken_unless_told(tmp_path: Path) -> None:
    assert isas()[-1] == "baseline"
    assert run_script(tmp_path, STREAMLSTM_ISA="").stdout.split()[0] == isas()[0]


def test_what_the_processor_has_not_is_refused_in_a_sentence(tmp_path: Path) -> None:
    done = run_script(tmp_path, STREAMLSTM_ISA="z80")
    assert f"STREAMLSTM_ISA: expected one of {', '.join(isas())}, which this processor has, got 'z80'" in done.stderr


def test_one_file_alone_asks_what_the_processor_has() -> None:
    """A function that the compiler or the loader chose by itself would not obey STREAMLSTM_ISA."""
    sources = [path for path in SOURCES.rglob("*") if path.suffix in (".c", ".h", ".pyx", ".pxd")]
    asking = re.compile(r"target_clones|\bifunc\b|__builtin_cpu_|\bcpuid\b")
    assert len(sources) > 20
    assert [path.name for path in sources if asking.search(path.read_text("utf-8"))] == ["dispatch.c"]


def test_the_measures_of_the_processor_are_plausible() -> None:
    """Bounded on the side that no busy machine and no sanitizer moves them to."""
    assert 0 < fma_peak(0.01) < 2000  # GFLOP/s
    assert gate_cost(0.01) > 0.01  # ns a unit
