"""A second verdict on each sample, when what came after it is known: the mean of the scores from it on.

    settled(t) = (score(t) + score(t + 1) + .. + score(t + L - 1)) / L          known at t + L - 1

Samples without a score are not counted. Where a stream begins anew (reset), those that still wait are not settled.

Scores are counted in units of 2^-16, a higher one than 65,535 as that. So the sum over the ring is one of integers: it
is exact however long the stream has run, and what enters it leaves it whole.

State by stream: rings of the last L scores with the event times and marks of their samples, the sum over the ring, and
how many scores have entered it, which says where the next one goes.
"""

from libc.math cimport NAN

cimport numpy as cnp

from streamlstm.errors import ShapeError
from streamlstm.kernels.checks cimport Memory, need_apart, need_input, need_output, need_slots

cnp.import_array()

cdef double UNITS = 65536.0
cdef double HIGHEST = 65535.0          # times UNITS it fits 32 bits


cdef struct Verdicts:                  # on N samples of streams in S slots; rings of L
    Py_ssize_t count, length
    const long long* slots             # [N]
    const double* score                # [N], NaN = none
    const unsigned char* reset         # [N], not 0 = the stream begins anew
    const long long* event_time_ms     # [N]
    const long long* marks             # [N]
    unsigned int* rings                # [S, L]
    long long* times                   # [S, L]
    long long* ring_marks              # [S, L]
    long long* sums                    # [S], of the last L scores at most
    long long* entered                 # [S], scores so far, once there are 2 L as L; modulo L, where the next goes
    double* settled                    # [N], NaN = none
    double* settled_score              # [N]
    long long* settled_time_ms         # [N]
    long long* settled_mark            # [N]


cdef inline bint _is_sound(const Verdicts* v, long long s) noexcept nogil:
    """Whether the counters are what a run can have left: of others, from outside, none may point beside the ring."""
    return 0 <= v.entered[s] < 2 * v.length and 0 <= v.sums[s] <= <long long>v.length << 32


cdef void _settle(const Verdicts* v) noexcept nogil:
    cdef Py_ssize_t n, place
    cdef long long s
    cdef double score
    for n in range(v.count):
        v.settled[n] = v.settled_score[n] = NAN
        v.settled_time_ms[n] = v.settled_mark[n] = 0
        s = v.slots[n]
        if v.reset[n] or not _is_sound(v, s):
            v.entered[s] = v.sums[s] = 0
        score = v.score[n]
        if score != score:
            continue
        place = s * v.length + v.entered[s] % v.length
        if v.entered[s] >= v.length:
            v.sums[s] -= v.rings[place]
        score = HIGHEST if score > HIGHEST else (0.0 if score < 0.0 else score)
        v.rings[place] = <unsigned int>(score * UNITS + 0.5)
        v.times[place], v.ring_marks[place] = v.event_time_ms[n], v.marks[n]
        v.sums[s] += v.rings[place]
        v.entered[s] = v.entered[s] + 1 if v.entered[s] + 1 < 2 * v.length else v.length
        if v.entered[s] < v.length:
            continue
        place = s * v.length + v.entered[s] % v.length  # that of the oldest
        v.settled[n] = <double>v.sums[s] / (UNITS * <double>v.length)
        v.settled_score[n] = <double>v.rings[place] / UNITS
        v.settled_time_ms[n], v.settled_mark[n] = v.times[place], v.ring_marks[place]


def settle_scores(
    slots,
    *,
    score,
    reset,
    event_time_ms,
    marks,
    rings,
    times,
    ring_marks,
    sums,
    entered,
    settled,
    settled_score,
    settled_time_ms,
    settled_mark,
):
    """Write for each sample the verdict that it brings: that on its stream's sample L - 1 scores earlier.

    Shapes: slots int64 [N], may repeat; score float64 [N], NaN = none; reset uint8 [N]; event_time_ms, marks int64 [N];
    rings uint32 [S, L]; times, ring_marks int64 [S, L]; sums, entered int64 [S]; settled, settled_score float64 [N],
    NaN = none; settled_time_ms, settled_mark int64 [N], 0 where there is none.
    Raises: ShapeError before anything changes.
    """
    cdef Memory memory
    cdef Verdicts v
    memory.count = 0
    v.slots = <const long long*>need_input(&memory, "slots", slots, cnp.NPY_INT64, 1, -1)
    v.count = cnp.PyArray_DIM(slots, 0)
    v.score = <const double*>need_input(&memory, "score", score, cnp.NPY_FLOAT64, 1, v.count)
    v.reset = <const unsigned char*>need_input(&memory, "reset", reset, cnp.NPY_UINT8, 1, v.count)
    v.event_time_ms = <const long long*>need_input(&memory, "event_time_ms", event_time_ms, cnp.NPY_INT64, 1, v.count)
    v.marks = <const long long*>need_input(&memory, "marks", marks, cnp.NPY_INT64, 1, v.count)
    v.rings = <unsigned int*>need_output(&memory, "rings", rings, cnp.NPY_UINT32, 2, -1, -1)
    cdef Py_ssize_t capacity = cnp.PyArray_DIM(rings, 0)
    v.length = cnp.PyArray_DIM(rings, 1)
    v.times = <long long*>need_output(&memory, "times", times, cnp.NPY_INT64, 2, capacity, v.length)
    v.ring_marks = <long long*>need_output(&memory, "ring_marks", ring_marks, cnp.NPY_INT64, 2, capacity, v.length)
    v.sums = <long long*>need_output(&memory, "sums", sums, cnp.NPY_INT64, 1, capacity)
    v.entered = <long long*>need_output(&memory, "entered", entered, cnp.NPY_INT64, 1, capacity)
    v.settled = <double*>need_output(&memory, "settled", settled, cnp.NPY_FLOAT64, 1, v.count)
    v.settled_score = <double*>need_output(&memory, "settled_score", settled_score, cnp.NPY_FLOAT64, 1, v.count)
    v.settled_time_ms = <long long*>need_output(
        &memory, "settled_time_ms", settled_time_ms, cnp.NPY_INT64, 1, v.count
    )
    v.settled_mark = <long long*>need_output(&memory, "settled_mark", settled_mark, cnp.NPY_INT64, 1, v.count)
    if v.length < 1:
        raise ShapeError("rings: expected room for at least one score, got none")
    need_apart(&memory)
    need_slots(v.slots, v.count, capacity)
    with nogil:
        _settle(&v)
