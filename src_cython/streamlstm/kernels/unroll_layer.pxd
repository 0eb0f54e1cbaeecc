"""One layer of the GRU kinds or a plain RNN over T steps: its memory, and the products that they share, through BLAS.

    forward     z_t = x_t W_ih^T + bias         for all T at once; the cell adds what comes from h_(t-1)
    backward    dW_ih = sum_t dz_t^T x_t        dbias = sum_t sum_B dz_t        dx_t = dz_t W_ih

With a recurrent mask m, what goes into the products with W_hh is fed_t = m h_(t-1), and d_h = m d_fed comes back; the
state itself is not masked. The mask of a layer's inputs is in x already.

Sums over time are taken in chunks of CHUNK steps, while dz is still in cache.
"""

from libc.string cimport memcpy

from streamlstm.kernels.blas cimport multiply, multiply_tn

cdef extern from "unroll_gates.h":
    void add_rows(Py_ssize_t n, float* a, const float* b) noexcept nogil
    void mask_rows(Py_ssize_t n, const float* m, const float* a, float* b) noexcept nogil
    void add_masked_rows(Py_ssize_t n, float* a, const float* m, const float* b) noexcept nogil

cdef enum:
    CHUNK = 8   # steps: 64 lanes of 4 * 64 gates are 0.5 MB, within a second-level cache


cdef struct LayerPass:
    Py_ssize_t T, B, inputs, H, R, N    # steps, lanes, I (a macro of C's), hidden units, outputs, gates * H
    const float* w_ih               # [N, I]; forward has the transpose of each matrix, so that every product is plain
    const float* w_hh               # [N, R]
    const float* bias               # [N]
    const float* bias_hn            # [H], or NULL as every weight that the cell has not
    const float* x                  # [T, B, I]
    float* z                        # [T, B, N]: pre-activations, then gates, then gradients of the pre-activations
    float* h                        # [T + 1, B, R]: h_(-1) .. h_(T-1)
    float* inner                    # [T, B, H]: what the reset gate scales or has scaled
    const float* mask               # [B, R] of the recurrent products, or NULL
    float* fed                      # [T, B, R]: m h_(t-1) of each step; h itself where there is no mask
    float* d_w_ih                   # shaped as the weights, and summed into
    float* d_w_hh
    float* d_bias
    float* d_bias_hn
    float* d_x                      # [T, B, I], or NULL: not wanted
    float* d_y                      # [T, B, R]: from above; summed with what comes back in time
    float* d_h                      # [B, R]: of the final state first, of the initial one in the end
    float* d_fed                    # [B, R]: scratch
    float* d_inner                  # [CHUNK, B, H]: scratch


cdef inline void project_inputs(const LayerPass* p) noexcept nogil:
    cdef Py_ssize_t r
    for r in range(p.T * p.B):
        memcpy(p.z + r * p.N, p.bias, p.N * sizeof(float))
    multiply(p.T * p.B, p.N, p.inputs, p.x, p.inputs, p.w_ih, 1.0, p.z)


cdef inline const float* feed(const LayerPass* p, Py_ssize_t t) noexcept nogil:
    """fed_t = m h_(t-1), which the products of step t take."""
    cdef Py_ssize_t row = p.B * p.R
    if p.mask != NULL:
        mask_rows(row, p.mask, p.h + t * row, p.fed + t * row)
    return p.fed + t * row


cdef inline void add_fed(const LayerPass* p) noexcept nogil:
    """d_h += m d_fed."""
    if p.mask == NULL:
        add_rows(p.B * p.R, p.d_h, p.d_fed)
    else:
        add_masked_rows(p.B * p.R, p.d_h, p.mask, p.d_fed)


cdef inline Py_ssize_t rows_to_sum(const LayerPass* p, Py_ssize_t t) noexcept nogil:
    """Rows of the chunk that step t completes, going back in time; 0 when it completes none."""
    if t % CHUNK:
        return 0
    return (p.T - t if p.T - t < CHUNK else CHUNK) * p.B


cdef inline void sum_input_gradients(const LayerPass* p, Py_ssize_t t, Py_ssize_t rows) noexcept nogil:
    cdef const float* d_z = p.z + t * p.B * p.N
    cdef Py_ssize_t at = t * p.B * p.inputs, r
    multiply_tn(p.N, p.inputs, rows, d_z, p.N, p.x + at, 1.0, p.d_w_ih)
    if p.d_x != NULL:
        multiply(rows, p.inputs, p.N, d_z, p.N, p.w_ih, 0.0, p.d_x + at)
    for r in range(rows):
        add_rows(p.N, p.d_bias, d_z + r * p.N)
