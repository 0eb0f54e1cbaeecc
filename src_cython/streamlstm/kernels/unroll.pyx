"""T steps of a stack of LSTM layers for training: forward, keeping what backward needs; backward beside it.

For one layer, time-major rows [B, .], z the pre-activations and a = (i, f, g, o) the activated gates:

    forward     z_t = x_t W_x + h_(t-1) W_h + bias      c_t = f c_(t-1) + i g        h_t = o tanh(c_t)
    backward    d_h  = dy_t + dz_(t+1) W_h^T            d_c, dz_t: gates.h           dx_t = dz_t W_x^T
                dW_x = sum_t x_t^T dz_t                 dW_h = sum_t h_(t-1)^T dz_t  dbias = sum_t sum_B dz_t

The product with x is one for all T. Weight gradients are summed in chunks of CHUNK steps, while dz is still in cache.
"""

from dataclasses import dataclass

import numpy as np

from streamlstm.errors import ShapeError
from streamlstm.kernels.blas cimport multiply, multiply_nt, multiply_tn
from streamlstm.kernels.faces import check_array
from streamlstm.kernels.weights cimport Layer, LstmWeights

cdef extern from "gates.h":
    void gates_forward(Py_ssize_t H, float* z, const float* c, float* c_next, float* tanh_c, float* h) noexcept nogil
    void gates_backward(Py_ssize_t H, float* a, const float* c, const float* tanh_c, const float* d_h,
                        float* d_c) noexcept nogil

cdef enum:
    CHUNK = 8   # steps: 64 lanes of 4 * 64 gates are 0.5 MB, within a second-level cache


@dataclass(frozen=True, slots=True)
class Trace:
    """y [T, B, H]; hidden and cell [L, B, H] at the end; and, by layer, what `backward` needs."""

    y: object
    hidden: object
    cell: object
    inputs: tuple   # of each layer, [T, B, I]
    gates: tuple    # activated, [T, B, 4H]
    hiddens: tuple  # h_(-1) .. h_(T-1), [T + 1, B, H]
    cells: tuple    # likewise
    tanh_cells: tuple  # [T, B, H]


@dataclass(frozen=True, slots=True)
class Gradients:
    """layers: (d_w_ih [4H, I], d_w_hh [4H, H], d_bias [4H]) by layer; d_x [T, B, I]; d_hidden, d_cell [L, B, H]."""

    layers: list
    d_x: object
    d_hidden: object
    d_cell: object


cdef void _forward(Layer layer, Py_ssize_t T, Py_ssize_t B, Py_ssize_t H, const float* x, float* z, float* h, float* c,
                   float* tanh_c) noexcept nogil:
    cdef Py_ssize_t t, r, row = B * H, N = 4 * H
    cdef float* z_t
    for r in range(T * B):
        for t in range(N):
            z[r * N + t] = layer.bias[t]
    multiply(T * B, N, layer.inputs, x, layer.inputs, layer.w_x, 1.0, z)
    for t in range(T):
        z_t = z + t * B * N
        multiply(B, N, H, h + t * row, H, layer.w_h, 1.0, z_t)
        for r in range(B):
            gates_forward(H, z_t + r * N, c + t * row + r * H, c + (t + 1) * row + r * H, tanh_c + t * row + r * H,
                          h + (t + 1) * row + r * H)


cdef void _backward(Layer layer, Py_ssize_t T, Py_ssize_t B, Py_ssize_t H, const float* x, float* z, const float* h,
                    const float* c, const float* tanh_c, float* d_y, float* d_h, float* d_c, float* d_w_x,
                    float* d_w_h, float* d_bias, float* d_x) noexcept nogil:
    """z holds activated gates and becomes their gradient; d_y is summed with what comes back in time; d_h, d_c [B, H]
    hold the gradients of the final state, and of the initial one in the end."""
    cdef Py_ssize_t t, r, j, steps, row = B * H, N = 4 * H
    cdef float* z_t
    for t in range(T - 1, -1, -1):
        z_t = z + t * B * N
        for r in range(row):
            d_y[t * row + r] += d_h[r]
        for r in range(B):
            gates_backward(H, z_t + r * N, c + t * row + r * H, tanh_c + t * row + r * H, d_y + t * row + r * H,
                           d_c + r * H)
        multiply_nt(B, H, N, z_t, layer.w_h, 0.0, d_h)
        if t % CHUNK == 0:
            steps = T - t if T - t < CHUNK else CHUNK
            multiply_tn(layer.inputs, N, steps * B, x + t * B * layer.inputs, z_t, 1.0, d_w_x)
            multiply_tn(H, N, steps * B, h + t * row, z_t, 1.0, d_w_h)
            multiply_nt(steps * B, layer.inputs, N, z_t, layer.w_x, 0.0, d_x + t * B * layer.inputs)
            for r in range(steps * B):
                for j in range(N):
                    d_bias[j] += z_t[r * N + j]


