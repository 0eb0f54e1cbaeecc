"""From the network's outputs to running means of its errors. One pass, row by row.

For row t of a stream, with x_t the standardised sample, `head` the network's outputs at t, f^h_t the forecast made at
t for t + h, and sums and means over observed channels only:

    residuals   newest    x_t - reconstruction_t
                one-step  x_t - f^1_(t-1)
                ensemble  x_t - mean over h = 1..p of f^h_(t-h)                     (Malhotra et al. 2015)
    squares     q = min((residual / its scale by channel)^2, SQUARE_LIMIT)
    means       m_(kind, width) += alpha_width * (mean_c q - m)                     alpha = 2 / (width + 1), W widths
    energy      e_c += alpha_energy * (sum over kinds of q_c - e_c)                 a channel's part in the score

The energy's width is the widest but one: as wide as most of what is seen, and no wider.

A steady channel, one that never moved in training, is expected to stay where it is: all of its residuals are
x_t - x_(t-1), since the network was shown nothing of what it does. So each of its moves is one event, which passes.

A channel's residual is 0 where its sign is not the channel's direction (1: above what was expected, -1: below, 0: both
count), and where it is smaller than the least deviation that matters.

A row of one stream needs nothing of another, and every sum has one order, so a stream's bits do not depend on the
batch.

State by stream (float32 row): next [C] | ring [p, C] | means [3 W] | energy [C]. `next` is f^1 of the row before
(x of a steady channel); row a % p of the ring is the sum of the forecasts made for the sample at age a.
"""

from libc.math cimport fabsf
from libc.string cimport memset

cimport numpy as cnp

from streamlstm.errors import ShapeError
from streamlstm.kernels.checks cimport Memory, need_apart, need_input, need_output, need_slots

cnp.import_array()

cdef enum:
    KINDS = 3

cdef float SQUARE_LIMIT = 400.0  # 20 scales: as wrong as can be; beyond, its means would not come down again


cdef struct Errors:                    # of N samples of streams in S slots; C channels, forecasts of p samples
    Py_ssize_t count, channels, forecast, widths, row
    long long burn_in
    const long long* slots             # [N]
    const float* x                     # [N, C]
    const unsigned char* observed      # [N, C]
    const unsigned char* steady        # [C], not 0 = the channel never moved
    const signed char* directions      # [C], -1, 0 or 1
    const float* least                 # [C], 0 or more
    const unsigned char* reset         # [N], not 0 = the stream begins anew
    const float* head                  # [N, (1 + p) * C]
    const float* scales                # [KINDS, C]
    const float* alphas                # [W], the narrowest width's first
    const long long* ages              # [N], none below 0
    float* rows                        # [S, row]
    float* means                       # [N, KINDS * W]
    float* contribution                # [N, C]
    float* expected                    # [N, C]


def row_length(Py_ssize_t channels, Py_ssize_t forecast, Py_ssize_t widths):
    """Return the float32 values that a stream's row takes: C + p * C + 3 W + C."""
    return channels * (forecast + 2) + KINDS * widths


cdef inline float _rate(long long measured, float alpha) noexcept nogil:
    """A running mean's until the width is full, so a young stream's mean is not pulled to zero."""
    return alpha if measured * alpha > 1.0 else <float>1.0 / (measured + 1)


cdef void _advance(const Errors* errors) noexcept nogil:
    cdef Py_ssize_t channels = errors.channels, forecast = errors.forecast, widths = errors.widths
    cdef Py_ssize_t parts = KINDS * widths, n, c, h, k, w, ring_index, seen, present
    cdef const float* scales = errors.scales
    cdef const float* x
    cdef const float* head
    cdef const unsigned char* observed
    cdef long long age, measured
    cdef float* next_one
    cdef float* ring
    cdef float* mean
    cdef float* energy
    cdef float* summed
    cdef float* expected
    cdef float* contribution
    cdef float residual, square, alpha, total
    cdef float[KINDS] sums
    for n in range(errors.count):
        x, observed = errors.x + n * channels, errors.observed + n * channels
        head = errors.head + n * channels * (1 + forecast)
        expected, contribution = errors.expected + n * channels, errors.contribution + n * channels
        age = errors.ages[n]
        next_one = errors.rows + errors.slots[n] * errors.row
        if errors.reset[n]:
            memset(next_one, 0, errors.row * sizeof(float))
        ring = next_one + channels
        mean = ring + forecast * channels
        energy = mean + parts
        ring_index = <Py_ssize_t>(age % forecast)
        measured = age - errors.burn_in if age > errors.burn_in else 0
        seen = <Py_ssize_t>(age if age < forecast else forecast)
        summed = ring + ring_index * channels
        for k in range(KINDS):
            sums[k] = 0.0
        present = 0  # observed channels
        alpha = _rate(measured, errors.alphas[widths - 2 if widths > 1 else 0])
        for c in range(channels):
            expected[c] = next_one[c]
            if not observed[c]:
                continue
            present += 1
            total = 0.0
            for k in range(KINDS):
                if k == 0 and not errors.steady[c]:
                    residual = x[c] - head[c]
                elif seen == 0:
                    continue
                elif k == 1 or errors.steady[c]:
                    residual = x[c] - next_one[c]
                else:
                    residual = x[c] - summed[c] / seen
                if errors.directions[c] * residual < 0 or fabsf(residual) < errors.least[c]:
                    residual = 0.0
                square = residual / scales[k * channels + c]
                square = square * square
                if not square < SQUARE_LIMIT:
                    square = SQUARE_LIMIT
                sums[k] += square
                total += square
            energy[c] += alpha * (total - energy[c])
        if present > 0 and age >= errors.burn_in:
            for k in range(KINDS):
                for w in range(widths):
                    alpha = _rate(measured, errors.alphas[w])
                    mean[k * widths + w] += alpha * (sums[k] / present - mean[k * widths + w])
        total = 0.0
        for c in range(channels):
            total += energy[c]
        for c in range(channels):
            contribution[c] = energy[c] / total if total > 0 else <float>1.0 / channels
        for k in range(parts):
            errors.means[n * parts + k] = mean[k]
        for c in range(channels):
            summed[c] = 0.0
        for h in range(1, forecast + 1):
            summed = ring + ((ring_index + h) % forecast) * channels
            for c in range(channels):
                summed[c] += head[h * channels + c]
        for c in range(channels):
            next_one[c] = x[c] if errors.steady[c] else head[channels + c]


