"""The LSTM kinds over T steps, rows [B, .]; z the pre-activations, a = (i, f, g, o) the gates.

    forward     z_t = x_t W_ih^T + bias + fed_t W_hh^T          c_t, m_t = o tanh(c_t): unroll_gates.h
                h_t = m_t, or m_t W_hr^T with a projection
    backward    d_h = dy_t + m dz_(t+1) W_hh                    dm_t = d_h, or d_h W_hr
                dz_t, d_c: unroll_gates.h                       dW_hh = sum_t dz_t^T fed_t      dW_hr = sum_t d_h^T m_t
"""

from libc.string cimport memset

from streamlstm.kernels.blas cimport multiply, multiply_tn
from streamlstm.kernels.unroll_layer cimport (
    LayerPass,
    add_fed,
    add_rows,
    feed,
    project_inputs,
    rows_to_sum,
    sum_input_gradients,
)

cdef extern from "unroll_gates.h":
    void lstm_gates_forward(Py_ssize_t H, float* z, const float* c_prev, float* c, float* tanh_c,
                            float* h) noexcept nogil
    void lstm_gates_backward(Py_ssize_t H, float* a, const float* c_prev, const float* tanh_c, const float* d_h,
                             float* d_c) noexcept nogil
    void peephole_gates_forward(Py_ssize_t H, float* z, const float* p, const float* c_prev, float* c, float* tanh_c,
                                float* h) noexcept nogil
    void peephole_gates_backward(Py_ssize_t H, float* a, const float* p, const float* c_prev, const float* c,
                                 const float* tanh_c, const float* d_h, float* d_c, float* d_p) noexcept nogil


cdef inline void lstm_forward(const LayerPass* p) noexcept nogil:
    cdef Py_ssize_t t, b, H = p.H, cells = p.B * H, outputs = p.B * p.R
    cdef float* z
    cdef float* c
    cdef float* tanh_c
    cdef float* m
    project_inputs(p)
    for t in range(p.T):
        z, c, tanh_c = p.z + t * p.B * p.N, p.c + t * cells, p.inner + t * cells
        m = p.h + (t + 1) * outputs if p.w_hr == NULL else p.unprojected + t * cells
        multiply(p.B, p.N, p.R, feed(p, t), p.R, p.w_hh, 1.0, z)
        for b in range(p.B):
            if p.peephole == NULL:
                lstm_gates_forward(H, z + b * p.N, c + b * H, c + cells + b * H, tanh_c + b * H, m + b * H)
            else:
                peephole_gates_forward(H, z + b * p.N, p.peephole, c + b * H, c + cells + b * H, tanh_c + b * H,
                                       m + b * H)
        if p.w_hr != NULL:
            multiply(p.B, p.R, H, m, H, p.w_hr, 0.0, p.h + (t + 1) * outputs)


cdef inline void lstm_backward(const LayerPass* p) noexcept nogil:
    cdef Py_ssize_t t, b, rows, H = p.H, cells = p.B * H, outputs = p.B * p.R
    cdef float* z
    cdef float* c
    cdef float* tanh_c
    cdef float* d_y
    cdef float* d_m
    for t in range(p.T - 1, -1, -1):
        z, c, tanh_c, d_y = p.z + t * p.B * p.N, p.c + t * cells, p.inner + t * cells, p.d_y + t * outputs
        d_m = d_y if p.w_hr == NULL else p.d_inner
        add_rows(outputs, d_y, p.d_h)
        if p.w_hr != NULL:
            multiply(p.B, H, p.R, d_y, p.R, p.w_hr, 0.0, d_m)
        for b in range(p.B):
            if p.peephole == NULL:
                lstm_gates_backward(H, z + b * p.N, c + b * H, tanh_c + b * H, d_m + b * H, p.d_c + b * H)
            else:
                peephole_gates_backward(H, z + b * p.N, p.peephole, c + b * H, c + cells + b * H, tanh_c + b * H,
                                        d_m + b * H, p.d_c + b * H, p.d_peephole)
        multiply(p.B, p.R, p.N, z, p.N, p.w_hh, 0.0, p.d_fed)
        memset(p.d_h, 0, outputs * sizeof(float))
        add_fed(p)
        rows = rows_to_sum(p, t)
        if rows:
            sum_input_gradients(p, t, rows)
            multiply_tn(p.N, p.R, rows, z, p.N, p.fed + t * outputs, 1.0, p.d_w_hh)
            if p.w_hr != NULL:
                multiply_tn(p.R, H, rows, d_y, p.R, p.unprojected + t * cells, 1.0, p.d_w_hr)
