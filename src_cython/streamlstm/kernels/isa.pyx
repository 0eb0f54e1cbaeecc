"""Which level of the instruction set runs: the step, training and AdamW, all on the same one.

They are compiled for x86-64-v4 (AVX-512), x86-64-v3 (AVX2, FMA) and the baseline; the best that the processor has is
taken, or the one that STREAMLSTM_ISA names. Within one level a stream's outputs have the same bits on every processor;
levels differ by rounding.
"""

import os

from streamlstm.errors import UsageError
from scipy.linalg.cython_blas cimport sgemm

from streamlstm.kernels cimport fused
from streamlstm.kernels.levels cimport kernel_level, kernel_levels

# The one door to BLAS, for the step's path through it. What NumPy multiplies goes through NumPy's own.
fused.fused_sgemm = <fused.fused_sgemm_function>sgemm


def isas():
    """Return the levels this processor has, the best first."""
    cdef const kernel_level* level = kernel_levels()
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


cdef const kernel_level* find_isa(str name) except NULL:
    cdef const kernel_level* level = kernel_levels()
    while level.name != NULL:
        if level.name.decode() == name:
            return level
        level += 1
    raise UsageError(f"isa: expected one of {', '.join(isas())}, which this processor has, got {name!r}")
