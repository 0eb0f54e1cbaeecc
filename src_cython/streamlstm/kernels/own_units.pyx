"""How a young stream's values lie and move, summed sample by sample until it comes to a step in age.

For each row n of stream s that is not late, in arrival order, with z = (v - mean) / scale of each observed channel:

    t - last time > forget_after > 0      -> as a stream never seen: all of its own begins anew
    rows[s] >= the last of the steps      -> nothing: the stream has grown up
    rows += 1;  sum += z;  sum of squares += min(|z - z before|, cap)^2
    rows is one of the steps              -> the stream is pending: its units are decided before its next row

A call ends before a row of a pending stream, and before one that is forgotten and has had other units in the call, so
that the units of a stream are the same in all of its rows.

State: rows, times int64 [S]; sums float64 [S, 2, C] of z and of squared moves; counts int32 [S, 2, C] of both; last
float32 [S, C], the last z; units float32 [S, 2, C], factor - 1 and shift, which are 0 for a stream in the model's
units; pending uint8 [S].
"""

from libc.math cimport fabs, isfinite
from libc.string cimport memset

cimport numpy as cnp

from streamlstm.errors import ShapeError
from streamlstm.kernels.admission import NEVER
from streamlstm.kernels.checks cimport Memory, need_apart, need_input, need_output, need_slots

cnp.import_array()

cdef long long _NEVER = NEVER
cdef double FARTHEST = 1e6             # deviations; sums stay finite whatever comes


cdef struct Young:                     # N samples of streams in S slots; C channels
    Py_ssize_t count, channels, steps
    const long long* slots             # [N]
    const long long* event_time_ms     # [N]
    const float* values                # [N, C], NaN = missing
    const float* mean                  # [C]
    const float* scale                 # [C]
    const double* caps                 # [C]
    const long long* ages              # [K], rising
    const long long* last_time         # [S], as before the call
    long long forget_after_ms
    long long* rows                    # [S]
    long long* times                   # [S]
    double* sums                       # [S, 2, C]
    int* counts                        # [S, 2, C]
    float* last                        # [S, C]
    float* units                       # [S, 2, C]
    unsigned char* pending             # [S]


cdef inline void _add(const Young* y, Py_ssize_t n, long long s) noexcept nogil:
    cdef Py_ssize_t channels = y.channels, c
    cdef const float* values = y.values + n * channels
    cdef double* sums = y.sums + 2 * s * channels
    cdef int* counts = y.counts + 2 * s * channels
    cdef float* last = y.last + s * channels
    cdef double z, move
    for c in range(channels):
        if not isfinite(values[c]):
            continue
        z = (<double>values[c] - y.mean[c]) / y.scale[c]
        z = FARTHEST if z > FARTHEST else (-FARTHEST if z < -FARTHEST else z)
        if counts[c] > 0:
            move = fabs(z - last[c])
            move = y.caps[c] if move > y.caps[c] else move
            sums[channels + c] += move * move
            counts[channels + c] += 1
        sums[c] += z
        counts[c] += 1
        last[c] = <float>z


cdef inline bint _has_units(const Young* y, long long s) noexcept nogil:
    cdef Py_ssize_t c
    for c in range(2 * y.channels):
        if y.units[2 * s * y.channels + c] != 0:
            return True
    return False


cdef inline void _forget(const Young* y, long long s) noexcept nogil:
    cdef Py_ssize_t channels = y.channels
    y.rows[s] = 0
    memset(y.sums + 2 * s * channels, 0, 2 * channels * sizeof(double))
    memset(y.counts + 2 * s * channels, 0, 2 * channels * sizeof(int))
    memset(y.last + s * channels, 0, channels * sizeof(float))
    memset(y.units + 2 * s * channels, 0, 2 * channels * sizeof(float))


