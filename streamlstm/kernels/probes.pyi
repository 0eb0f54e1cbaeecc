"""How fast this processor is on the level that runs: what benchmarks set beside their figures."""

def fma_peak(seconds: float = 0.05) -> float:
    """Measure multiply-adds on registers alone, one thread: GFLOP/s, the best of the slices that fit into the time."""

def gate_cost(seconds: float = 0.05) -> float:
    """Measure an LSTM's gates on registers alone, one thread: ns a unit, the best of the slices that fit."""
