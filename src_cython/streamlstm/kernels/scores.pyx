"""From running means of errors to a score: calibrated tails, the stream's own level, the alarm. One pass, row by row.

    surprise    u = tail_all(sum of weight * min(tail(m), PART_LIMIT))              tail(m) = -ln P(statistic > m)
                u = min(u, LEVEL_LIMIT)
    stream      w = u * BASE / level                      u <= level                peaks over threshold, by stream
                w = BASE + (u - level) / excess           u >  level
    known       k = ln(TRUST (calibration rows + age) / cluster rows)
    alarm       v = budget_surprise                       k >  budget_surprise
                v = max(k, LOWEST_ALARM)                  k <= budget_surprise
    score       w / v;  p_value = exp(-w)

Score before learning, and learn from what is normal only. After the score is final, with q = min(50 rate, 0.05):

    guard       g = warm_up                               score >= 1; if g was 0 before, this is one event:
                    excess     *= 1 + EVENT_SHARE q (v - BASE - 1)
                    kept level *= 1 + min(EVENT_CLUSTERS 0.98 rate cluster rows, 0.05)
                g = max(g - 1, 0)                         score < 1
    waits       g > 0 and held < 1 / rate:                held += 1; level = kept level; the cluster is dropped
    learns      level *= 1 + 0.98 rate                    u > level                 so one in 50 passes it
                level *= 1 - 0.02 rate                    u <= level
                kept level += (level - kept level) / (warm_up + 1)
                held = max(held - 1, 0)                   g == 0
    cluster     rows with u > level and score < 1, until warm_up rows have come without one, or 1 / rate rows with; then
                excess += q min(rows / cluster rows, CLUSTERS) (mean over them of u - level - excess)

The guard is as long as the means take to fill, and so to empty: neither an alarm nor its decay teaches anything, and
going back to the kept level takes back what the rise to it taught. The rows of a cluster are one event, however many
they are: a fault just below the alarm is not a hundred proofs of a heavy tail. What an alarm leaves is its event, some
three percent of the excess and at most five of the level, of which its surprise is a multiple. Without that a stream of
heavier tails than the calibration's would be judged by its quiet part alone. Patience is 1 / rate rows, regained row by
row without an alarm: what alarms for longer is no fault but a shift, and the level follows it, by e in each 1 / rate
rows. No surprise lies above LEVEL_LIMIT, so the level reaches every one. PART_LIMIT keeps a part that has hardly a
spread from drowning the others.

A row in which nothing was measured has no score, and teaches nothing.

State by stream: level, kept level, excess, guard, held, and of its cluster the rows, their sum and how long it waits.
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
cdef double PART_LIMIT = 60.0
cdef double LEVEL_LIMIT = 200.0
cdef double EXCESS_LIMIT = 50.0
cdef double EVENT_SHARE = 0.3          # of what a cluster of mean length teaches that ends at the alarm level
cdef double EVENT_CLUSTERS = 3.0       # an alarm lasts longer than the mean cluster
cdef double CLUSTERS = 2.0             # and long ones count for more than short ones, up to this

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
    const unsigned char* measured      # [N], 0 = nothing of the sample was
    Tail tail
    double budget_surprise, calibration_rows, cluster_rows, rate
    long long warm_up
    double* levels                     # [S]
    double* kept_levels                # [S], as they were about a guard ago
    double* excesses                   # [S]
    double* cluster_sums               # [S], of u - level over the rows of the stream's cluster
    long long* clusters                # [S], its rows; 0 = none
    long long* waits                   # [S], rows until it is over
    long long* guards                  # [S], rows until the last alarm is far enough
    long long* held                    # [S], rows that waited, less those since that did not
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


cdef struct Groups:                    # of parts that follow one another
    Py_ssize_t count                   # G, 0 = none are asked for
    const long long* ends              # [G], rising; the last is P
    double* said                       # [N, G]


cdef void _combine(
    const float* means,
    Py_ssize_t count,
    Py_ssize_t parts,
    Tail tail,
    const double* weights,
    double* combined,
    Groups groups,
) noexcept nogil:
    """Sum over parts, whose tails follow one another in memory; `tail` is the first."""
    cdef Tail part
    cdef Py_ssize_t n, k, g
    cdef double total, of_group, surprise
    for n in range(count):
        total = of_group = 0.0
        g = 0
        part = tail
        for k in range(parts):
            surprise = _surprise(&part, means[n * parts + k])
            surprise = weights[k] * (surprise if surprise < PART_LIMIT else PART_LIMIT)
            total += surprise
            of_group += surprise
            if g < groups.count and k + 1 == groups.ends[g]:
                groups.said[n * groups.count + g] = of_group
                of_group = 0.0
                g += 1
            part.statistic += tail.knots
            part.surprise += tail.knots
            part.fit += 2
        combined[n] = total


cdef inline double _within(double value, double low, double high) noexcept nogil:
    return low if value < low else (high if value > high else value)


cdef inline void _end_cluster(const Scores* rows, long long s, double event_rate) noexcept nogil:
    """Let a stream's cluster teach its excess, if there is one."""
    cdef double count = <double>rows.clusters[s]
    if count > 0:
        event_rate *= _within(count / rows.cluster_rows, 0.0, CLUSTERS)
        rows.excesses[s] += event_rate * (rows.cluster_sums[s] / count - rows.excesses[s])
        rows.excesses[s] = _within(rows.excesses[s], 1.0, EXCESS_LIMIT)
    rows.clusters[s] = 0
    rows.cluster_sums[s] = 0.0


