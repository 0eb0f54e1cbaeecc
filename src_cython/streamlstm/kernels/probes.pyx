"""How fast this processor is on the level that runs: what benchmarks set beside their figures."""

import time

import numpy as np

from streamlstm.kernels.isa import isa
from streamlstm.kernels.isa cimport find_isa
from streamlstm.kernels.levels cimport kernel_level


def fma_peak(double seconds=0.05):
    """Measure multiply-adds on registers alone, one thread: GFLOP/s, the best of the slices that fit into the time."""
    cdef const kernel_level* level = find_isa(isa())
    cdef double done, best = 0.0
    end = time.perf_counter() + seconds
    while True:
        began = time.perf_counter()
        with nogil:
            done = level.probes.multiply_adds(100_000)
        now = time.perf_counter()
        best = max(best, done / (now - began) / 1e9)
        if now >= end:
            return best


def gate_cost(double seconds=0.05):
    """Measure an LSTM's gates on registers alone, one thread: ns a unit, the best of the slices that fit."""
    cdef const kernel_level* level = find_isa(isa())
    cdef float[::1] state = np.random.default_rng(0).normal(size=16 * level.probes.width).astype(np.float32)
    cdef double done, best = 1e9
    end = time.perf_counter() + seconds
    while True:
        began = time.perf_counter()
        with nogil:
            done = level.probes.gates(10_000, &state[0])
        now = time.perf_counter()
        best = min(best, (now - began) / done * 1e9)
        if now >= end:
            return best
