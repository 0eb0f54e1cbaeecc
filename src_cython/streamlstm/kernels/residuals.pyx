"""From the network's outputs to a score: residuals, their running means, calibrated tails. One pass, row by row.

For row t of a stream, with x_t the standardised sample, `head` the network's outputs at t, f^h_t the forecast made at
t for t + h, and sums and means over observed channels only:

    residuals   newest    x_t - reconstruction_t
                one-step  x_t - f^1_(t-1)
                ensemble  x_t - mean over h = 1..p of f^h_(t-h)                     (Malhotra et al. 2015)
    squares     q = min((residual / its scale by channel)^2, SQUARE_LIMIT)
    means       m_(kind, width) += alpha_width * (mean_c q - m)                     alpha = 2 / (width + 1)
    surprise    u = tail_all(sum over kinds and widths of tail(m))                  tail(m) = -ln P(statistic > m)
    stream      w = u * BASE / level                      u <= level                peaks over threshold, by stream
                w = BASE + (u - level) / excess           u >  level
    alarm       v = min(budget_surprise, ln(TRUST (calibration rows + age) / cluster rows)), at least LOWEST_ALARM
    score       w / v;  p_value = exp(-w)

A row of one stream needs nothing of another, and every sum has one order, so a stream's bits do not depend on the
batch.
Score before learning: level and excess move after the score is final, and excess only by samples that do not alarm.

The alarm level is the budget's, but never rarer than what is known can bear: a level that was to be passed once in
TRUST times all that was seen. A tail fitted on a minute says nothing of a day; the stream's own age lifts the level
to the budget.

State by stream (float32 row): next [C] | ring [p, C] | means [6] | attention [C]; age, level and excess beside it.
"""

from libc.math cimport NAN, exp, log, log1p

cdef enum:
    KINDS = 3
    WIDTHS = 2
    PARTS = KINDS * WIDTHS

STATISTICS = PARTS

BASE_SURPRISE = -log(0.02)
"""Surprise at the calibrated 98 % quantile: where a stream's own level starts, and below which it does not go."""

cdef double BASE = -log(0.02)
cdef double TRUST = 5.0
cdef double LOWEST_ALARM = 4.0   # a sample more likely than exp(-4) = 2 % is no alarm, whatever the budget allows
cdef double LEVEL_LIMIT = 200.0
cdef double EXCESS_LIMIT = 50.0
cdef float SQUARE_LIMIT = 400.0  # 20 scales: as wrong as can be; beyond, its means would not come down again

# Values of streamlstm.types.Status.
cdef unsigned char READY = 0
cdef unsigned char WARMING = 1
cdef unsigned char IMPUTED = 2
cdef unsigned char GAP = 3
cdef unsigned char LATE = 4


def row_length(Py_ssize_t channels, Py_ssize_t forecast):
    """Return the float32 values a stream's residual row takes: C + p * C + 6 + C."""
    return channels * (forecast + 2) + PARTS


cdef inline double _surprise(const double* statistic, const double* surprise, Py_ssize_t knots, double shape,
                             double scale, double value) noexcept nogil:
    """-ln p: linear between knots, generalised Pareto beyond the last."""
    cdef Py_ssize_t low = 0, high = knots - 1, middle
    cdef double excess
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


