"""From running means of errors to a score: calibrated tails, the stream's own level, the alarm. One pass, row by row.

    surprise    u = tail_all(sum over the parts of tail(m))                         tail(m) = -ln P(statistic > m)
    stream      w = u * BASE / level                      u <= level                peaks over threshold, by stream
                w = BASE + (u - level) / excess           u >  level
    known       k = ln(TRUST (calibration rows + age) / cluster rows)
    alarm       v = budget_surprise                       k >  budget_surprise
                v = max(k, LOWEST_ALARM)                  k <= budget_surprise
    score       w / v;  p_value = exp(-w)

Score before learning: level and excess move after the score is final, and excess only by samples that do not alarm.

The alarm level is the budget's, but never rarer than what is known can bear: a level that was to be passed once in
TRUST times all that was seen. A tail fitted on a minute says nothing of a day; the stream's own age lifts the level
to the budget. So a budget below LOWEST_ALARM is reached from above: the alarm is LOWEST_ALARM until what is known bears
the budget, and the budget from then on.

State by stream: level and excess.
"""

from libc.math cimport NAN, exp, log, log1p

cimport numpy as cnp

from streamlstm.errors import ShapeError
from streamlstm.kernels.checks cimport Memory, need_apart, need_input, need_output, need_slots
from streamlstm.types import Status

cnp.import_array()

BASE_SURPRISE = -log(0.02)
"""Surprise at the calibrated 98 % quantile: where a stream's own level starts, and below which it does not go."""
TRUST = 5.0
LOWEST_ALARM = 4.0
"""However little the calibration has seen, a sample more likely than exp(-4) = 2 % is no alarm; a budget that enough is
known for may lie lower."""

cdef double _BASE = BASE_SURPRISE
cdef double _TRUST = TRUST
cdef double _LOWEST_ALARM = LOWEST_ALARM
cdef double LEVEL_LIMIT = 200.0
cdef double EXCESS_LIMIT = 50.0

cdef unsigned char WARMING = Status.WARMING
cdef unsigned char GAP = Status.GAP
cdef unsigned char LATE = Status.LATE


cdef struct Tail:                      # -ln p: linear between knots, generalised Pareto beyond the last
    Py_ssize_t knots                   # K, at least 1
    const double* statistic            # [K], not falling
    const double* surprise             # [K]
    const double* fit                  # shape, scale


cdef struct Scores:                    # of N samples of streams in S slots
    Py_ssize_t count
    const long long* slots             # [N]
    const double* combined             # [N]
    const long long* row_ages          # [N]
    const unsigned char* reset         # [N], 2 = the stream is one never seen
    Tail tail
    double budget_surprise, calibration_rows, cluster_rows, rate
    long long warm_up
    double* levels                     # [S]
    double* excesses                   # [S]
    unsigned char* status              # [N], in and out
    double* score                      # [N]
    double* p_value                    # [N]


cdef inline double _surprise(const Tail* tail, double value) noexcept nogil:
    cdef const double* statistic = tail.statistic
    cdef const double* surprise = tail.surprise
    cdef Py_ssize_t low = 0, high = tail.knots - 1, middle
    cdef double excess, shape = tail.fit[0], scale = tail.fit[1]
    if value <= statistic[0]:  # asked first: a statistic that was constant in calibration is no surprise at its value
        return surprise[0]
    if value >= statistic[high]:
        excess = (value - statistic[high]) / scale
        return surprise[high] + (log1p(shape * excess) / shape if shape > 0 else excess)
    while high - low > 1:
        middle = (low + high) // 2
        if statistic[middle] <= value:
            low = middle
        else:
            high = middle
    return surprise[low] + (surprise[high] - surprise[low]) * (value - statistic[low]) / (
        statistic[high] - statistic[low]
    )


