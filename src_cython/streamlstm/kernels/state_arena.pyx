"""States of streams, one a slot: by layer h, then c. Rows stay where they are; the arena grows by whole chunks."""

from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

import numpy as np

from streamlstm.errors import ShapeError, UsageError
from streamlstm.kernels.faces import check_array
from streamlstm.kernels.lanes cimport LanePlan
from streamlstm.kernels.weights cimport NetworkWeights
from streamlstm.kernels.worker_pool cimport shared_pool

cdef extern from "arena/half.h" nogil:
    void halves_to_floats(Py_ssize_t count, const unsigned short* halves, float* floats)
    void floats_to_halves(Py_ssize_t count, const float* floats, unsigned short* halves)

cdef extern from "arena/pages.h" nogil:
    void* pages_new(size_t size)
    void pages_free(void* begin, size_t size)

cdef enum:
    CHUNK = 32 * 1024 * 1024   # bytes at most, half of it at least: many huge pages, the last not full


cdef bint _are_finite(const float* values, Py_ssize_t count) noexcept nogil:
    """In one pass: numpy's way writes a byte a value first, and takes as long as the copy itself."""
    cdef Py_ssize_t n
    cdef int odd = 0
    for n in range(count):
        odd |= values[n] - values[n] != 0  # of infinities and NaN it is NaN
    return not odd


cdef class StateArena:
    """The states of S streams of a network, zero at first. Every value is finite, always.

    With state_dtype "float16" they are rounded to it after every step: half the memory, for an error of about 5e-4 of
    a value. With `threads` above 1 the step shards streams over as many.
    Not for two threads at once: the kernels' scratch belongs to the arena.
    """

    def __init__(self, NetworkWeights weights not None, Py_ssize_t capacity, *, str state_dtype="float32",
                 int threads=1):
        if capacity < 1 or threads < 1:
            raise ShapeError(f"expected capacity and threads above 0, got {capacity} and {threads}")
        if state_dtype not in ("float32", "float16"):
            raise UsageError(f"state_dtype: expected 'float32' or 'float16', got {state_dtype!r}")
        self.segments, self.row, self.state_size = weights.segments, weights.network.row, weights.state_size
        self.state_dtype, self.is_half = state_dtype, state_dtype == "float16"
        self.row_bytes = self.row * (2 if self.is_half else 4)
        self.shift = 0
        while self.row_bytes << (self.shift + 1) <= CHUNK:
            self.shift += 1
        self.chunk_bytes = self.row_bytes << self.shift
        self.plan = LanePlan()
        self.pool = shared_pool(threads)
        self.grow(capacity)
        self.fit(weights)

    def __dealloc__(self):
        for index in range(self.chunks_count):
            pages_free(self.chunks[index], self.chunk_bytes)
        free(self.chunks)
        if self.scratch != NULL:
            pages_free(self.scratch, self.scratch_bytes * self.pool.threads)

    def grow(self, Py_ssize_t capacity):
        """Allocate more slots; what exists is not moved. Raises: MemoryError, and nothing has changed."""
        if self.is_busy:
            raise UsageError("arena: another thread is advancing it; it cannot grow now")
        if capacity < self.capacity:
            raise ShapeError(f"capacity: expected at least the present {self.capacity}, got {capacity}")
        cdef Py_ssize_t wanted = (capacity + (1 << self.shift) - 1) >> self.shift
        cdef char** chunks = <char**>realloc(self.chunks, wanted * sizeof(char*))
        if chunks == NULL:
            raise MemoryError(f"{capacity:,} states")
        self.chunks = chunks
        while self.chunks_count < wanted:
            chunks[self.chunks_count] = <char*>pages_new(self.chunk_bytes)
            if chunks[self.chunks_count] == NULL:
                raise MemoryError(f"{capacity:,} states of {self.row_bytes:,} bytes")
            self.chunks_count += 1
        self.plan.reserve_slots(capacity)
        self.capacity = capacity

    def reset(self, slots):
        """Zero the rows of slots [B], int64."""
        cdef const long long[::1] checked = self._checked(slots)
        cdef Py_ssize_t n
        with nogil:
            for n in range(checked.shape[0]):
                memset(self.at(checked[n]), 0, self.row_bytes)

    def export(self, slots):
        """Return copies of the states of slots [B], int64: float32 [B, state_size], by layer h, then c."""
        cdef const long long[::1] checked = self._checked(slots)
        cdef float[:, ::1] rows = np.empty((len(slots), self.state_size), np.float32)
        if len(slots):
            self._move(checked, &rows[0, 0], False)
        return np.asarray(rows)

    def load(self, slots, rows):
        """Write finite states [B, state_size] to slots [B], int64. Raises: ShapeError before anything changes."""
        cdef const long long[::1] checked = self._checked(slots)
        check_array("rows", rows, np.float32, (len(slots), self.state_size))
        cdef const float[:, ::1] view = rows
        if len(slots):
            if not _are_finite(&view[0, 0], view.shape[0] * view.shape[1]):
                raise ShapeError("rows: expected finite values")
            self._move(checked, <float*>&view[0, 0], True)

    cdef int _move(self, const long long[::1] slots, float* rows, bint is_in) except -1:
        """Copy between rows [B, state_size] and the states of slots [B]."""
        cdef Py_ssize_t n, s, count = len(self.segments), size
        cdef Py_ssize_t[:, ::1] segments = np.array(self.segments, np.intp)
        cdef float* row
        cdef char* state
        with nogil:
            for n in range(slots.shape[0]):
                row = rows + n * self.state_size
                state = self.at(slots[n])
                for s in range(count):
                    size = segments[s, 1]
                    if self.is_half and is_in:
                        floats_to_halves(size, row, <unsigned short*>state + segments[s, 0])
                    elif self.is_half:
                        halves_to_floats(size, <const unsigned short*>state + segments[s, 0], row)
                    elif is_in:
                        memcpy(<float*>state + segments[s, 0], row, size * sizeof(float))
                    else:
                        memcpy(row, <const float*>state + segments[s, 0], size * sizeof(float))
                    row += size
        return 0

    cdef int fit(self, NetworkWeights weights) except -1:
        """Check that these weights' states are laid out as the arena's, and allocate scratch for their panels."""
        if weights.segments != self.segments or weights.network.row != self.row:
            raise ShapeError(
                f"arena: expected states of {weights.state_size} values laid out as the weights have them, "
                f"got {self.state_size}; an arena serves the network (and the instruction set) it was made for"
            )
        cdef Py_ssize_t needed = (4 * weights.path.scratch(&weights.network) + 4095) // 4096 * 4096
        if needed > self.scratch_bytes:
            if self.scratch != NULL:
                pages_free(self.scratch, self.scratch_bytes * self.pool.threads)
            self.scratch = <char*>pages_new(needed * self.pool.threads)
            if self.scratch == NULL:
                self.scratch_bytes = 0
                raise MemoryError(f"{needed * self.pool.threads:,} bytes of scratch")
            self.scratch_bytes = needed
        self.fitting = weights
        return 0

    def _checked(self, slots):
        check_array("slots", slots, np.int64, (None,))
        if len(slots) and not (0 <= slots.min() and slots.max() < self.capacity):
            raise ShapeError(f"slots: expected 0 to {self.capacity - 1}, got {slots.min()} to {slots.max()}")
        return slots