cdef void _learn(const Scores* rows, long long s, double u, bint is_alarm, double alarm) noexcept nogil:
    """Move a stream's level and excess by a sample whose score is final."""
    cdef double rate = rows.rate, level = rows.levels[s], event_rate = _within(50.0 * rate, 0.0, 0.05)
    cdef double event_rise = _within(EVENT_CLUSTERS * 0.98 * rate * rows.cluster_rows, 0.0, 0.05)
    if is_alarm:
        if rows.guards[s] == 0:
            rows.excesses[s] *= 1.0 + EVENT_SHARE * event_rate * (alarm - _BASE - 1.0)
            rows.excesses[s] = _within(rows.excesses[s], 1.0, EXCESS_LIMIT)
            rows.kept_levels[s] = _within(rows.kept_levels[s] * (1.0 + event_rise), _BASE, LEVEL_LIMIT)
        rows.guards[s] = rows.warm_up
    elif rows.guards[s] > 0:
        rows.guards[s] -= 1
    if rows.guards[s] > 0 and rows.held[s] * rate < 1.0:
        rows.held[s] += 1
        rows.levels[s] = rows.kept_levels[s]
        rows.clusters[s] = rows.waits[s] = 0
        rows.cluster_sums[s] = 0.0
        return
    if rows.guards[s] == 0 and rows.held[s] > 0:
        rows.held[s] -= 1
    if u > level and not is_alarm:
        rows.clusters[s] += 1
        rows.cluster_sums[s] += u - level
        rows.waits[s] = rows.warm_up
    elif rows.waits[s] > 0:
        rows.waits[s] -= 1
    if rows.waits[s] == 0 or rows.clusters[s] * rate >= 1.0:
        _end_cluster(rows, s, event_rate)
    rows.levels[s] = _within(level * (1.0 + 0.98 * rate if u > level else 1.0 - 0.02 * rate), _BASE, LEVEL_LIMIT)
    rows.kept_levels[s] += (rows.levels[s] - rows.kept_levels[s]) / (rows.warm_up + 1)