cdef void _combine(const float* means, Py_ssize_t count, Py_ssize_t parts, Tail tail, double* combined) noexcept nogil:
    """Sum over parts, whose tails follow one another in memory; `tail` is the first."""
    cdef Tail part
    cdef Py_ssize_t n, k
    cdef double total
    for n in range(count):
        total = 0.0
        part = tail
        for k in range(parts):
            total += _surprise(&part, means[n * parts + k])
            part.statistic += tail.knots
            part.surprise += tail.knots
            part.fit += 2
        combined[n] = total


cdef void _score(const Scores* rows) noexcept nogil:
    cdef Py_ssize_t n
    cdef double u, w, level, excess, alarm, rate = rows.rate
    cdef double excess_rate = 50.0 * rate / rows.cluster_rows  # one in 50 passes the level; a cluster is one event
    cdef long long s
    if excess_rate > 0.05:
        excess_rate = 0.05
    for n in range(rows.count):
        rows.score[n] = NAN
        rows.p_value[n] = NAN
        s = rows.slots[n]
        if rows.reset[n] == 2:
            rows.levels[s] = _BASE
            rows.excesses[s] = 1.0
        if rows.status[n] == LATE or rows.status[n] == GAP:
            continue
        if rows.row_ages[n] < rows.warm_up:
            rows.status[n] = WARMING
            continue
        u = _surprise(&rows.tail, rows.combined[n])
        level = rows.levels[s]
        excess = rows.excesses[s]
        w = u * _BASE / level if u <= level else _BASE + (u - level) / excess
        alarm = log(_TRUST * (rows.calibration_rows + rows.row_ages[n]) / rows.cluster_rows)
        if alarm > rows.budget_surprise:
            alarm = rows.budget_surprise
        elif alarm < _LOWEST_ALARM:
            alarm = _LOWEST_ALARM
        rows.score[n] = w / alarm
        rows.p_value[n] = exp(-w)
        if u > level:
            level *= 1.0 + 0.98 * rate
            if w < alarm:
                excess += excess_rate * (u - level - excess)
        else:
            level *= 1.0 - 0.02 * rate
        rows.levels[s] = _BASE if level < _BASE else (LEVEL_LIMIT if level > LEVEL_LIMIT else level)
        rows.excesses[s] = 1.0 if excess < 1.0 else (EXCESS_LIMIT if excess > EXCESS_LIMIT else excess)


cdef int _need_rising(str name, const double* statistic, Py_ssize_t knots) except -1:
    """Raise ShapeError unless the knots do not fall: a surprise between them is found by bisection."""
    cdef Py_ssize_t k
    cdef bint is_rising = statistic[0] == statistic[0]
    for k in range(1, knots):
        is_rising &= statistic[k - 1] <= statistic[k]
    if not is_rising:
        raise ShapeError(f"{name}: expected knots that do not fall, and no NaN")
    return 0


def combine_tails(means, *, statistics, surprises, fits, combined):
    """Write the sum of the parts' surprises.

    Shapes: means float32 [N, P] of P parts; statistics, surprises float64 [P, K], statistics rising along K; fits
    float64 [P, 2] (shape, scale of each tail); combined float64 [N].
    Raises: ShapeError before anything changes.
    """
    cdef Memory memory
    cdef Tail tail
    cdef Py_ssize_t k
    memory.count = 0
    cdef const float* of_rows = <const float*>need_input(&memory, "means", means, cnp.NPY_FLOAT32, 2, -1, -1)
    cdef Py_ssize_t count = cnp.PyArray_DIM(means, 0), parts = cnp.PyArray_DIM(means, 1)
    tail.statistic = <const double*>need_input(&memory, "statistics", statistics, cnp.NPY_FLOAT64, 2, parts, -1)
    tail.knots = cnp.PyArray_DIM(statistics, 1)
    tail.surprise = <const double*>need_input(&memory, "surprises", surprises, cnp.NPY_FLOAT64, 2, parts, tail.knots)
    tail.fit = <const double*>need_input(&memory, "fits", fits, cnp.NPY_FLOAT64, 2, parts, 2)
    cdef double* out = <double*>need_output(&memory, "combined", combined, cnp.NPY_FLOAT64, 1, count)
    if parts < 1 or tail.knots < 1:
        raise ShapeError(f"statistics: expected at least one part and one knot, got {[parts, tail.knots]}")
    need_apart(&memory)
    for k in range(parts):
        _need_rising("statistics", tail.statistic + k * tail.knots, tail.knots)
    with nogil:
        _combine(of_rows, count, parts, tail, out)


