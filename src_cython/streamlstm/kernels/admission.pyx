"""What becomes of each sample before the network sees it: order, gaps, units, missing channels.

One pass over N rows in arrival order; a stream's memory is its row in the arrays. For row n of stream s:

    t <= last_time[s]                     -> LATE: left out, nothing changes
    t - last_time[s] > reset_after > 0    -> GAP: the stream's state starts again (reset = 1)
    t - last_time[s] > forget_after > 0   -> as a stream never seen (reset = 2): releasing its row shows nowhere
    x = clip((v - mean) / scale, -X, X)   observed channels; remembered as last[s]
    x = last[s]                           missing channels (NaN, infinite): carried forward -> IMPUTED

State: last_time [S] is NEVER until a stream's first sample; last [S, C] is standardised and 0 until first observed.
"""

from libc.math cimport isfinite

NEVER = -(1 << 62)

cdef long long _NEVER = -(1LL << 62)

# Values of streamlstm.types.Status.
cdef unsigned char READY = 0
cdef unsigned char GAP = 3
cdef unsigned char LATE = 4
cdef unsigned char IMPUTED = 2


def admit(
    const long long[::1] slots,
    const long long[::1] event_time_ms,
    const float[:, ::1] values,
    const float[::1] mean,
    const float[::1] scale,
    long long reset_after_ms,
    long long forget_after_ms,
    float limit,
    long long[::1] last_time,
    float[:, ::1] last,
    unsigned char[::1] status,
    unsigned char[::1] reset,
    unsigned char[:, ::1] observed,
    float[:, ::1] x,
):
    """Fill status [N], reset [N], observed [N, C] and x [N, C]; advance last_time [S] and last [S, C].

    Units: values and mean in the channel's unit; x dimensionless, within +-limit.
    """
    cdef Py_ssize_t rows = slots.shape[0], channels = mean.shape[0], n, c
    cdef long long s, t
    cdef bint is_whole
    cdef float z
    with nogil:
        for n in range(rows):
            s = slots[n]
            t = event_time_ms[n]
            reset[n] = 0
            if t <= last_time[s]:
                status[n] = LATE
                continue
            status[n] = READY
            if last_time[s] != _NEVER:
                if forget_after_ms > 0 and t - last_time[s] > forget_after_ms:
                    reset[n] = 2
                elif reset_after_ms > 0 and t - last_time[s] > reset_after_ms:
                    status[n] = GAP
                    reset[n] = 1
            if reset[n]:
                for c in range(channels):
                    last[s, c] = 0.0
            last_time[s] = t
            is_whole = True
            for c in range(channels):
                if isfinite(values[n, c]):
                    z = (values[n, c] - mean[c]) / scale[c]
                    z = limit if z > limit else (-limit if z < -limit else z)
                    observed[n, c] = 1
                    last[s, c] = z
                else:
                    observed[n, c] = 0
                    is_whole = False
                x[n, c] = last[s, c]
            if not is_whole and status[n] == READY:
                status[n] = IMPUTED
