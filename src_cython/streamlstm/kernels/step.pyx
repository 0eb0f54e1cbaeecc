"""One LSTM step for many streams, and the linear head.

    z = x W_x + h W_h + bias    i, f, g, o = z    c' = sigmoid(f) c + sigmoid(i) tanh(g)    h' = sigmoid(o) tanh(c')

Streams are taken in blocks of BLOCK rows, the last one filled up with rows of zeros, so that every gate product has
the same shape: BLAS then sums in the same order, and a stream's bits do not depend on its neighbours, its slot or the
size of the batch. Blocks of eight also stay below the size from which OpenBLAS packs the weights anew at every call
(M N K = 1e6); the inner dimension is split where they do not.

Source: Hochreiter and Schmidhuber 1997; gates as in Gers et al. 2000.
"""

from libc.math cimport isnan
from libc.string cimport memcpy, memset

import numpy as np

from streamlstm.errors import ShapeError, UsageError
from streamlstm.kernels.blas cimport multiply
from streamlstm.kernels.faces import check_array
from streamlstm.kernels.state_arena cimport BLOCK, StateArena
from streamlstm.kernels.weights cimport Layer, LstmWeights

cdef extern from "gates.h":
    void gates_step(Py_ssize_t H, const float* z, float* c, float* h) noexcept nogil

cdef enum:
    PACKING_CLIFF = 1000000   # M N K from which OpenBLAS packs both operands at every call

X_LIMIT = 1e4
"""Inputs are clipped here on their way in: every gate is saturated long before, and no sum overflows."""

cdef float _X_LIMIT = 1e4


cdef inline float _clean(float x) noexcept nogil:
    """NaN -> 0, everything else into +-X_LIMIT."""
    if isnan(x):
        return 0.0
    return _X_LIMIT if x > _X_LIMIT else (-_X_LIMIT if x < -_X_LIMIT else x)


cdef void _multiply_block(Py_ssize_t N, Py_ssize_t K, const float* A, const float* B, float* C) noexcept nogil:
    """C [BLOCK, N] += A [BLOCK, K] B [K, N], in slices of K that BLAS does not pack. A is contiguous."""
    cdef Py_ssize_t slice = PACKING_CLIFF // (BLOCK * N), k = 0, step
    if slice < 1:
        slice = 1
    while k < K:
        step = slice if K - k > slice else K - k
        multiply(BLOCK, N, step, A + k, K, B + k * N, 1.0, C)
        k += step


cdef void _step_block(LstmWeights weights, StateArena arena, Py_ssize_t count, const long long* slots,
                      const Py_ssize_t* rows, const unsigned char* reset, const float* x, float* block,
                      float* out) noexcept nogil:
    """Advance `count` <= BLOCK distinct streams: sample rows[b] of x goes to slots[rows[b]]; reset zeroes it first."""
    cdef Py_ssize_t H = weights.hidden_size, I = weights.input_size, b, k, l
    cdef float* z = &arena.z[0, 0]
    cdef float* h = &arena.h[0, 0]
    cdef const float* source
    cdef Layer layer
    cdef long long slot
    memset(block, 0, BLOCK * (I if I > H else H) * sizeof(float))
    for b in range(count):
        if reset != NULL and reset[rows[b]]:
            memset(&arena.hidden[slots[rows[b]], 0, 0], 0, weights.num_layers * H * sizeof(float))
            memset(&arena.cell[slots[rows[b]], 0, 0], 0, weights.num_layers * H * sizeof(float))
        source = x + rows[b] * I
        for k in range(I):
            block[b * I + k] = _clean(source[k])
    for l in range(weights.num_layers):
        layer = weights.layers[l]
        memset(h, 0, BLOCK * H * sizeof(float))
        for b in range(count):
            memcpy(h + b * H, &arena.hidden[slots[rows[b]], l, 0], H * sizeof(float))
        for b in range(BLOCK):
            memcpy(z + b * 4 * H, layer.bias, 4 * H * sizeof(float))
        _multiply_block(4 * H, layer.inputs, block, layer.w_x, z)
        _multiply_block(4 * H, H, h, layer.w_h, z)
        if l == 0:
            memset(block, 0, BLOCK * H * sizeof(float))
        for b in range(count):
            slot = slots[rows[b]]
            gates_step(H, z + b * 4 * H, &arena.cell[slot, l, 0], &arena.hidden[slot, l, 0])
            memcpy(block + b * H, &arena.hidden[slot, l, 0], H * sizeof(float))
    for b in range(count):
        memcpy(out + rows[b] * H, block + b * H, H * sizeof(float))


cdef void _advance(LstmWeights weights, StateArena arena, Py_ssize_t count, const long long* slots,
                   const unsigned char* reset, const float* x, Py_ssize_t* order, Py_ssize_t* round_of,
                   Py_ssize_t* round_ends, float* block, float* out) noexcept nogil:
    """Advance N samples in arrival order: the k-th sample of a slot goes to round k, a round goes block by block."""
    cdef Py_ssize_t n, r, rounds = 0, begin, end, size
    for n in range(count):
        r = arena.seen[slots[n]]
        arena.seen[slots[n]] += 1
        round_of[n] = r
        if r == rounds:
            round_ends[r] = 0
            rounds += 1
        round_ends[r] += 1
    for r in range(1, rounds):
        round_ends[r] += round_ends[r - 1]
    for n in range(count - 1, -1, -1):  # a counting sort that keeps arrival order; ends become beginnings
        round_ends[round_of[n]] -= 1
        order[round_ends[round_of[n]]] = n
        arena.seen[slots[n]] = 0
    for r in range(rounds):
        begin = round_ends[r]
        end = round_ends[r + 1] if r + 1 < rounds else count
        while begin < end:
            size = BLOCK if end - begin > BLOCK else end - begin
            _step_block(weights, arena, size, slots, order + begin, reset, x, block, out)
            begin += size


