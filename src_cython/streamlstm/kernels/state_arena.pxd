"""Rows of network state, one a slot."""

cdef enum:
    BLOCK = 8   # streams in a gate product; see step.pyx


cdef class StateArena:
    cdef readonly Py_ssize_t capacity, layers, hidden_size
    cdef float[:, :, ::1] hidden      # [S, L, H], finite
    cdef float[:, :, ::1] cell        # [S, L, H], finite
    cdef bint is_busy                 # a call is advancing it without the GIL
    cdef int[::1] seen                # [S], zero between calls: how many samples of a slot a call has met
    cdef float[:, ::1] z              # [BLOCK, 4H] pre-activations; rows beyond the streams: anything finite
    cdef float[:, ::1] h              # [BLOCK, H] hidden state of the layer at hand
    cdef float[::1] block             # [BLOCK * max(I, H)] inputs of the layer at hand; I as the calls so far had it
    cdef Py_ssize_t[:, ::1] places    # [3, N] order, round and ends of rounds; N of the largest call so far