cdef void _score(const Scores* rows) noexcept nogil:
    cdef Py_ssize_t n
    cdef double u, w, alarm
    cdef long long s
    for n in range(rows.count):
        rows.score[n] = NAN
        rows.p_value[n] = NAN
        s = rows.slots[n]
        if rows.reset[n] == 2:
            rows.levels[s] = rows.kept_levels[s] = _BASE
            rows.excesses[s], rows.cluster_sums[s] = 1.0, 0.0
            rows.guards[s] = rows.held[s] = rows.clusters[s] = rows.waits[s] = 0
        if rows.status[n] == LATE or rows.status[n] == GAP:
            continue
        if rows.row_ages[n] < rows.warm_up:
            rows.status[n] = WARMING
            continue
        if not rows.measured[n]:
            continue
        u = _within(_surprise(&rows.tail, rows.combined[n]), 0.0, LEVEL_LIMIT)
        if u <= rows.levels[s]:
            w = u * _BASE / rows.levels[s]
        else:
            w = _BASE + (u - rows.levels[s]) / rows.excesses[s]
        alarm = log(_TRUST * (rows.calibration_rows + rows.row_ages[n]) / rows.cluster_rows)
        if alarm > rows.budget_surprise:
            alarm = rows.budget_surprise
        elif alarm < _LOWEST_ALARM:
            alarm = _LOWEST_ALARM
        rows.score[n] = w / alarm
        rows.p_value[n] = exp(-w)
        _learn(rows, s, u, w >= alarm, alarm)


cdef int _need_rising(str name, const double* statistic, Py_ssize_t knots) except -1:
    """Raise ShapeError unless the knots do not fall: a surprise between them is found by bisection."""
    cdef Py_ssize_t k
    cdef bint is_rising = statistic[0] == statistic[0]
    for k in range(1, knots):
        is_rising &= statistic[k - 1] <= statistic[k]
    if not is_rising:
        raise ShapeError(f"{name}: expected knots that do not fall, and no NaN")
    return 0


cdef int _need_ends(const Groups* groups, Py_ssize_t parts) except -1:
    """Raise ShapeError unless the groups hold every part once: what they say is written where one ends."""
    cdef Py_ssize_t g
    cdef long long last = 0
    cdef bint is_rising = True
    for g in range(groups.count):
        is_rising &= groups.ends[g] > last
        last = groups.ends[g]
    if not is_rising or last != parts:
        raise ShapeError(f"ends: expected numbers that rise to the {parts} parts, got {last} as the last")
    return 0


def combine_tails(means, *, statistics, surprises, fits, weights, combined, ends=None, said=None):
    """Write the weighted sum of the parts' surprises, and the sums of the groups of parts that are asked for.

    Shapes: means float32 [N, P] of P parts; statistics, surprises float64 [P, K], statistics rising along K; fits
    float64 [P, 2] (shape, scale of each tail); weights float64 [P]; combined float64 [N]; ends int64 [G], rising to P,
    and said float64 [N, G], or neither: group g is of the parts before its end and after that of the group before.
    Raises: ShapeError before anything changes.
    """
    cdef Memory memory
    cdef Tail tail
    cdef Groups groups
    cdef Py_ssize_t k
    memory.count = 0
    cdef const float* of_rows = <const float*>need_input(&memory, "means", means, cnp.NPY_FLOAT32, 2, -1, -1)
    cdef Py_ssize_t count = cnp.PyArray_DIM(means, 0), parts = cnp.PyArray_DIM(means, 1)
    tail.statistic = <const double*>need_input(&memory, "statistics", statistics, cnp.NPY_FLOAT64, 2, parts, -1)
    tail.knots = cnp.PyArray_DIM(statistics, 1)
    tail.surprise = <const double*>need_input(&memory, "surprises", surprises, cnp.NPY_FLOAT64, 2, parts, tail.knots)
    tail.fit = <const double*>need_input(&memory, "fits", fits, cnp.NPY_FLOAT64, 2, parts, 2)
    cdef const double* weighted = <const double*>need_input(&memory, "weights", weights, cnp.NPY_FLOAT64, 1, parts)
    cdef double* out = <double*>need_output(&memory, "combined", combined, cnp.NPY_FLOAT64, 1, count)
    if parts < 1 or tail.knots < 1:
        raise ShapeError(f"statistics: expected at least one part and one knot, got {[parts, tail.knots]}")
    groups.count = 0
    if ends is not None or said is not None:
        groups.ends = <const long long*>need_input(&memory, "ends", ends, cnp.NPY_INT64, 1, -1)
        groups.count = cnp.PyArray_DIM(ends, 0)
        groups.said = <double*>need_output(&memory, "said", said, cnp.NPY_FLOAT64, 2, count, groups.count)
    need_apart(&memory)
    if groups.count > 0 or ends is not None:
        _need_ends(&groups, parts)
    for k in range(parts):
        _need_rising("statistics", tail.statistic + k * tail.knots, tail.knots)
    with nogil:
        _combine(of_rows, count, parts, tail, weighted, out, groups)


