"""Which level of the instruction set the step runs on, and how fast this processor is on it."""

def isas() -> list[str]:
    """Return the levels this processor has, the best first: x86-64-v4, x86-64-v3, baseline."""

def backends() -> list[str]:
    """Return the ways products are done on the level that runs: "fused", "blas", and "bfloat16" where there is one."""

def isa() -> str:
    """Return the level that runs: the best, or the one that STREAMLSTM_ISA names.

    Raises: UsageError when it names none that this processor has.
    """

def fma_peak(seconds: float = 0.05) -> float:
    """Measure multiply-adds on registers alone, one thread: GFLOP/s, the best of the slices that fit into the time."""

def gate_cost(seconds: float = 0.05) -> float:
    """Measure an LSTM's gates on registers alone, one thread: ns a unit, the best of the slices that fit."""
