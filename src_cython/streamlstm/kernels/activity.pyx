"""How much the values of each stream move, and how far they have gone from where they usually are.

By channel, of the standardised sample x, with rates fast and slow:

    mean     m += fast * (x - m)
    spread   v = (1 - fast) * (v + fast * (x - m)^2)           m as it was before: the variance about a running mean
    usual    u += slow * (x - u)

    statistics   spread   mean over channels of min(v / its scale, RATIO_LIMIT)
                 trend    mean over channels of min((m - u)^2 / its scale, RATIO_LIMIT)

A rate is 1 / samples until the width is full, so a young stream is not pulled to zero. What is not observed does not
move. A row of one stream needs nothing of another, and every sum has one order, so a stream's bits do not depend on
the batch.

State by stream (float32 [3, C]): mean | spread | usual.
"""

from libc.string cimport memset

cimport numpy as cnp

from streamlstm.errors import ShapeError
from streamlstm.kernels.checks cimport Memory, need_apart, need_input, need_output, need_slots

cnp.import_array()

cdef enum:
    MEAN, SPREAD, USUAL, PIECES
    PARTS = 2

cdef float RATIO_LIMIT = 400.0  # as the network's residuals have it: one channel alone does not decide for all


cdef struct Activity:                  # of N samples of streams in S slots, with C channels
    Py_ssize_t count, channels
    const long long* slots             # [N]
    const float* x                     # [N, C]
    const unsigned char* observed      # [N, C]
    const unsigned char* reset         # [N], not 0 = the stream begins anew
    const long long* ages              # [N], none below 0
    const float* scales                # [PARTS, C], above 0
    float fast, slow
    float* rows                        # [S, PIECES, C]
    float* statistics                  # [N, PARTS]
    float* contribution                # [N, C]
    float* expected                    # [N, C]


cdef inline float _rate(long long age, float rate) noexcept nogil:
    return rate if (age + 1) * rate > 1.0 else <float>1.0 / (age + 1)


cdef inline float _ratio(float square, float scale) noexcept nogil:
    cdef float ratio = square / scale
    return ratio if ratio < RATIO_LIMIT else RATIO_LIMIT


cdef void _advance(const Activity* a) noexcept nogil:
    cdef Py_ssize_t channels = a.channels, n, c
    cdef const float* x
    cdef const unsigned char* observed
    cdef float* mean
    cdef float* spread
    cdef float* usual
    cdef float* shares
    cdef float fast, slow, away, spreads, trends, of_spread, of_trend, total
    for n in range(a.count):
        x, observed = a.x + n * channels, a.observed + n * channels
        shares = a.contribution + n * channels
        mean = a.rows + a.slots[n] * PIECES * channels
        if a.reset[n]:
            memset(mean, 0, PIECES * channels * sizeof(float))
        spread, usual = mean + SPREAD * channels, mean + USUAL * channels
        fast, slow = _rate(a.ages[n], a.fast), _rate(a.ages[n], a.slow)
        spreads = trends = 0.0
        for c in range(channels):
            a.expected[n * channels + c] = usual[c]
            if observed[c]:
                away = x[c] - mean[c]
                mean[c] += fast * away
                spread[c] = (1 - fast) * (spread[c] + fast * away * away)
                usual[c] += slow * (x[c] - usual[c])
            away = mean[c] - usual[c]
            of_spread = _ratio(spread[c], a.scales[c])
            of_trend = _ratio(away * away, a.scales[channels + c])
            spreads += of_spread
            trends += of_trend
            shares[c] = of_spread + of_trend
        a.statistics[n * PARTS] = spreads / channels
        a.statistics[n * PARTS + 1] = trends / channels
        total = spreads + trends
        for c in range(channels):
            shares[c] = shares[c] / total if total > 0 else <float>1.0 / channels


cdef int _need_ages(const long long* ages, Py_ssize_t count) except -1:
    cdef Py_ssize_t n
    cdef long long low = 0
    for n in range(count):
        low = ages[n] if ages[n] < low else low
    if low < 0:
        raise ShapeError(f"ages: expected 0 or more, got {low}")
    return 0


cdef int _need_scales(const float* scales, Py_ssize_t count) except -1:
    cdef Py_ssize_t k
    for k in range(count):
        if not scales[k] > 0:
            raise ShapeError(f"scales: expected numbers above 0, got {scales[k]}")
    return 0


def advance_activity(
    slots,
    *,
    x,
    observed,
    reset,
    ages,
    scales,
    float fast,
    float slow,
    rows,
    statistics,
    contribution,
    expected,
):
    """Advance the streams' rows by N samples; write statistics, contribution and expected.

    Shapes: slots int64 [N], may repeat; x float32 [N, C]; observed uint8 [N, C]; reset uint8 [N]; ages int64 [N], the
    stream's before each sample; scales float32 [2, C], above 0, of the spread and of the square of the trend; rows
    float32 [S, 3, C]; statistics float32 [N, 2]; contribution, expected float32 [N, C].
    Units: fast and slow in 1/samples; expected is dimensionless (the usual value before the sample; 0 for a stream's
    first one).
    State: a stream's row is zeroed where reset is set.
    Raises: ShapeError before anything changes.
    """
    cdef Memory memory
    cdef Activity a
    memory.count = 0
    a.slots = <const long long*>need_input(&memory, "slots", slots, cnp.NPY_INT64, 1, -1)
    a.count = cnp.PyArray_DIM(slots, 0)
    a.x = <const float*>need_input(&memory, "x", x, cnp.NPY_FLOAT32, 2, a.count, -1)
    a.channels = cnp.PyArray_DIM(x, 1)
    a.observed = <const unsigned char*>need_input(
        &memory, "observed", observed, cnp.NPY_UINT8, 2, a.count, a.channels
    )
    a.reset = <const unsigned char*>need_input(&memory, "reset", reset, cnp.NPY_UINT8, 1, a.count)
    a.ages = <const long long*>need_input(&memory, "ages", ages, cnp.NPY_INT64, 1, a.count)
    a.scales = <const float*>need_input(&memory, "scales", scales, cnp.NPY_FLOAT32, 2, PARTS, a.channels)
    a.rows = <float*>need_output(&memory, "rows", rows, cnp.NPY_FLOAT32, 3, -1, PIECES, a.channels)
    cdef Py_ssize_t capacity = cnp.PyArray_DIM(rows, 0)
    a.statistics = <float*>need_output(&memory, "statistics", statistics, cnp.NPY_FLOAT32, 2, a.count, PARTS)
    a.contribution = <float*>need_output(
        &memory, "contribution", contribution, cnp.NPY_FLOAT32, 2, a.count, a.channels
    )
    a.expected = <float*>need_output(&memory, "expected", expected, cnp.NPY_FLOAT32, 2, a.count, a.channels)
    if not (0 < slow <= fast <= 1):
        raise ShapeError(f"slow, fast: expected 0 < slow <= fast <= 1, got {slow:g} and {fast:g}")
    need_apart(&memory)
    need_slots(a.slots, a.count, capacity)
    _need_ages(a.ages, a.count)
    _need_scales(a.scales, PARTS * a.channels)
    a.fast, a.slow = fast, slow
    with nogil:
        _advance(&a)
