"""From the newest window of each stream to its distance from the nearest prototype.

scoring/prototypes.h has the formulas.

A row of one stream needs nothing of another, and every sum has one order, so a stream's bits do not depend on the
batch.

State by stream (float32 [R, C]): a ring of its last R samples, as many as a window reaches back.
"""

from libc.stdlib cimport free, malloc

import numpy as np

cimport numpy as cnp

from streamlstm.errors import ShapeError
from streamlstm.kernels.faces import check_array
from streamlstm.kernels.isa import isa as chosen_isa
from streamlstm.kernels.checks cimport Memory, need_apart, need_input, need_output, need_slots
from streamlstm.kernels.isa cimport find_isa
from streamlstm.kernels.prototype_set cimport PROTOTYPE_PARTS, prototype_batch, prototype_path, prototype_set

cnp.import_array()

cdef enum:
    LINE = 64  # bytes of a line of the cache
    LONGEST_STRIDE = 4096

cdef float FARTHEST = 1e6        # value of a prototype at most: samples are clipped at a hundredth of it
cdef float NEVER_NEAREST = 1e30  # half a square beyond all of prototypes, and beyond their products with windows


cdef class PackedPrototypes:
    """Packed copies of prototypes, of centred windows and of normalised ones; nothing changes them afterwards.

    Shapes: centres float32 [2, K, L, C], oldest sample first; floors float32 [C], above 0: what deviations are at
    least, about.
    Units: stride in samples, from one of a window to the next.
    Attributes: count K; taps L; channels C; stride J; span R = (L - 1) J + 1; isa, what they are packed for.
    Raises: ShapeError when they do not fit each other, are not finite or beyond 1e6, or where the stride is below 1;
    UsageError for an unknown isa.
    """

    cdef readonly Py_ssize_t count, taps, channels, stride, span
    cdef readonly str isa
    cdef prototype_set held
    cdef const prototype_path* path
    cdef list _arrays                  # keeps the memory behind `held` alive

    def __init__(self, centres, floors, *, Py_ssize_t stride=1, isa=None):
        check_array("centres", centres, np.float32, (PROTOTYPE_PARTS, None, None, None))
        self.count, self.taps, self.channels = centres.shape[1:]
        if min(self.count, self.taps, self.channels) < 1:
            raise ShapeError(f"centres: expected at least one, of one tap and channel, got {list(centres.shape)}")
        check_array("floors", floors, np.float32, (self.channels,))
        if not 1 <= stride <= LONGEST_STRIDE:
            raise ShapeError(f"stride: expected 1 to {LONGEST_STRIDE}, got {stride}")
        self.stride, self.span = stride, (self.taps - 1) * stride + 1
        if not ((np.abs(centres) <= FARTHEST).all() and np.isfinite(floors).all() and (floors > 0).all()):
            raise ShapeError(f"expected centres within {FARTHEST:g}, and finite floors above 0")
        self.isa = chosen_isa() if isa is None else isa
        self.path = find_isa(self.isa).prototypes
        self._arrays = []
        cdef Py_ssize_t block = 4 * self.path.width, width = self.taps * self.channels, part
        self.held.channels, self.held.taps, self.held.count = self.channels, self.taps, self.count
        self.held.padded = (self.count + block - 1) // block * block
        self.held.stride, self.held.span = self.stride, self.span
        for part in range(PROTOTYPE_PARTS):
            flat = centres[part].reshape(self.count, width)
            padded = np.pad(-flat, ((0, self.held.padded - self.count), (0, 0)))
            squares = 0.5 * np.square(flat.astype(np.float64)).sum(axis=1)
            self.held.plain[part] = self._keep(flat)
            self.held.packed[part] = self._keep(padded.reshape(-1, block, width).transpose(0, 2, 1))
            self.held.half_squares[part] = self._keep(
                np.pad(squares, (0, self.held.padded - self.count), constant_values=NEVER_NEAREST)
            )
        self.held.floors = self._keep(floors)

    cdef const float* _keep(self, array) except NULL:
        """Copy to memory that begins on a line of the cache, and keep it."""
        cdef float[::1] view
        flat = np.ascontiguousarray(array, np.float32).reshape(-1)
        memory = np.empty(len(flat) + LINE // 4, np.float32)
        begin = -memory.ctypes.data % LINE // 4
        memory[begin : begin + len(flat)] = flat
        self._arrays.append(memory)
        view = memory
        return &view[0] + <Py_ssize_t>begin


cdef int _need_ages(const long long* ages, Py_ssize_t count) except -1:
    """Raise ShapeError unless the ages can be what they are called: they index the ring."""
    cdef Py_ssize_t n
    cdef long long low = 0
    for n in range(count):
        low = ages[n] if ages[n] < low else low
    if low < 0:
        raise ShapeError(f"ages: expected 0 or more, got {low}")
    return 0


def advance_prototypes(
    PackedPrototypes prototypes not None, slots, *, x, reset, ages, windows, statistics, contribution, expected
):
    """Put N samples into their streams' windows; write what they measure, contribution and expected.

    Shapes: slots int64 [N], may repeat; x float32 [N, C]; reset uint8 [N]; ages int64 [N], the stream's before each
    sample; windows float32 [S, R, C]; statistics float32 [N, 2], the mean square by which the centred and the
    normalised window differ from the nearest prototype, 0 until the window is full; contribution, expected
    float32 [N, C].
    Units: expected is dimensionless, 0 until the window is full.
    State: a stream's window is zeroed where reset is set.
    Raises: ShapeError before anything changes.
    """
    cdef Memory memory
    cdef prototype_batch b
    cdef Py_ssize_t channels = prototypes.channels
    memory.count = 0
    b.slots = <const long long*>need_input(&memory, "slots", slots, cnp.NPY_INT64, 1, -1)
    b.count = cnp.PyArray_DIM(slots, 0)
    b.x = <const float*>need_input(&memory, "x", x, cnp.NPY_FLOAT32, 2, b.count, channels)
    b.reset = <const unsigned char*>need_input(&memory, "reset", reset, cnp.NPY_UINT8, 1, b.count)
    b.ages = <const long long*>need_input(&memory, "ages", ages, cnp.NPY_INT64, 1, b.count)
    b.windows = <float*>need_output(&memory, "windows", windows, cnp.NPY_FLOAT32, 3, -1, prototypes.span, channels)
    cdef Py_ssize_t capacity = cnp.PyArray_DIM(windows, 0)
    b.statistics = <float*>need_output(
        &memory, "statistics", statistics, cnp.NPY_FLOAT32, 2, b.count, PROTOTYPE_PARTS
    )
    b.contribution = <float*>need_output(&memory, "contribution", contribution, cnp.NPY_FLOAT32, 2, b.count, channels)
    b.expected = <float*>need_output(&memory, "expected", expected, cnp.NPY_FLOAT32, 2, b.count, channels)
    need_apart(&memory)
    need_slots(b.slots, b.count, capacity)
    _need_ages(b.ages, b.count)
    cdef char* scratch = <char*>malloc(prototypes.path.scratch(&prototypes.held) * sizeof(float) + LINE)
    if scratch == NULL:
        raise MemoryError("scratch for the windows of a panel")
    with nogil:
        prototypes.path.advance(
            &prototypes.held, &b, <float*>(scratch + LINE - <Py_ssize_t>(<size_t>scratch % LINE))
        )
        free(scratch)
