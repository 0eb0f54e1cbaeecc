"""How long each channel of each stream has kept one value, and how long it has had none. One pass, row by row.

For the value v of channel c in row n of a stream, at time t:

    v is a number      hole = 0
                       run  = run + 1       where |v - first| <= 1e-6 |first|, `first` being the run's first value
                       run  = 1, first = v  else; the run begins at t
    v is missing       hole = hole + 1      the hole begins at t where it was 0; the run neither grows nor ends

    found  FLAT      in the row in which the run comes to flat_after[c]
           MISSING   in the row in which the hole comes to missing_after[c]

A bound of 0 means that nothing is found. Runs are held against their first value, so a slow creep is no run.

State by stream: firsts float32 [C], runs, holes int32 [C], run_since, hole_since int64 [C]; zeroed where a stream
begins (an age of 0).
"""

from libc.math cimport fabsf, isfinite
from libc.string cimport memset

cimport numpy as cnp

from streamlstm.errors import ShapeError
from streamlstm.kernels.checks cimport Memory, need_apart, need_input, need_output, need_slots

cnp.import_array()

FLAT = 1
MISSING = 2

cdef unsigned char _FLAT = FLAT
cdef unsigned char _MISSING = MISSING
cdef float ROUNDING = 1e-6             # of a value: eight times what a float32 resolves
cdef int LONGEST = 2147483647


cdef struct Runs:                      # of N samples of streams in S slots; C channels
    Py_ssize_t count, channels
    const long long* slots             # [N]
    const long long* event_time_ms     # [N]
    const long long* ages              # [N], 0 = the stream begins
    const float* values                # [N, C], NaN = missing
    const int* flat_after              # [C]
    const int* missing_after           # [C]
    float* firsts                      # [S, C]
    int* runs                          # [S, C]
    int* holes                         # [S, C]
    long long* run_since               # [S, C]
    long long* hole_since              # [S, C]
    unsigned char* found               # [N, C]
    long long* since                   # [N, C], written where something is found


cdef void _advance(const Runs* r) noexcept nogil:
    cdef Py_ssize_t channels = r.channels, n, c, at, cell
    cdef long long t
    cdef float v
    for n in range(r.count):
        at, t = r.slots[n] * channels, r.event_time_ms[n]
        if r.ages[n] == 0:
            memset(r.firsts + at, 0, channels * sizeof(float))
            memset(r.runs + at, 0, channels * sizeof(int))
            memset(r.holes + at, 0, channels * sizeof(int))
            memset(r.run_since + at, 0, channels * sizeof(long long))
            memset(r.hole_since + at, 0, channels * sizeof(long long))
        for c in range(channels):
            cell, v = n * channels + c, r.values[n * channels + c]
            r.found[cell] = 0
            if isfinite(v):
                r.holes[at + c] = 0
                if r.runs[at + c] > 0 and fabsf(v - r.firsts[at + c]) <= ROUNDING * fabsf(r.firsts[at + c]):
                    r.runs[at + c] += r.runs[at + c] < LONGEST
                    if r.runs[at + c] == r.flat_after[c]:
                        r.found[cell], r.since[cell] = _FLAT, r.run_since[at + c]
                else:
                    r.firsts[at + c], r.runs[at + c], r.run_since[at + c] = v, 1, t
            else:
                if r.holes[at + c] == 0:
                    r.hole_since[at + c] = t
                r.holes[at + c] += r.holes[at + c] < LONGEST
                if r.holes[at + c] == r.missing_after[c]:
                    r.found[cell], r.since[cell] = _MISSING, r.hole_since[at + c]


def advance_runs(
    slots,
    *,
    event_time_ms,
    ages,
    values,
    flat_after,
    missing_after,
    firsts,
    runs,
    holes,
    run_since,
    hole_since,
    found,
    since,
):
    """Advance the streams' runs and holes by N samples; write what is found, and since when.

    Shapes: slots, event_time_ms, ages int64 [N], slots may repeat, ages are the streams' before each sample; values
    float32 [N, C], NaN = missing; flat_after, missing_after int32 [C] in samples, 0 = never; firsts float32, runs,
    holes int32, run_since, hole_since int64 [S, C]; found uint8 [N, C]: 0, FLAT or MISSING; since int64 [N, C], written
    where something is found only.
    State: a stream's rows are zeroed where its age is 0.
    Raises: ShapeError before anything changes.
    """
    cdef Memory memory
    cdef Runs r
    memory.count = 0
    r.slots = <const long long*>need_input(&memory, "slots", slots, cnp.NPY_INT64, 1, -1)
    r.count = cnp.PyArray_DIM(slots, 0)
    r.event_time_ms = <const long long*>need_input(&memory, "event_time_ms", event_time_ms, cnp.NPY_INT64, 1, r.count)
    r.ages = <const long long*>need_input(&memory, "ages", ages, cnp.NPY_INT64, 1, r.count)
    r.values = <const float*>need_input(&memory, "values", values, cnp.NPY_FLOAT32, 2, r.count, -1)
    r.channels = cnp.PyArray_DIM(values, 1)
    r.flat_after = <const int*>need_input(&memory, "flat_after", flat_after, cnp.NPY_INT32, 1, r.channels)
    r.missing_after = <const int*>need_input(&memory, "missing_after", missing_after, cnp.NPY_INT32, 1, r.channels)
    r.firsts = <float*>need_output(&memory, "firsts", firsts, cnp.NPY_FLOAT32, 2, -1, r.channels)
    cdef Py_ssize_t capacity = cnp.PyArray_DIM(firsts, 0)
    r.runs = <int*>need_output(&memory, "runs", runs, cnp.NPY_INT32, 2, capacity, r.channels)
    r.holes = <int*>need_output(&memory, "holes", holes, cnp.NPY_INT32, 2, capacity, r.channels)
    r.run_since = <long long*>need_output(&memory, "run_since", run_since, cnp.NPY_INT64, 2, capacity, r.channels)
    r.hole_since = <long long*>need_output(&memory, "hole_since", hole_since, cnp.NPY_INT64, 2, capacity, r.channels)
    r.found = <unsigned char*>need_output(&memory, "found", found, cnp.NPY_UINT8, 2, r.count, r.channels)
    r.since = <long long*>need_output(&memory, "since", since, cnp.NPY_INT64, 2, r.count, r.channels)
    need_apart(&memory)
    need_slots(r.slots, r.count, capacity)
    cdef Py_ssize_t c
    for c in range(r.channels):
        if r.flat_after[c] < 0 or r.flat_after[c] == 1:
            raise ShapeError(f"flat_after: expected 0, or 2 and more, got {r.flat_after[c]} for channel {c}")
        if r.missing_after[c] < 0:
            raise ShapeError(f"missing_after: expected 0 or more, got {r.missing_after[c]} for channel {c}")
    with nogil:
        _advance(&r)