def unroll(LstmWeights weights, x, *, hidden, cell):
    """Run T steps from a given state.

    Shapes: x float32 [T, B, I]; hidden, cell float32 [L, B, H].
    Raises: ShapeError.
    """
    cdef Py_ssize_t T, B, H = weights.hidden_size, l
    cdef float[:, :, ::1] z, h, c, tanh_c
    cdef const float[:, :, ::1] inputs
    check_array("x", x, np.float32, (None, None, weights.input_size))
    T, B = x.shape[:2]
    if T < 1 or B < 1:
        raise ShapeError(f"x: expected at least one step and one lane, got {list(x.shape)}")
    if not np.isfinite(x).all():
        raise ShapeError("x: expected finite numbers; fill missing values first")
    check_array("hidden", hidden, np.float32, (weights.num_layers, B, H))
    check_array("cell", cell, np.float32, (weights.num_layers, B, H))
    kept = []
    below = x
    for l in range(weights.num_layers):
        gates = np.empty((T, B, 4 * H), np.float32)
        hiddens, cells = np.empty((T + 1, B, H), np.float32), np.empty((T + 1, B, H), np.float32)
        tanh_cells = np.empty((T, B, H), np.float32)
        hiddens[0], cells[0] = hidden[l], cell[l]
        inputs, z, h, c, tanh_c = below, gates, hiddens, cells, tanh_cells
        with nogil:
            _forward(weights.layers[l], T, B, H, &inputs[0, 0, 0], &z[0, 0, 0], &h[0, 0, 0], &c[0, 0, 0],
                     &tanh_c[0, 0, 0])
        kept.append((below, gates, hiddens, cells, tanh_cells))
        below = hiddens[1:]
    inputs_kept, gates_kept, hiddens_kept, cells_kept, tanh_kept = zip(*kept, strict=True)
    final_hidden, final_cell = np.stack([k[T] for k in hiddens_kept]), np.stack([k[T] for k in cells_kept])
    return Trace(below, final_hidden, final_cell, inputs_kept, gates_kept, hiddens_kept, cells_kept, tanh_kept)


def backward(LstmWeights weights, trace, d_y, *, d_hidden=None, d_cell=None):
    """Return the gradients of a loss, given its gradients by the outputs of `unroll`.

    Shapes: d_y float32 [T, B, H]; d_hidden, d_cell float32 [L, B, H] by the final state, zero when None.
    State: the trace is left as it is.
    Raises: ShapeError.
    """
    cdef Py_ssize_t T, B, H = weights.hidden_size, L = weights.num_layers, l
    cdef float[:, :, ::1] z, d_out, d_in
    cdef const float[:, :, ::1] inputs, h, c, tanh_c
    cdef float[:, ::1] d_h, d_c, d_w_x, d_w_h
    cdef float[::1] d_bias
    T, B = trace.y.shape[:2]
    check_array("d_y", d_y, np.float32, (T, B, H))
    if len(trace.gates) != L:
        raise ShapeError(f"trace: expected {L} layers as the weights have, got {len(trace.gates)}")
    for l in range(L):
        check_array(f"trace.inputs[{l}]", trace.inputs[l], np.float32, (T, B, weights.layers[l].inputs))
        check_array(f"trace.gates[{l}]", trace.gates[l], np.float32, (T, B, 4 * H))
    for name, given in (("d_hidden", d_hidden), ("d_cell", d_cell)):
        if given is not None:
            check_array(name, given, np.float32, (L, B, H))
    d_state = [np.zeros((L, B, H), np.float32) if given is None else given.copy() for given in (d_hidden, d_cell)]
    layers = [None] * L
    above = d_y.copy()
    for l in range(L - 1, -1, -1):
        gates = trace.gates[l].copy()
        size = weights.layers[l].inputs
        d_below = np.empty((T, B, size), np.float32)
        grads = np.zeros((size, 4 * H), np.float32), np.zeros((H, 4 * H), np.float32), np.zeros(4 * H, np.float32)
        z, d_out, d_in = gates, above, d_below
        inputs, h, c, tanh_c = trace.inputs[l], trace.hiddens[l], trace.cells[l], trace.tanh_cells[l]
        d_h, d_c = d_state[0][l], d_state[1][l]
        d_w_x, d_w_h, d_bias = grads
        with nogil:
            _backward(weights.layers[l], T, B, H, &inputs[0, 0, 0], &z[0, 0, 0], &h[0, 0, 0], &c[0, 0, 0],
                      &tanh_c[0, 0, 0], &d_out[0, 0, 0], &d_h[0, 0], &d_c[0, 0], &d_w_x[0, 0], &d_w_h[0, 0],
                      &d_bias[0], &d_in[0, 0, 0])
        layers[l] = tuple(np.ascontiguousarray(g.T) for g in grads)
        above = d_below
    return Gradients(layers, above, *d_state)
