"""What becomes of each sample before the network sees it: order, gaps, units, missing channels.

One pass over N rows in arrival order; a stream's memory is its row in the arrays. For row n of stream s:

    t <= last_time[s]                     -> LATE: left out, nothing changes
    t - last_time[s] > reset_after > 0    -> GAP: the stream's state starts again (reset = 1)
    t - last_time[s] > forget_after > 0   -> as a stream never seen (reset = 2): releasing its row shows nowhere
    x = clip((v - mean) / scale, -X, X)   observed channels; remembered as last[s]
    x = last[s]                           missing channels (NaN, infinite): carried forward -> IMPUTED
    no channel at all                     -> not measured: what is carried forward says nothing new of the stream
    the first `settle_rows` rows after `hole_rows` such rows or more -> WARMING, and not measured either: the network
                                             has seen nothing but its own past, and is far from what comes back

State: last_time [S] is NEVER until a stream's first sample; last [S, C] is standardised and 0 until first observed;
ages [S] counts the samples since the stream began, late ones left out; holes [S] counts the rows without a value that
came last, and below 0 the rows that are left to settle.
"""

from libc.math cimport isfinite

cimport numpy as cnp

from streamlstm.errors import ShapeError
from streamlstm.kernels.checks cimport Memory, need_apart, need_input, need_output, need_slots
from streamlstm.types import Status

cnp.import_array()

NEVER = -(1 << 62)

cdef long long _NEVER = NEVER
cdef unsigned char READY = Status.READY
cdef unsigned char IMPUTED = Status.IMPUTED
cdef unsigned char WARMING = Status.WARMING
cdef unsigned char GAP = Status.GAP
cdef unsigned char LATE = Status.LATE


cdef struct Samples:                   # N of them, of streams in S slots; C channels
    Py_ssize_t count, channels
    const long long* slots             # [N]
    const long long* event_time_ms     # [N]
    const float* values                # [N, C], NaN = missing
    const float* mean                  # [C]
    const float* scale                 # [C]
    long long reset_after_ms, forget_after_ms, hole_rows, settle_rows
    float limit
    long long* last_time               # [S]
    float* last                        # [S, C]
    long long* ages                    # [S]
    long long* holes                   # [S]
    unsigned char* status              # [N]
    unsigned char* reset               # [N]
    unsigned char* observed            # [N, C]
    unsigned char* measured            # [N]
    float* x                           # [N, C]
    long long* row_ages                # [N]


cdef inline bint _is_longer(unsigned long long silence, long long bound) noexcept nogil:
    return bound > 0 and silence > <unsigned long long>bound


cdef void _admit(const Samples* samples) noexcept nogil:
    cdef Py_ssize_t channels = samples.channels, n, c
    cdef const float* mean = samples.mean
    cdef const float* scale = samples.scale
    cdef const float* values
    cdef float* last
    cdef float* x
    cdef unsigned char* observed
    cdef unsigned char status, reset
    cdef long long* last_time
    cdef long long* hole
    cdef long long t
    cdef unsigned long long silence
    cdef bint is_whole, is_empty
    cdef float z, limit = samples.limit
    for n in range(samples.count):
        t = samples.event_time_ms[n]
        last_time = samples.last_time + samples.slots[n]
        if t <= last_time[0]:
            samples.status[n], samples.reset[n], samples.measured[n] = LATE, 0, 0
            continue
        status, reset = READY, 0
        last = samples.last + samples.slots[n] * channels
        if last_time[0] != _NEVER:
            # Without a sign, as times may lie farther apart than the largest number with one.
            silence = <unsigned long long>t - <unsigned long long>last_time[0]
            if _is_longer(silence, samples.forget_after_ms):
                reset = 2
            elif _is_longer(silence, samples.reset_after_ms):
                status, reset = GAP, 1
        hole = samples.holes + samples.slots[n]
        if reset:
            hole[0] = 0
            for c in range(channels):
                last[c] = 0.0
            samples.ages[samples.slots[n]] = 0
        samples.row_ages[n] = samples.ages[samples.slots[n]]
        samples.ages[samples.slots[n]] += 1
        last_time[0] = t
        values, x, observed = samples.values + n * channels, samples.x + n * channels, samples.observed + n * channels
        is_whole, is_empty = True, True
        for c in range(channels):
            if isfinite(values[c]):
                z = (values[c] - mean[c]) / scale[c]
                z = limit if z > limit else (-limit if z < -limit else z)
                observed[c] = 1
                is_empty = False
                last[c] = z
            else:
                observed[c] = 0
                is_whole = False
            x[c] = last[c]
        if not is_whole and status == READY:
            status = IMPUTED
        if is_empty:
            hole[0] += hole[0] >= 0
        elif hole[0] >= 0:
            hole[0] = -samples.settle_rows if hole[0] >= samples.hole_rows else 0
        samples.measured[n] = not is_empty and hole[0] == 0
        if not is_empty and hole[0] < 0:
            hole[0] += 1
            status = WARMING
        samples.status[n] = status
        samples.reset[n] = reset


