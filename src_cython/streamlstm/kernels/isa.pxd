"""Which level of the instruction set runs."""

from streamlstm.kernels.levels cimport kernel_level

cdef const kernel_level* find_isa(str name) except NULL