def advance_residuals(
    const long long[::1] slots,
    const float[:, ::1] x,
    const unsigned char[:, ::1] observed,
    const unsigned char[::1] reset,
    const float[:, ::1] head,
    const float[:, ::1] scales,
    const float[::1] alphas,
    long long settle,
    float[:, ::1] rows,
    long long[::1] ages,
    long long[::1] row_ages,
    float[:, ::1] means,
    float[:, ::1] contribution,
    float[:, ::1] expected,
):
    """Advance residual rows by N samples; write row_ages [N], means [N, 6], contribution [N, C] and expected [N, C].

    Shapes: head [N, C * (1 + p)]; scales [3, C] (newest, one-step, ensemble); alphas [2]; rows [S, row_length].
    Units: settle in samples: younger streams' residuals are the start's, not the stream's, and enter no mean;
    expected is dimensionless (the forecast made one sample ago; 0 for a stream's first sample).
    State: ages [S] counts samples since the stream began, row_ages those before row n; a stream is zeroed where reset
    is set.
    """
    cdef Py_ssize_t count = slots.shape[0], channels = x.shape[1], n, c, h, k, w
    cdef Py_ssize_t horizon = head.shape[1] // channels - 1
    cdef Py_ssize_t ring_index, seen
    cdef long long s, settled
    cdef float* next_one
    cdef float* ring
    cdef float* mean
    cdef float* attention
    cdef float* slot_of
    cdef float residual, square, alpha, total
    cdef float[KINDS] sums
    with nogil:
        for n in range(count):
            s = slots[n]
            if reset[n]:
                ages[s] = 0
                for c in range(rows.shape[1]):
                    rows[s, c] = 0.0
            next_one = &rows[s, 0]
            ring = next_one + channels
            mean = ring + horizon * channels
            attention = mean + PARTS
            ring_index = <Py_ssize_t>(ages[s] % horizon)
            settled = ages[s] - settle if ages[s] > settle else 0
            seen = <Py_ssize_t>(ages[s] if ages[s] < horizon else horizon)
            slot_of = ring + ring_index * channels
            for k in range(KINDS):
                sums[k] = 0.0
            w = 0  # observed channels
            for c in range(channels):
                expected[n, c] = next_one[c]
                if not observed[n, c]:
                    continue
                w += 1
                total = 0.0
                for k in range(KINDS):
                    if k == 0:
                        residual = x[n, c] - head[n, c]
                    elif seen == 0:
                        continue
                    elif k == 1:
                        residual = x[n, c] - next_one[c]
                    else:
                        residual = x[n, c] - slot_of[c] / seen
                    square = residual / scales[k, c]
                    square = square * square
                    if not square < SQUARE_LIMIT:
                        square = SQUARE_LIMIT
                    sums[k] += square
                    total += square
                alpha = alphas[0] if settled * alphas[0] > 1.0 else <float>1.0 / (settled + 1)
                attention[c] += alpha * (total - attention[c])
            if w > 0 and ages[s] >= settle:
                for k in range(KINDS):
                    for h in range(WIDTHS):
                        # A running mean until the width is full, so a young stream's mean is not pulled to zero.
                        alpha = alphas[h] if settled * alphas[h] > 1.0 else <float>1.0 / (settled + 1)
                        mean[k * WIDTHS + h] += alpha * (sums[k] / w - mean[k * WIDTHS + h])
            total = 0.0
            for c in range(channels):
                total += attention[c]
            for c in range(channels):
                contribution[n, c] = attention[c] / total if total > 0 else <float>1.0 / channels
            for k in range(PARTS):
                means[n, k] = mean[k]
            for c in range(channels):
                slot_of[c] = 0.0
            for h in range(1, horizon + 1):
                slot_of = ring + ((ring_index + h) % horizon) * channels
                for c in range(channels):
                    slot_of[c] += head[n, h * channels + c]
            for c in range(channels):
                next_one[c] = head[n, channels + c]
            row_ages[n] = ages[s]
            ages[s] += 1


def combine_tails(
    const float[:, ::1] means,
    const double[:, ::1] statistics,
    const double[:, ::1] surprises,
    const double[:, ::1] fits,
    double[::1] combined,
):
    """Write the sum of the parts' surprises [N].

    Shapes: means [N, 6]; statistics, surprises [6, knots]; fits [6, 2] (shape, scale of each tail).
    """
    cdef Py_ssize_t n, k, knots = statistics.shape[1]
    cdef double total
    with nogil:
        for n in range(means.shape[0]):
            total = 0.0
            for k in range(means.shape[1]):
                total += _surprise(&statistics[k, 0], &surprises[k, 0], knots, fits[k, 0], fits[k, 1], means[n, k])
            combined[n] = total


def score_streams(
    const long long[::1] slots,
    const double[::1] combined,
    const long long[::1] row_ages,
    const unsigned char[::1] reset,
    const double[::1] statistic,
    const double[::1] surprise,
    const double[::1] fit,
    double budget_surprise,
    double calibration_rows,
    double cluster_rows,
    double rate,
    long long warm_up,
    double[::1] levels,
    double[::1] excesses,
    unsigned char[::1] status,
    double[::1] score,
    double[::1] p_value,
):
    """Turn combined surprises into scores; adapt each stream's level and excess after its score is final.

    Shapes: N rows; row_ages [N] is the stream's age at the row; levels, excesses [S]; fit [2] (shape, scale).
    State: where reset is 2 the stream is one never seen, and its level and excess start again.
    Units: rate in 1/samples: how fast a stream's own level follows it.
    """
    cdef Py_ssize_t n, knots = statistic.shape[0]
    cdef double u, w, level, excess, alarm
    cdef double excess_rate = 50.0 * rate / cluster_rows  # one sample in 50 passes the level; a cluster is one event
    cdef long long s
    if excess_rate > 0.05:
        excess_rate = 0.05
    with nogil:
        for n in range(slots.shape[0]):
            score[n] = NAN
            p_value[n] = NAN
            s = slots[n]
            if reset[n] == 2:
                levels[s] = BASE
                excesses[s] = 1.0
            if status[n] == LATE or status[n] == GAP:
                continue
            if row_ages[n] < warm_up:
                status[n] = WARMING
                continue
            u = _surprise(&statistic[0], &surprise[0], knots, fit[0], fit[1], combined[n])
            level = levels[s]
            excess = excesses[s]
            w = u * BASE / level if u <= level else BASE + (u - level) / excess
            alarm = log(TRUST * (calibration_rows + row_ages[n]) / cluster_rows)
            alarm = budget_surprise if alarm > budget_surprise else (LOWEST_ALARM if alarm < LOWEST_ALARM else alarm)
            score[n] = w / alarm
            p_value[n] = exp(-w)
            if u > level:
                level *= 1.0 + 0.98 * rate
                if w < alarm:
                    excess += excess_rate * (u - level - excess)
            else:
                level *= 1.0 - 0.02 * rate
            levels[s] = BASE if level < BASE else (LEVEL_LIMIT if level > LEVEL_LIMIT else level)
            excesses[s] = 1.0 if excess < 1.0 else (EXCESS_LIMIT if excess > EXCESS_LIMIT else excess)
