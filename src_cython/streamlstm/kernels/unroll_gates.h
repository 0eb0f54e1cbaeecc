/* The gates of one row of the GRU kinds and the plain RNN for training, cell by cell: forward keeps what backward needs, and backward stands beside it.
 *
 * Arrays are [H] or, with G gates, [G, H]; c_prev and h_prev are those of the step before. Forward turns the pre-activations z into activated gates;
 * backward turns activated gates into the gradients of the pre-activations, in place. d_h is all that reaches h_t,
 * from above and from the next step.
 *
 * One restrict pointer an operand and Py_ssize_t indices, as in gates.h, so that compilers vectorise.
 */
#ifndef STREAMLSTM_UNROLL_GATES_H
#define STREAMLSTM_UNROLL_GATES_H

#include "gates.h"

/* a += b */
EVERY_ISA static void add_rows(Py_ssize_t n, float *restrict a, const float *restrict b)
{
    for (Py_ssize_t j = 0; j < n; j++)
        a[j] += b[j];
}

/* b = m a */
EVERY_ISA static void mask_rows(Py_ssize_t n, const float *restrict m, const float *restrict a, float *restrict b)
{
    for (Py_ssize_t j = 0; j < n; j++)
        b[j] = m[j] * a[j];
}

/* a += m b */
EVERY_ISA static void add_masked_rows(Py_ssize_t n, float *restrict a, const float *restrict m, const float *restrict b)
{
    for (Py_ssize_t j = 0; j < n; j++)
        a[j] += m[j] * b[j];
}

/* gru:  n = tanh(z_n + r q), where q is what the reset gate scales      h = (1 - u) n + u h_prev      (u: gate z) */
EVERY_ISA static void gru_gates_forward(Py_ssize_t H, float *restrict z, const float *restrict q,
                                        const float *restrict h_prev, float *restrict h)
{
    float *restrict zr = z, *restrict zu = z + H, *restrict zn = z + 2 * H;
    for (Py_ssize_t j = 0; j < H; j++) {
        float r = sigmoid(zr[j]), u = sigmoid(zu[j]), n = tanh_fast(zn[j] + r * q[j]);
        zr[j] = r;
        zu[j] = u;
        zn[j] = n;
        h[j] = (1.0f - u) * n + u * h_prev[j];
    }
}

/* dn = d_h (1-u) (1-n^2)   du = d_h (h_prev - n) u(1-u)   dr = dn q r(1-r)   dq = dn r
 * d_h_prev = d_h u, the part that goes past the gates. */
EVERY_ISA static void gru_gates_backward(Py_ssize_t H, float *restrict a, const float *restrict q,
                                         const float *restrict h_prev, const float *restrict d_h, float *restrict d_q,
                                         float *restrict d_h_prev)
{
    float *restrict ar = a, *restrict au = a + H, *restrict an = a + 2 * H;
    for (Py_ssize_t j = 0; j < H; j++) {
        float r = ar[j], u = au[j], n = an[j];
        float d_n = d_h[j] * (1.0f - u) * (1.0f - n * n);
        ar[j] = d_n * q[j] * r * (1.0f - r);
        au[j] = d_h[j] * (h_prev[j] - n) * u * (1.0f - u);
        an[j] = d_n;
        d_q[j] = d_n * r;
        d_h_prev[j] = d_h[j] * u;
    }
}

/* gru_reset_before, first part:  r, u and s = r fed, with fed = h_prev or its masked values; the product of s goes into z_n before the second. */
EVERY_ISA static void reset_gates_forward(Py_ssize_t H, float *restrict z, const float *restrict fed, float *restrict s)
{
    float *restrict zr = z, *restrict zu = z + H;
    for (Py_ssize_t j = 0; j < H; j++) {
        float r = sigmoid(zr[j]);
        zr[j] = r;
        zu[j] = sigmoid(zu[j]);
        s[j] = r * fed[j];
    }
}

/* Its second part:  n = tanh(z_n)      h = (1 - u) n + u h_prev */
EVERY_ISA static void mix_gates_forward(Py_ssize_t H, float *restrict z, const float *restrict h_prev,
                                        float *restrict h)
{
    const float *restrict zu = z + H;
    float *restrict zn = z + 2 * H;
    for (Py_ssize_t j = 0; j < H; j++) {
        float n = tanh_fast(zn[j]);
        zn[j] = n;
        h[j] = (1.0f - zu[j]) * n + zu[j] * h_prev[j];
    }
}

/* The second part backward:  dn, du and d_h_prev as in gru. */
EVERY_ISA static void mix_gates_backward(Py_ssize_t H, float *restrict a, const float *restrict h_prev,
                                         const float *restrict d_h, float *restrict d_h_prev)
{
    float *restrict au = a + H, *restrict an = a + 2 * H;
    for (Py_ssize_t j = 0; j < H; j++) {
        float u = au[j], n = an[j];
        au[j] = d_h[j] * (h_prev[j] - n) * u * (1.0f - u);
        an[j] = d_h[j] * (1.0f - u) * (1.0f - n * n);
        d_h_prev[j] = d_h[j] * u;
    }
}

/* The first part backward, d_s given:  dr = d_s fed r(1-r)      d_fed = d_s r */
EVERY_ISA static void reset_gates_backward(Py_ssize_t H, float *restrict a, const float *restrict fed,
                                           const float *restrict d_s, float *restrict d_fed)
{
    float *restrict ar = a;
    for (Py_ssize_t j = 0; j < H; j++) {
        float r = ar[j];
        ar[j] = d_s[j] * fed[j] * r * (1.0f - r);
        d_fed[j] = d_s[j] * r;
    }
}

/* rnn:  h = tanh(z), kept in z too */
EVERY_ISA static void rnn_gates_forward(Py_ssize_t n, float *restrict z, float *restrict h)
{
    for (Py_ssize_t j = 0; j < n; j++)
        z[j] = h[j] = tanh_fast(z[j]);
}

/* dz = d_h (1 - h^2) */
EVERY_ISA static void rnn_gates_backward(Py_ssize_t n, float *restrict a, const float *restrict d_h)
{
    for (Py_ssize_t j = 0; j < n; j++)
        a[j] = d_h[j] * (1.0f - a[j] * a[j]);
}

#endif