cdef int _need_ages(const Errors* errors) except -1:
    """Raise ShapeError unless the ages can be what they are called: they index the ring."""
    cdef Py_ssize_t n
    cdef long long low = 0
    for n in range(errors.count):
        low = errors.ages[n] if errors.ages[n] < low else low
    if low < 0:
        raise ShapeError(f"ages: expected 0 or more, got {low}")
    return 0


def advance_residuals(
    slots,
    *,
    x,
    observed,
    steady,
    directions,
    least,
    reset,
    head,
    scales,
    alphas,
    long long burn_in,
    ages,
    rows,
    means,
    contribution,
    expected,
):
    """Advance the streams' rows by N samples; write means, contribution and expected.

    Shapes: slots int64 [N], may repeat; x float32 [N, C]; observed uint8 [N, C]; steady uint8 [C]; directions int8 [C],
    each -1, 0 or 1; least float32 [C], 0 or more; reset uint8 [N]; head float32 [N, C * (1 + p)]; scales float32 [3, C]
    (newest, one-step, ensemble); alphas float32 [W], W at least 1, the narrowest width's first; ages int64 [N], the
    stream's before each sample; rows float32 [S, row_length]; means float32 [N, 3 W], residual by residual;
    contribution, expected float32 [N, C].
    Units: burn_in in samples: younger streams' residuals are the start's, not the stream's, and enter no mean; least
    and expected are dimensionless; expected is the forecast made one sample ago, 0 for a stream's first sample.
    State: a stream's row is zeroed where reset is set.
    Raises: ShapeError before anything changes.
    """
    cdef Memory memory
    cdef Errors e
    memory.count = 0
    e.slots = <const long long*>need_input(&memory, "slots", slots, cnp.NPY_INT64, 1, -1)
    e.count = cnp.PyArray_DIM(slots, 0)
    e.x = <const float*>need_input(&memory, "x", x, cnp.NPY_FLOAT32, 2, e.count, -1)
    e.channels = cnp.PyArray_DIM(x, 1)
    if e.channels < 1:
        raise ShapeError(f"x: expected at least one channel, got {[e.count, e.channels]}")
    e.observed = <const unsigned char*>need_input(&memory, "observed", observed, cnp.NPY_UINT8, 2, e.count, e.channels)
    e.steady = <const unsigned char*>need_input(&memory, "steady", steady, cnp.NPY_UINT8, 1, e.channels)
    e.directions = <const signed char*>need_input(&memory, "directions", directions, cnp.NPY_INT8, 1, e.channels)
    e.least = <const float*>need_input(&memory, "least", least, cnp.NPY_FLOAT32, 1, e.channels)
    e.reset = <const unsigned char*>need_input(&memory, "reset", reset, cnp.NPY_UINT8, 1, e.count)
    e.head = <const float*>need_input(&memory, "head", head, cnp.NPY_FLOAT32, 2, e.count, -1)
    cdef Py_ssize_t outputs = cnp.PyArray_DIM(head, 1)
    e.forecast = outputs // e.channels - 1
    if e.forecast < 1 or outputs % e.channels:
        raise ShapeError(
            f"head: expected a reconstruction and at least one forecast of {e.channels} channels each, "
            f"got {[e.count, outputs]}"
        )
    e.scales = <const float*>need_input(&memory, "scales", scales, cnp.NPY_FLOAT32, 2, KINDS, e.channels)
    e.alphas = <const float*>need_input(&memory, "alphas", alphas, cnp.NPY_FLOAT32, 1, -1)
    e.widths = cnp.PyArray_DIM(alphas, 0)
    if e.widths < 1:
        raise ShapeError("alphas: expected at least one width, got none")
    e.ages = <const long long*>need_input(&memory, "ages", ages, cnp.NPY_INT64, 1, e.count)
    e.row = row_length(e.channels, e.forecast, e.widths)
    e.rows = <float*>need_output(&memory, "rows", rows, cnp.NPY_FLOAT32, 2, -1, e.row)
    cdef Py_ssize_t capacity = cnp.PyArray_DIM(rows, 0)
    e.means = <float*>need_output(&memory, "means", means, cnp.NPY_FLOAT32, 2, e.count, KINDS * e.widths)
    e.contribution = <float*>need_output(&memory, "contribution", contribution, cnp.NPY_FLOAT32, 2, e.count, e.channels)
    e.expected = <float*>need_output(&memory, "expected", expected, cnp.NPY_FLOAT32, 2, e.count, e.channels)
    e.burn_in = burn_in
    if burn_in < 0:
        raise ShapeError(f"burn_in: expected 0 or more, got {burn_in}")
    need_apart(&memory)
    need_slots(e.slots, e.count, capacity)
    _need_ages(&e)
    with nogil:
        _advance(&e)
