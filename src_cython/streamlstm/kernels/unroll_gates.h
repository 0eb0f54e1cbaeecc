/* The gates of one row for training, cell by cell: forward keeps what backward needs, and backward stands beside it.
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

/* lstm:  c = f c_prev + i g      h = o tanh(c) */
EVERY_ISA static void lstm_gates_forward(Py_ssize_t H, float *restrict z, const float *restrict c_prev,
                                         float *restrict c, float *restrict tanh_c, float *restrict h)
{
    float *restrict zi = z, *restrict zf = z + H, *restrict zg = z + 2 * H, *restrict zo = z + 3 * H;
    for (Py_ssize_t j = 0; j < H; j++) {
        float i = sigmoid(zi[j]), f = sigmoid(zf[j]), g = tanh_fast(zg[j]), o = sigmoid(zo[j]);
        float cell = f * c_prev[j] + i * g, t = tanh_fast(cell);
        zi[j] = i;
        zf[j] = f;
        zg[j] = g;
        zo[j] = o;
        c[j] = cell;
        tanh_c[j] = t;
        h[j] = o * t;
    }
}

/* dc = d_c + d_h o (1 - t^2)    di = dc g i(1-i)   df = dc c_prev f(1-f)   dg = dc i (1-g^2)   do = d_h t o(1-o)
 * d_c, in place, goes on to the step before: dc f. */
EVERY_ISA static void lstm_gates_backward(Py_ssize_t H, float *restrict a, const float *restrict c_prev,
                                          const float *restrict tanh_c, const float *restrict d_h, float *restrict d_c)
{
    float *restrict ai = a, *restrict af = a + H, *restrict ag = a + 2 * H, *restrict ao = a + 3 * H;
    for (Py_ssize_t j = 0; j < H; j++) {
        float i = ai[j], f = af[j], g = ag[j], o = ao[j], t = tanh_c[j];
        float dc = d_c[j] + d_h[j] * o * (1.0f - t * t);
        ai[j] = dc * g * i * (1.0f - i);
        af[j] = dc * c_prev[j] * f * (1.0f - f);
        ag[j] = dc * i * (1.0f - g * g);
        ao[j] = d_h[j] * t * o * (1.0f - o);
        d_c[j] = dc * f;
    }
}

/* peephole:  as lstm, with p_i c_prev, p_f c_prev and p_o c inside the gates i, f and o; p [3, H] */
EVERY_ISA static void peephole_gates_forward(Py_ssize_t H, float *restrict z, const float *restrict p,
                                             const float *restrict c_prev, float *restrict c, float *restrict tanh_c,
                                             float *restrict h)
{
    const float *restrict pi = p, *restrict pf = p + H, *restrict po = p + 2 * H;
    float *restrict zi = z, *restrict zf = z + H, *restrict zg = z + 2 * H, *restrict zo = z + 3 * H;
    for (Py_ssize_t j = 0; j < H; j++) {
        float i = sigmoid(zi[j] + pi[j] * c_prev[j]), f = sigmoid(zf[j] + pf[j] * c_prev[j]);
        float g = tanh_fast(zg[j]), cell = f * c_prev[j] + i * g, t = tanh_fast(cell);
        float o = sigmoid(zo[j] + po[j] * cell);
        zi[j] = i;
        zf[j] = f;
        zg[j] = g;
        zo[j] = o;
        c[j] = cell;
        tanh_c[j] = t;
        h[j] = o * t;
    }
}

/* do as in lstm    dc = d_c + d_h o (1 - t^2) + p_o do    di, df, dg as in lstm    d_c: dc f + p_i di + p_f df
 * d_p [3, H] gathers di c_prev, df c_prev, do c. */
EVERY_ISA static void peephole_gates_backward(Py_ssize_t H, float *restrict a, const float *restrict p,
                                              const float *restrict c_prev, const float *restrict c,
                                              const float *restrict tanh_c, const float *restrict d_h,
                                              float *restrict d_c, float *restrict d_p)
{
    const float *restrict pi = p, *restrict pf = p + H, *restrict po = p + 2 * H;
    float *restrict d_pi = d_p, *restrict d_pf = d_p + H, *restrict d_po = d_p + 2 * H;
    float *restrict ai = a, *restrict af = a + H, *restrict ag = a + 2 * H, *restrict ao = a + 3 * H;
    for (Py_ssize_t j = 0; j < H; j++) {
        float i = ai[j], f = af[j], g = ag[j], o = ao[j], t = tanh_c[j];
        float d_o = d_h[j] * t * o * (1.0f - o);
        float dc = d_c[j] + d_h[j] * o * (1.0f - t * t) + po[j] * d_o;
        float d_i = dc * g * i * (1.0f - i), d_f = dc * c_prev[j] * f * (1.0f - f);
        ai[j] = d_i;
        af[j] = d_f;
        ag[j] = dc * i * (1.0f - g * g);
        ao[j] = d_o;
        d_c[j] = dc * f + pi[j] * d_i + pf[j] * d_f;
        d_pi[j] += d_i * c_prev[j];
        d_pf[j] += d_f * c_prev[j];
        d_po[j] += d_o * c[j];
    }
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
