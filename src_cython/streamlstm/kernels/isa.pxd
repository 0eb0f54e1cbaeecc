"""Which level of the instruction set runs."""

from streamlstm.kernels.fused cimport fused_isa

cdef const fused_isa* find_isa(str name) except NULL
