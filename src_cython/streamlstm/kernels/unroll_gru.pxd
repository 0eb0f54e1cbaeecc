"""The GRU kinds and the plain RNN over T steps, rows [B, .]; W_hh is W_ru [2H, H] over W_n [H, H]; u is the gate z.

    gru                 q_t = b_hn + fed_t W_n^T                n = tanh(z_n + r q)
                        d_fed = (dr, du) W_ru + dq W_n          dW_n = sum_t dq_t^T fed_t       db_hn = sum_t sum_B dq_t
    gru_reset_before    s_t = r fed_t                           n = tanh(z_n + s W_n^T)
                        ds = dn W_n                             d_fed = ds r + (dr, du) W_ru
                        dW_n = sum_t dn_t^T s_t
    both                z_ru = .. + fed_t W_ru^T                dW_ru = sum_t (dr, du)_t^T fed_t
                        h_t = (1 - u) n + u h_(t-1)             d_h = d_h u + m d_fed
    rnn                 h_t = tanh(z_t + fed_t W_hh^T)          d_h = m dz W_hh     dW_hh = sum_t dz_t^T fed_t

Gates row by row: unroll_gates.h.
"""

from libc.string cimport memcpy, memset

from streamlstm.kernels.blas cimport multiply, multiply_part, multiply_tn
from streamlstm.kernels.unroll_layer cimport (
    CHUNK,
    LayerPass,
    add_fed,
    add_rows,
    feed,
    project_inputs,
    rows_to_sum,
    sum_input_gradients,
)

cdef extern from "unroll_gates.h":
    void gru_gates_forward(Py_ssize_t H, float* z, const float* q, const float* h_prev,
                           float* h) noexcept nogil
    void gru_gates_backward(Py_ssize_t H, float* a, const float* q, const float* h_prev,
                            const float* d_h, float* d_q, float* d_h_prev) noexcept nogil
    void reset_gates_forward(Py_ssize_t H, float* z, const float* fed, float* s) noexcept nogil
    void reset_gates_backward(Py_ssize_t H, float* a, const float* fed, const float* d_s,
                              float* d_fed) noexcept nogil
    void mix_gates_forward(Py_ssize_t H, float* z, const float* h_prev, float* h) noexcept nogil
    void mix_gates_backward(Py_ssize_t H, float* a, const float* h_prev, const float* d_h,
                            float* d_h_prev) noexcept nogil
    void rnn_gates_forward(Py_ssize_t n, float* z, float* h) noexcept nogil
    void rnn_gates_backward(Py_ssize_t n, float* a, const float* d_h) noexcept nogil


cdef inline void gru_forward(const LayerPass* p) noexcept nogil:
    cdef Py_ssize_t t, b, H = p.H, N = p.N, row = p.B * H
    cdef float* z
    cdef float* q
    cdef float* h
    cdef const float* fed
    project_inputs(p)
    for t in range(p.T):
        z, q, h, fed = p.z + t * p.B * N, p.inner + t * row, p.h + t * row, feed(p, t)
        for b in range(p.B):
            memcpy(q + b * H, p.bias_hn, H * sizeof(float))
        multiply_part(p.B, 2 * H, H, fed, H, p.w_hh, N, 1.0, z, N)
        multiply_part(p.B, H, H, fed, H, p.w_hh + 2 * H, N, 1.0, q, H)
        for b in range(p.B):
            gru_gates_forward(H, z + b * N, q + b * H, h + b * H, h + row + b * H)


cdef inline void gru_backward(const LayerPass* p) noexcept nogil:
    cdef Py_ssize_t t, b, rows, H = p.H, N = p.N, row = p.B * H
    cdef float* z
    cdef float* q
    cdef float* h
    cdef float* fed
    cdef float* d_y
    cdef float* d_q
    for t in range(p.T - 1, -1, -1):
        z, q, h, fed = p.z + t * p.B * N, p.inner + t * row, p.h + t * row, p.fed + t * row
        d_y, d_q = p.d_y + t * row, p.d_inner + t % CHUNK * row
        add_rows(row, d_y, p.d_h)
        for b in range(p.B):
            gru_gates_backward(H, z + b * N, q + b * H, h + b * H, d_y + b * H, d_q + b * H, p.d_h + b * H)
        multiply(p.B, H, 2 * H, z, N, p.w_hh, 0.0, p.d_fed)
        multiply(p.B, H, H, d_q, H, p.w_hh + 2 * H * H, 1.0, p.d_fed)
        add_fed(p)
        rows = rows_to_sum(p, t)
        if rows:
            sum_input_gradients(p, t, rows)
            multiply_tn(2 * H, H, rows, z, N, fed, 1.0, p.d_w_hh)
            multiply_tn(H, H, rows, d_q, H, fed, 1.0, p.d_w_hh + 2 * H * H)
            for b in range(rows):
                add_rows(H, p.d_bias_hn, d_q + b * H)