cdef int _need_ages(const Samples* samples) except -1:
    """Raise ShapeError unless the streams' ages can be what they are called."""
    cdef Py_ssize_t n
    cdef long long low = 0
    for n in range(samples.count):
        low = samples.ages[samples.slots[n]] if samples.ages[samples.slots[n]] < low else low
    if low < 0:
        raise ShapeError(f"ages: expected 0 or more, got {low}")
    return 0


def admit(
    slots,
    *,
    event_time_ms,
    values,
    mean,
    scale,
    long long reset_after_ms,
    long long forget_after_ms,
    long long hole_rows,
    long long settle_rows,
    float limit,
    last_time,
    last,
    ages,
    holes,
    status,
    reset,
    observed,
    measured,
    x,
    row_ages,
):
    """Fill status, reset, observed, measured, x and row_ages; advance the streams' last times, values, ages and holes.

    Shapes: slots, event_time_ms int64 [N], slots may repeat; values float32 [N, C], NaN = missing; mean, scale float32
    [C]; last_time, ages, holes int64 [S]; last float32 [S, C]; status, reset, measured uint8 [N]; observed uint8
    [N, C]; x float32 [N, C]; row_ages int64 [N], the stream's age before each sample.
    Units: values and mean in the channel's unit; x dimensionless, within +-limit; hole_rows (at least 1) and
    settle_rows in samples. Late rows of observed, x and row_ages are left as they are.
    Raises: ShapeError before anything changes.
    """
    cdef Memory memory
    cdef Samples s
    memory.count = 0
    s.slots = <const long long*>need_input(&memory, "slots", slots, cnp.NPY_INT64, 1, -1)
    s.count = cnp.PyArray_DIM(slots, 0)
    s.event_time_ms = <const long long*>need_input(
        &memory, "event_time_ms", event_time_ms, cnp.NPY_INT64, 1, s.count
    )
    s.mean = <const float*>need_input(&memory, "mean", mean, cnp.NPY_FLOAT32, 1, -1)
    s.channels = cnp.PyArray_DIM(mean, 0)
    s.scale = <const float*>need_input(&memory, "scale", scale, cnp.NPY_FLOAT32, 1, s.channels)
    s.values = <const float*>need_input(&memory, "values", values, cnp.NPY_FLOAT32, 2, s.count, s.channels)
    s.last_time = <long long*>need_output(&memory, "last_time", last_time, cnp.NPY_INT64, 1, -1)
    cdef Py_ssize_t capacity = cnp.PyArray_DIM(last_time, 0)
    s.last = <float*>need_output(&memory, "last", last, cnp.NPY_FLOAT32, 2, capacity, s.channels)
    s.ages = <long long*>need_output(&memory, "ages", ages, cnp.NPY_INT64, 1, capacity)
    s.holes = <long long*>need_output(&memory, "holes", holes, cnp.NPY_INT64, 1, capacity)
    s.status = <unsigned char*>need_output(&memory, "status", status, cnp.NPY_UINT8, 1, s.count)
    s.reset = <unsigned char*>need_output(&memory, "reset", reset, cnp.NPY_UINT8, 1, s.count)
    s.observed = <unsigned char*>need_output(&memory, "observed", observed, cnp.NPY_UINT8, 2, s.count, s.channels)
    s.measured = <unsigned char*>need_output(&memory, "measured", measured, cnp.NPY_UINT8, 1, s.count)
    s.x = <float*>need_output(&memory, "x", x, cnp.NPY_FLOAT32, 2, s.count, s.channels)
    s.row_ages = <long long*>need_output(&memory, "row_ages", row_ages, cnp.NPY_INT64, 1, s.count)
    if not limit > 0:
        raise ShapeError(f"limit: expected a number above 0, got {limit}")
    if hole_rows < 1 or settle_rows < 0:
        raise ShapeError(f"expected hole_rows above 0 and settle_rows of 0 or more, got {hole_rows} and {settle_rows}")
    need_apart(&memory)
    need_slots(s.slots, s.count, capacity)
    _need_ages(&s)
    s.reset_after_ms, s.forget_after_ms, s.limit = reset_after_ms, forget_after_ms, limit
    s.hole_rows, s.settle_rows = hole_rows, settle_rows
    with nogil:
        _admit(&s)
