"""The levels of the instruction set; see levels/levels.h."""

from streamlstm.kernels.fused cimport fused_path
from streamlstm.kernels.prototype_set cimport prototype_path
from streamlstm.kernels.training cimport training_path

cdef extern from "levels/levels.h" nogil:
    ctypedef struct probe_path:
        Py_ssize_t width
        double (*multiply_adds)(Py_ssize_t rounds) noexcept nogil
        double (*gates)(Py_ssize_t rounds, float* state) noexcept nogil

    ctypedef struct kernel_level:
        const char* name
        const fused_path* registers
        const fused_path* blas
        const fused_path* bfloat16
        const training_path* training
        const prototype_path* prototypes
        const probe_path* probes

    const kernel_level* kernel_levels()
