"""States of streams, one a slot."""

from streamlstm.kernels.lanes cimport LanePlan
from streamlstm.kernels.weights cimport NetworkWeights
from streamlstm.kernels.worker_pool cimport WorkerPool, pool_choice


cdef class StateArena:
    cdef readonly Py_ssize_t capacity, state_size
    cdef readonly str state_dtype
    cdef bint is_half              # state_dtype is float16
    cdef list segments             # of a row: (offset, size) by layer h, then c
    cdef Py_ssize_t row            # values of a row, with what is between the segments
    cdef Py_ssize_t row_bytes, chunk_bytes, chunks_count
    cdef int shift                 # a chunk holds 2^shift rows
    cdef char** chunks             # rows that never move; every value finite, those between segments zero
    cdef NetworkWeights fitting    # weights whose states these are known to be; or None
    cdef bint is_busy              # a call is advancing it without the GIL
    cdef LanePlan plan
    cdef WorkerPool pool
    cdef pool_choice choice
    cdef char* scratch             # [workers, scratch_bytes] of a panel
    cdef Py_ssize_t scratch_bytes

    cdef inline char* at(self, Py_ssize_t slot) noexcept nogil:
        return self.chunks[slot >> self.shift] + (slot & ((1 << self.shift) - 1)) * self.row_bytes

    cdef int fit(self, NetworkWeights weights) except -1
    cdef int _move(self, const long long[::1] slots, float* rows, bint is_in) except -1