cdef Py_ssize_t _follow(const Young* y) noexcept nogil:
    """Return before which row the call ends."""
    cdef Py_ssize_t n, k
    cdef long long s, t, before
    cdef bint came
    for n in range(y.count):
        s, t = y.slots[n], y.event_time_ms[n]
        came = y.rows[s] > 0 and y.times[s] > y.last_time[s]  # in this call
        before = y.times[s] if came else y.last_time[s]
        if t <= before:
            continue
        if y.pending[s]:
            return n
        if before != _NEVER and y.forget_after_ms > 0 and (
            <unsigned long long>t - <unsigned long long>before > <unsigned long long>y.forget_after_ms
        ):
            if came and _has_units(y, s):
                return n
            _forget(y, s)
        y.times[s] = t
        if y.rows[s] >= y.ages[y.steps - 1]:
            continue
        y.rows[s] += 1
        _add(y, n, s)
        for k in range(y.steps):
            if y.rows[s] == y.ages[k]:
                y.pending[s] = 1
    return y.count


def follow_young(
    slots,
    *,
    event_time_ms,
    values,
    mean,
    scale,
    caps,
    ages,
    last_time,
    long long forget_after_ms,
    rows,
    times,
    sums,
    counts,
    last,
    units,
    pending,
):
    """Add samples to what is known of their streams while these are young; return for how many rows it was done.

    Shapes: slots, event_time_ms int64 [N], slots may repeat; values float32 [N, C], NaN = missing; mean, scale float32
    [C]; caps float64 [C]; ages int64 [K], rising, K at least 1; last_time int64 [S], as before these samples; rows,
    times int64 [S]; sums float64 [S, 2, C]; counts int32 [S, 2, C]; last float32 [S, C]; units float32 [S, 2, C];
    pending uint8 [S].
    State: as the module says; the caller decides the units of pending streams, and takes the mark away.
    Raises: ShapeError before anything changes.
    """
    cdef Memory memory
    cdef Young y
    cdef Py_ssize_t k, done
    memory.count = 0
    y.slots = <const long long*>need_input(&memory, "slots", slots, cnp.NPY_INT64, 1, -1)
    y.count = cnp.PyArray_DIM(slots, 0)
    y.event_time_ms = <const long long*>need_input(
        &memory, "event_time_ms", event_time_ms, cnp.NPY_INT64, 1, y.count
    )
    y.mean = <const float*>need_input(&memory, "mean", mean, cnp.NPY_FLOAT32, 1, -1)
    y.channels = cnp.PyArray_DIM(mean, 0)
    y.scale = <const float*>need_input(&memory, "scale", scale, cnp.NPY_FLOAT32, 1, y.channels)
    y.caps = <const double*>need_input(&memory, "caps", caps, cnp.NPY_FLOAT64, 1, y.channels)
    y.values = <const float*>need_input(&memory, "values", values, cnp.NPY_FLOAT32, 2, y.count, y.channels)
    y.ages = <const long long*>need_input(&memory, "ages", ages, cnp.NPY_INT64, 1, -1)
    y.steps = cnp.PyArray_DIM(ages, 0)
    y.last_time = <const long long*>need_input(&memory, "last_time", last_time, cnp.NPY_INT64, 1, -1)
    cdef Py_ssize_t capacity = cnp.PyArray_DIM(last_time, 0)
    y.rows = <long long*>need_output(&memory, "rows", rows, cnp.NPY_INT64, 1, capacity)
    y.times = <long long*>need_output(&memory, "times", times, cnp.NPY_INT64, 1, capacity)
    y.sums = <double*>need_output(&memory, "sums", sums, cnp.NPY_FLOAT64, 3, capacity, 2, y.channels)
    y.counts = <int*>need_output(&memory, "counts", counts, cnp.NPY_INT32, 3, capacity, 2, y.channels)
    y.last = <float*>need_output(&memory, "last", last, cnp.NPY_FLOAT32, 2, capacity, y.channels)
    y.units = <float*>need_output(&memory, "units", units, cnp.NPY_FLOAT32, 3, capacity, 2, y.channels)
    y.pending = <unsigned char*>need_output(&memory, "pending", pending, cnp.NPY_UINT8, 1, capacity)
    if y.steps < 1:
        raise ShapeError("ages: expected at least one, got none")
    for k in range(y.steps):
        if y.ages[k] < (1 if k == 0 else y.ages[k - 1] + 1):
            raise ShapeError("ages: expected numbers above 0 that rise")
    need_apart(&memory)
    need_slots(y.slots, y.count, capacity)
    y.forget_after_ms = forget_after_ms
    with nogil:
        done = _follow(&y)
    return done