def score_streams(
    slots,
    *,
    combined,
    row_ages,
    reset,
    measured,
    statistic,
    surprise,
    fit,
    double budget_surprise,
    double calibration_rows,
    double cluster_rows,
    double rate,
    long long warm_up,
    levels,
    kept_levels,
    excesses,
    cluster_sums,
    clusters,
    waits,
    guards,
    held,
    status,
    score,
    p_value,
):
    """Turn combined surprises into scores; adapt each stream's level and excess after its score is final.

    Shapes: slots int64 [N], may repeat; combined float64 [N]; row_ages int64 [N], the stream's age at the row; reset
    uint8 [N]; measured uint8 [N], 0 = nothing of the sample was; statistic, surprise float64 [K], statistic rising;
    fit float64 [2] (shape, scale); levels, kept_levels, excesses, cluster_sums float64 [S]; clusters, waits, guards,
    held int64 [S]; status uint8 [N], as admitted, and in the end WARMING where there is no score yet; score, p_value
    float64 [N], NaN = none.
    State: where reset is 2 the stream is one never seen, and all that is learnt of it starts again.
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
    r.measured = <const unsigned char*>need_input(&memory, "measured", measured, cnp.NPY_UINT8, 1, r.count)
    r.tail.statistic = <const double*>need_input(&memory, "statistic", statistic, cnp.NPY_FLOAT64, 1, -1)
    r.tail.knots = cnp.PyArray_DIM(statistic, 0)
    r.tail.surprise = <const double*>need_input(&memory, "surprise", surprise, cnp.NPY_FLOAT64, 1, r.tail.knots)
    r.tail.fit = <const double*>need_input(&memory, "fit", fit, cnp.NPY_FLOAT64, 1, 2)
    r.levels = <double*>need_output(&memory, "levels", levels, cnp.NPY_FLOAT64, 1, -1)
    cdef Py_ssize_t capacity = cnp.PyArray_DIM(levels, 0)
    r.excesses = <double*>need_output(&memory, "excesses", excesses, cnp.NPY_FLOAT64, 1, capacity)
    r.kept_levels = <double*>need_output(&memory, "kept_levels", kept_levels, cnp.NPY_FLOAT64, 1, capacity)
    r.cluster_sums = <double*>need_output(&memory, "cluster_sums", cluster_sums, cnp.NPY_FLOAT64, 1, capacity)
    r.clusters = <long long*>need_output(&memory, "clusters", clusters, cnp.NPY_INT64, 1, capacity)
    r.waits = <long long*>need_output(&memory, "waits", waits, cnp.NPY_INT64, 1, capacity)
    r.guards = <long long*>need_output(&memory, "guards", guards, cnp.NPY_INT64, 1, capacity)
    r.held = <long long*>need_output(&memory, "held", held, cnp.NPY_INT64, 1, capacity)
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