cdef inline void reset_before_forward(const LayerPass* p) noexcept nogil:
    cdef Py_ssize_t t, b, H = p.H, N = p.N, row = p.B * H
    cdef float* z
    cdef float* s
    cdef float* h
    cdef const float* fed
    project_inputs(p)
    for t in range(p.T):
        z, s, h, fed = p.z + t * p.B * N, p.inner + t * row, p.h + t * row, feed(p, t)
        multiply_part(p.B, 2 * H, H, fed, H, p.w_hh, N, 1.0, z, N)
        for b in range(p.B):
            reset_gates_forward(H, z + b * N, fed + b * H, s + b * H)
        multiply_part(p.B, H, H, s, H, p.w_hh + 2 * H, N, 1.0, z + 2 * H, N)
        for b in range(p.B):
            mix_gates_forward(H, z + b * N, h + b * H, h + row + b * H)


cdef inline void reset_before_backward(const LayerPass* p) noexcept nogil:
    cdef Py_ssize_t t, b, rows, H = p.H, N = p.N, row = p.B * H
    cdef float* z
    cdef float* h
    cdef float* fed
    cdef float* d_y
    cdef float* d_s = p.d_inner
    for t in range(p.T - 1, -1, -1):
        z, h, fed, d_y = p.z + t * p.B * N, p.h + t * row, p.fed + t * row, p.d_y + t * row
        add_rows(row, d_y, p.d_h)
        for b in range(p.B):
            mix_gates_backward(H, z + b * N, h + b * H, d_y + b * H, p.d_h + b * H)
        multiply(p.B, H, H, z + 2 * H, N, p.w_hh + 2 * H * H, 0.0, d_s)
        for b in range(p.B):
            reset_gates_backward(H, z + b * N, fed + b * H, d_s + b * H, p.d_fed + b * H)
        multiply(p.B, H, 2 * H, z, N, p.w_hh, 1.0, p.d_fed)
        add_fed(p)
        rows = rows_to_sum(p, t)
        if rows:
            sum_input_gradients(p, t, rows)
            multiply_tn(2 * H, H, rows, z, N, fed, 1.0, p.d_w_hh)
            multiply_tn(H, H, rows, z + 2 * H, N, p.inner + t * row, 1.0, p.d_w_hh + 2 * H * H)


cdef inline void rnn_forward(const LayerPass* p) noexcept nogil:
    cdef Py_ssize_t t, H = p.H, row = p.B * H
    cdef float* z
    project_inputs(p)
    for t in range(p.T):
        z = p.z + t * row
        multiply(p.B, H, H, feed(p, t), H, p.w_hh, 1.0, z)
        rnn_gates_forward(row, z, p.h + (t + 1) * row)


cdef inline void rnn_backward(const LayerPass* p) noexcept nogil:
    cdef Py_ssize_t t, rows, H = p.H, row = p.B * H
    cdef float* z
    cdef float* d_y
    for t in range(p.T - 1, -1, -1):
        z, d_y = p.z + t * row, p.d_y + t * row
        add_rows(row, d_y, p.d_h)
        rnn_gates_backward(row, z, d_y)
        multiply(p.B, H, H, z, H, p.w_hh, 0.0, p.d_fed)
        memset(p.d_h, 0, row * sizeof(float))
        add_fed(p)
        rows = rows_to_sum(p, t)
        if rows:
            sum_input_gradients(p, t, rows)
            multiply_tn(H, H, rows, z, H, p.fed + t * row, 1.0, p.d_w_hh)