def score_streams(
    slots,
    *,
    combined,
    row_ages,
    reset,
    statistic,
    surprise,
    fit,
    double budget_surprise,
    double calibration_rows,
    double cluster_rows,
    double rate,
    long long warm_up,
    levels,
    excesses,
    status,
    score,
    p_value,
):
    """Turn combined surprises into scores; adapt each stream's level and excess after its score is final.

    Shapes: slots int64 [N], may repeat; combined float64 [N]; row_ages int64 [N], the stream's age at the row; reset
    uint8 [N]; statistic, surprise float64 [K], statistic rising; fit float64 [2] (shape, scale); levels, excesses
    float64 [S]; status uint8 [N], as admitted, and in the end WARMING where there is no score yet; score, p_value
    float64 [N], NaN = none.
    State: where reset is 2 the stream is one never seen, and its level and excess start again.
    Units: rate in 1/samples: how fast a stream's own level follows it.
    Raises: ShapeError before anything changes.
    """
    cdef Memory memory
    cdef Scores r
    memory.count = 0
    r.slots = <const long long*>need_input(&memory, "slots", slots, cnp.NPY_INT64, 1, -1)
    r.count = cnp.PyArray_DIM(slots, 0)
    r.combined = <const double*>need_input(&memory, "combined", combined, cnp.NPY_FLOAT64, 1, r.count)
    r.row_ages = <const long long*>need_input(&memory, "row_ages", row_ages, cnp.NPY_INT64, 1, r.count)
    r.reset = <const unsigned char*>need_input(&memory, "reset", reset, cnp.NPY_UINT8, 1, r.count)
    r.tail.statistic = <const double*>need_input(&memory, "statistic", statistic, cnp.NPY_FLOAT64, 1, -1)
    r.tail.knots = cnp.PyArray_DIM(statistic, 0)
    r.tail.surprise = <const double*>need_input(&memory, "surprise", surprise, cnp.NPY_FLOAT64, 1, r.tail.knots)
    r.tail.fit = <const double*>need_input(&memory, "fit", fit, cnp.NPY_FLOAT64, 1, 2)
    r.levels = <double*>need_output(&memory, "levels", levels, cnp.NPY_FLOAT64, 1, -1)
    cdef Py_ssize_t capacity = cnp.PyArray_DIM(levels, 0)
    r.excesses = <double*>need_output(&memory, "excesses", excesses, cnp.NPY_FLOAT64, 1, capacity)
    r.status = <unsigned char*>need_output(&memory, "status", status, cnp.NPY_UINT8, 1, r.count)
    r.score = <double*>need_output(&memory, "score", score, cnp.NPY_FLOAT64, 1, r.count)
    r.p_value = <double*>need_output(&memory, "p_value", p_value, cnp.NPY_FLOAT64, 1, r.count)
    if r.tail.knots < 1:
        raise ShapeError("statistic: expected at least one knot, got none")
    if not cluster_rows > 0:
        raise ShapeError(f"cluster_rows: expected a number above 0, got {cluster_rows}")
    need_apart(&memory)
    need_slots(r.slots, r.count, capacity)
    _need_rising("statistic", r.tail.statistic, r.tail.knots)
    r.budget_surprise, r.calibration_rows, r.cluster_rows = budget_surprise, calibration_rows, cluster_rows
    r.rate, r.warm_up = rate, warm_up
    with nogil:
        _score(&r)