cdef _run(LstmWeights weights, StateArena arena, slots, x, reset, out, bint is_distinct):
    """Check, then advance; plain loops, since at one stream a call of numpy costs as much as the step."""
    cdef Py_ssize_t count, width, n
    cdef long long low, high
    cdef bint is_twice = False
    cdef const long long[::1] slot_view
    cdef const unsigned char[::1] reset_view
    cdef const float[:, ::1] x_view
    cdef float[:, ::1] out_view
    cdef Py_ssize_t[:, ::1] places
    cdef const unsigned char* reset_rows = NULL
    check_array("slots", slots, np.int64, (None,))
    count = slots.shape[0]
    check_array("x", x, np.float32, (count, weights.input_size))
    check_array("out", out, np.float32, (count, weights.hidden_size))
    if reset is not None:
        check_array("reset", reset, np.uint8, (count,))
    if arena.layers != weights.num_layers or arena.hidden_size != weights.hidden_size:
        raise ShapeError(
            f"arena: expected {weights.num_layers} layers of {weights.hidden_size} as the weights have, "
            f"got {arena.layers} of {arena.hidden_size}"
        )
    if not out.flags.writeable or np.may_share_memory(x, out):
        raise ShapeError("out: expected memory that may be written and is not that of x")
    if count == 0:
        return
    slot_view, x_view, out_view = slots, x, out
    if reset is not None:
        reset_view = reset
        reset_rows = &reset_view[0]
    low = high = slot_view[0]
    for n in range(1, count):
        low = slot_view[n] if slot_view[n] < low else low
        high = slot_view[n] if slot_view[n] > high else high
    if low < 0 or high >= arena.capacity:
        raise ShapeError(f"slots: expected 0 to {arena.capacity - 1}, got {low} to {high}")
    if is_distinct:
        for n in range(count):
            is_twice |= arena.seen[slot_view[n]] != 0
            arena.seen[slot_view[n]] = 1
        for n in range(count):
            arena.seen[slot_view[n]] = 0
        if is_twice:
            raise ShapeError(
                "slots: expected each slot once, got one twice; `advance` takes several samples of a stream"
            )
    width = BLOCK * (weights.input_size if weights.input_size > weights.hidden_size else weights.hidden_size)
    if arena.block.shape[0] < width:
        arena.block = np.empty(width, np.float32)
    if arena.places.shape[1] < count:
        arena.places = np.empty((3, 2 * count), np.intp)
    places = arena.places
    if arena.is_busy:
        raise UsageError("arena: another thread is advancing it; give each thread an arena of its own")
    arena.is_busy = True
    with nogil:
        _advance(weights, arena, count, &slot_view[0], reset_rows, &x_view[0, 0], &places[0, 0], &places[1, 0],
                 &places[2, 0], &arena.block[0], &out_view[0, 0])
    arena.is_busy = False


def step(LstmWeights weights not None, StateArena arena not None, slots, x, out):
    """Advance B distinct streams by one sample each; write the top layer's hidden state to out.

    Shapes: slots int64 [B]; x float32 [B, I]; out float32 [B, H].
    State: the arena's rows of these slots advance in place. Nothing is allocated once the arena has met the largest B.
    Raises: ShapeError before any state changes, also for a slot that comes twice.
    """
    _run(weights, arena, slots, x, None, out, True)


def advance(LstmWeights weights not None, StateArena arena not None, slots, x, reset, out):
    """Advance streams by N samples in arrival order; slots may repeat.

    Shapes: slots int64 [N]; x float32 [N, I]; reset uint8 [N] (1 = zero the stream's state before this sample) or None;
    out float32 [N, H].
    State: as if each sample were stepped on its own, in order; streams do not meet.
    Raises: ShapeError before any state changes.
    """
    _run(weights, arena, slots, x, reset, out, False)


def project(hidden, weight, bias, out):
    """Apply a linear head in blocks of one size: out = hidden weight^T + bias, and a row's bits do not depend on N.

    Shapes: hidden float32 [N, H]; weight float32 [D, H]; bias float32 [D]; out float32 [N, D].
    """
    cdef Py_ssize_t N, H, D, n, b, size
    cdef const float[:, ::1] hidden_view, packed
    cdef const float[::1] bias_view
    cdef float[:, ::1] out_view, block, result
    check_array("hidden", hidden, np.float32, (None, None))
    check_array("bias", bias, np.float32, (None,))
    N, H = hidden.shape
    D = len(bias)
    if H < 1 or D < 1:
        raise ShapeError(f"expected at least one hidden unit and one output, got {H} and {D}")
    check_array("weight", weight, np.float32, (D, H))
    check_array("out", out, np.float32, (N, D))
    hidden_view, bias_view, out_view = hidden, bias, out
    packed = np.array(weight.T, order="C")
    block = np.zeros((BLOCK, H), np.float32)
    result = np.empty((BLOCK, D), np.float32)
    with nogil:
        n = 0
        while n < N:
            size = BLOCK if N - n > BLOCK else N - n
            memcpy(&block[0, 0], &hidden_view[n, 0], size * H * sizeof(float))
            for b in range(BLOCK):
                memcpy(&result[b, 0], &bias_view[0], D * sizeof(float))
            _multiply_block(D, H, &block[0, 0], &packed[0, 0], &result[0, 0])
            memcpy(&out_view[n, 0], &result[0, 0], size * D * sizeof(float))
            n += size
