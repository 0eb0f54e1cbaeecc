"""Which level of the instruction set the step runs on, and how fast this processor is on it.

The step is compiled for x86-64-v4 (AVX-512), x86-64-v3 (AVX2, FMA) and the baseline; the best that the processor has is
taken, or the one that STREAMLSTM_ISA names. Within one level a stream's outputs have the same bits on every processor;
levels differ by rounding.
"""

import os
import time

import numpy as np

from streamlstm.errors import UsageError
from scipy.linalg.cython_blas cimport sgemm

from streamlstm.kernels cimport fused
from streamlstm.kernels.fused cimport fused_isa, fused_isas

fused.fused_sgemm = <fused.fused_sgemm_function>sgemm


def isas():
    """Return the levels this processor has, the best first."""
    cdef const fused_isa* level = fused_isas()
    names = []
    while level.name != NULL:
        names.append(level.name.decode())
        level += 1
    return names


def backends():
    """Return the ways products are done on the level that runs: "fused", "blas", and "bfloat16" where there is one."""
    return ["fused", "blas"] + (["bfloat16"] if find_isa(isa()).bfloat16 != NULL else [])


def isa():
    """Return the level that runs.

    Raises: UsageError when STREAMLSTM_ISA names none that this processor has.
    """
    known = isas()
    wanted = os.environ.get("STREAMLSTM_ISA") or known[0]
    if wanted not in known:
        raise UsageError(
            f"STREAMLSTM_ISA: expected one of {', '.join(known)}, which this processor has, got {wanted!r}"
        )
    return wanted


cdef const fused_isa* find_isa(str name) except NULL:
    cdef const fused_isa* level = fused_isas()
    while level.name != NULL:
        if level.name.decode() == name:
            return level
        level += 1
    raise UsageError(f"isa: expected one of {', '.join(isas())}, which this processor has, got {name!r}")


def fma_peak(double seconds=0.05):
    """Measure multiply-adds on registers alone, one thread: GFLOP/s, the best of the slices that fit into the time."""
    cdef const fused_isa* level = find_isa(isa())
    cdef double done, best = 0.0
    end = time.perf_counter() + seconds
    while True:
        began = time.perf_counter()
        with nogil:
            done = level.registers.multiply_adds(100_000)
        now = time.perf_counter()
        best = max(best, done / (now - began) / 1e9)
        if now >= end:
            return best


def gate_cost(double seconds=0.05):
    """Measure an LSTM's gates on registers alone, one thread: ns a unit, the best of the slices that fit."""
    cdef const fused_isa* level = find_isa(isa())
    cdef float[::1] state = np.random.default_rng(0).normal(size=16 * level.registers.width).astype(np.float32)
    cdef double done, best = 1e9
    end = time.perf_counter() + seconds
    while True:
        began = time.perf_counter()
        with nogil:
            done = level.registers.gates(10_000, &state[0])
        now = time.perf_counter()
        best = min(best, (now - began) / done * 1e9)
        if now >= end:
            return best
